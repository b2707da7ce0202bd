/**
 * mirror-poison: the list of a mirror: a byte is bad where it is bad in every leg that is fresh there. Nothing is kept; the legs' lists are
 * asked, so a heal of any leg shows at once.
 *
 * Of bytes that are bad everywhere, one poisoned leg makes them poisoned (a write has to clear); else they are lost. Of the others, one leg
 * that was read whole makes them clean.
 */
import { checkRange, endOf, type BadRange, type ByteRange } from "../../base/index.ts";
import type { PoisonState, PoisonView, StateRange } from "../../poison/index.ts";
import { joined } from "../joined.ts";
import type { Copies, FreshRun, MirrorLeg } from "./copies.ts";

/** The list of copies. */
export function mirrorPoison(copies: Copies): PoisonView {
  const { size } = copies;
  const whole = { offset: 0, length: size };
  return {
    size,
    get empty() {
      return isEmpty(copies);
    },
    *bad(range) {
      checkRange(range, size);
      yield* joined(badOf(copies, range));
    },
    *states(range) {
      checkRange(range, size);
      yield* joined(statesOf(copies, range));
    },
    totals: () => {
      const sums = { clean: 0, unread: 0, poisoned: 0, lost: 0 };
      for (const { length, state } of statesOf(copies, whole)) sums[state] += length;
      return { total: size, ...sums };
    },
  };
}

/** One branch a leg where a list is empty (R6); else up to the first byte that is bad everywhere. */
function isEmpty(copies: Copies): boolean {
  if (copies.uniform && copies.legs.some(({ device }) => device.poison.empty)) return true;
  const whole = { offset: 0, length: copies.size };
  return badOf(copies, whole).next().done === true;
}

function* badOf(copies: Copies, range: ByteRange): Generator<BadRange> {
  for (const run of copies.runs(range)) {
    // a run without a leg cannot be had: nothing else may stand for it
    if (run.legs.length === 0)
      yield { offset: run.offset, length: run.length, state: "lost" as const };
    else if (!run.legs.some(({ device }) => device.poison.empty)) yield* badIn(run.legs, run, 0);
  }
}

/** What of a range is bad in every leg from one on. */
function* badIn(
  legs: readonly MirrorLeg[],
  range: ByteRange,
  from: number,
): Generator<BadRange, void> {
  const { device, offset: start } = legs[from] as MirrorLeg;
  const below = { offset: start + range.offset, length: range.length };
  for (const { offset, length, state } of device.poison.bad(below)) {
    const bad = { offset: offset - start, length, state };
    if (from === legs.length - 1) yield bad;
    else
      for (const part of badIn(legs, bad, from + 1))
        yield { ...part, state: worse(state, part.state) };
  }
}

/** Two legs' reasons as one. */
export function worse(one: BadRange["state"], other: BadRange["state"]): BadRange["state"] {
  if (one === "unread" || other === "unread") return "unread";
  return one === "poisoned" ? one : other;
}

/** Every byte of a range with its state, ascending. */
function* statesOf(copies: Copies, range: ByteRange): Generator<StateRange> {
  for (const run of copies.runs(range)) {
    if (run.legs.length === 0) yield { offset: run.offset, length: run.length, state: "lost" };
    else yield* runStates(run);
  }
}

/** One leg's states, walked forwards; `end` in bytes of the mirror. */
interface Walk {
  readonly parts: Iterator<StateRange>;
  readonly start: number;
  end: number;
  state: PoisonState;
}

function* runStates(run: FreshRun): Generator<StateRange> {
  const walks = run.legs.map(({ device, offset }): Walk => {
    const below = { offset: offset + run.offset, length: run.length };
    return {
      parts: device.poison.states(below)[Symbol.iterator](),
      start: offset,
      end: run.offset,
      state: "unread",
    };
  });
  for (let at = run.offset; at < endOf(run);) {
    let stop = endOf(run);
    for (const walk of walks) {
      while (walk.end <= at) {
        const next = walk.parts.next();
        if (next.done === true) walk.end = endOf(run);
        else {
          walk.state = next.value.state;
          walk.end = endOf(next.value) - walk.start;
        }
      }
      stop = Math.min(stop, walk.end);
    }
    yield { offset: at, length: stop - at, state: stateOf(walks) };
    at = stop;
  }
}

function stateOf(walks: readonly { readonly state: PoisonState }[]): PoisonState {
  const has = (state: PoisonState): boolean => walks.some((walk) => walk.state === state);
  if (has("clean")) return "clean";
  if (has("unread")) return "unread";
  return has("poisoned") ? "poisoned" : "lost";
}
