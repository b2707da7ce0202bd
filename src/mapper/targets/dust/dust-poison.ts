/** dust-poison: the list of a dust target: what is bad below, and the listed blocks as poisoned, known. Bad below keeps its own state. */
import { checkRange, endOf, type BadRange, type ByteRange } from "../../../base/index.ts";
import type { PoisonTotals, PoisonView, StateRange } from "../../../poison/index.ts";
import { joined } from "../../joined.ts";

/** What the list is made of. */
export interface DustPoisonOptions {
  /** The list of the bytes below, at the target's addresses. */
  readonly below: PoisonView;
  /** The parts of a range that listed blocks hold, ascending; none where the target is not enabled. */
  readonly dusty: (range: ByteRange) => Iterable<ByteRange>;
}

/** The list of both. */
export function dustPoison({ below, dusty }: DustPoisonOptions): PoisonView {
  const { size } = below;
  const all = { offset: 0, length: size };
  const isDusty = (): boolean => dusty(all)[Symbol.iterator]().next().done !== true;
  function* states(range: ByteRange): Generator<StateRange> {
    for (const part of below.states(range)) {
      if (part.state === "poisoned" || part.state === "lost") yield part;
      else yield* covered(part, dusty(part));
    }
  }
  return {
    size,
    get empty() {
      return below.empty && !isDusty();
    },
    *bad(range) {
      checkRange(range, size);
      if (!isDusty()) yield* below.bad(range);
      else if (below.empty) yield* poisoned(dusty(range));
      else yield* joined(onlyBad(states(range)));
    },
    *states(range) {
      checkRange(range, size);
      yield* joined(states(range));
    },
    totals: () => totalsOf(below, dusty(all)),
  };
}

/** A range of one state, with the covered parts poisoned. */
function* covered(part: StateRange, over: Iterable<ByteRange>): Generator<StateRange> {
  const { state } = part;
  let at = part.offset;
  for (const { offset, length } of over) {
    if (offset > at) yield { offset: at, length: offset - at, state };
    yield { offset, length, state: "poisoned" };
    at = offset + length;
  }
  if (at < endOf(part)) yield { offset: at, length: endOf(part) - at, state };
}

function* poisoned(ranges: Iterable<ByteRange>): Generator<BadRange> {
  for (const { offset, length } of ranges) yield { offset, length, state: "poisoned" };
}

function* onlyBad(states: Iterable<StateRange>): Generator<BadRange> {
  for (const { offset, length, state } of states)
    if (state === "poisoned" || state === "lost") yield { offset, length, state };
}

function totalsOf(below: PoisonView, over: Iterable<ByteRange>): PoisonTotals {
  const { total, ...sums } = below.totals();
  const moved = { ...sums };
  for (const range of over) {
    for (const { length, state } of below.states(range)) {
      if (state === "poisoned" || state === "lost") continue;
      moved[state] -= length;
      moved.poisoned += length;
    }
  }
  return { total, ...moved };
}
