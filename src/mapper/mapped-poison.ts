/**
 * mapped-poison: the list of a table: the lists of its leaves, translated upwards when they are asked for, to the byte.
 *
 * Nothing is kept but the leaves' ranges: a change below shows at once, and a table over a terabyte costs what its legs cost. Whether
 * the list is empty is one branch a leg where the leaves' lists are empty (R6); totals are sums over the legs' ranges (R7).
 */
import { checkRange, endOf, type BadRange, type ByteRange } from "../base/index.ts";
import type { PoisonTotals, PoisonView, StateRange } from "../poison/index.ts";
import { joined } from "./joined.ts";
import { addressOf, legShare, outOfLeg, patternOf, type Layout, type Piece } from "./layout.ts";
import type { Area } from "./target.ts";

/** The list of all that a layout maps. */
export function mappedPoison(layout: Layout): PoisonView {
  const { size } = layout;
  const whole = { offset: 0, length: size };
  const areas = [...layout.reaches()];
  const { isCombed } = layout;
  return {
    size,
    get empty() {
      // what is bad in a gap alone is none of ours
      return areas.every(isEmpty) || (isCombed && badOf(layout, whole).next().done === true);
    },
    *bad(range) {
      checkRange(range, size);
      yield* joined(badOf(layout, range));
    },
    *states(range) {
      checkRange(range, size);
      yield* joined(statesOf(layout, range));
    },
    totals: () => (isCombed ? sumOf(statesOf(layout, whole), size) : totalsOf(areas, size)),
  };
}

function isEmpty({ device, offset, length }: Area): boolean {
  const { poison } = device;
  if (poison.empty) return true;
  if (length === device.size) return false;
  return poison.bad({ offset, length })[Symbol.iterator]().next().done === true;
}

function totalsOf(areas: readonly Area[], total: number): PoisonTotals {
  const sums = { clean: 0, unread: 0, poisoned: 0, lost: 0 };
  for (const { device, offset, length } of areas) {
    if (length !== device.size) {
      for (const part of device.poison.states({ offset, length })) sums[part.state] += part.length;
      continue;
    }
    const whole = device.poison.totals();
    for (const state of ["clean", "unread", "poisoned", "lost"] as const)
      sums[state] += whole[state];
  }
  return { total, ...sums };
}

function sumOf(states: Iterable<StateRange>, total: number): PoisonTotals {
  const sums = { clean: 0, unread: 0, poisoned: 0, lost: 0 };
  for (const { length, state } of states) sums[state] += length;
  return { total, ...sums };
}

/** The bad parts of a range of addresses, ascending. */
function* badOf(layout: Layout, range: ByteRange): Generator<BadRange> {
  for (const piece of layout.pieces(range)) {
    const window = patternOf(piece, range);
    const legs = piece.legs.flatMap((leg, index) => {
      if (leg.below === undefined && leg.device.poison.empty) return [];
      const share = legShare(piece, index, window);
      return share.length === 0 ? [] : [upwards(piece, index, share)];
    });
    if (legs.length === 1 && legs[0] !== undefined) yield* legs[0];
    else yield* inOrder(legs);
  }
}

/** The bad parts of a share of a leg, as addresses. */
function* upwards(piece: Piece, index: number, share: ByteRange): Generator<BadRange> {
  const leg = piece.legs[index] as Piece["legs"][number];
  const range = { offset: leg.offset + share.offset, length: share.length };
  const found =
    leg.below === undefined ? leg.device.poison.bad(range) : joined(badOf(leg.below, range));
  for (const bad of found) {
    const inLeg = { offset: bad.offset - leg.offset, length: bad.length };
    for (const part of outOfLeg(piece, index, inLeg)) yield { ...part, state: bad.state };
  }
}

/** Several ascending walks as one. */
function* inOrder(walks: readonly Iterable<BadRange>[]): Generator<BadRange> {
  const heads = walks.map((walk) => {
    const iterator = walk[Symbol.iterator]();
    return { iterator, next: iterator.next() };
  });
  for (;;) {
    let first: (typeof heads)[number] | undefined;
    for (const head of heads) {
      if (head.next.done === true) continue;
      const place = head.next.value.offset;
      if (first === undefined || place < (first.next.value as BadRange).offset) first = head;
    }
    if (first === undefined) return;
    yield first.next.value as BadRange;
    first.next = first.iterator.next();
  }
}

/** Every byte of a range of addresses with its state, ascending. */
function* statesOf(layout: Layout, range: ByteRange): Generator<StateRange> {
  for (const piece of layout.pieces(range)) {
    const window = patternOf(piece, range);
    if (piece.chunk !== Infinity) yield* stripedStates(piece, window);
    else {
      const walk = new LegWalk(piece, 0, window);
      for (let at = window.offset; at < endOf(window); at = walk.end) {
        walk.seek(at);
        yield { offset: addressOf(piece, 0, at), length: walk.end - at, state: walk.state };
      }
    }
  }
}

/** The states of one leg's share, walked forwards. */
class LegWalk {
  state: StateRange["state"] = "unread";
  /** End of the part that it stands in, in bytes of the leg. */
  end: number;
  readonly #base: number;
  readonly #parts: Iterator<StateRange>;

  constructor(piece: Piece, index: number, share: ByteRange) {
    const leg = piece.legs[index] as Piece["legs"][number];
    const range = { offset: leg.offset + share.offset, length: share.length };
    const states =
      leg.below === undefined
        ? leg.device.poison.states(range)
        : joined(statesOf(leg.below, range));
    this.#base = leg.offset;
    this.#parts = states[Symbol.iterator]();
    this.end = share.offset;
  }

  /** Goes on to the part that holds a byte of the leg. @returns whether there is one */
  seek(inLeg: number): boolean {
    while (this.end <= inLeg) {
      const next = this.#parts.next();
      if (next.done === true) return false;
      this.state = next.value.state;
      this.end = endOf(next.value) - this.#base;
    }
    return true;
  }
}

/** States over legs that take turns. Where all legs are in one state, it is told up to the first change, not chunk by chunk. */
function* stripedStates(piece: Piece, window: ByteRange): Generator<StateRange> {
  const { chunk, step, legs } = piece;
  const end = endOf(window);
  const base = piece.start - piece.skip;
  const walks = legs.map((_, index) => new LegWalk(piece, index, legShare(piece, index, window)));
  for (let at = window.offset; at < end;) {
    const turn = Math.floor(at / chunk);
    const walk = walks[turn % legs.length] as LegWalk;
    walk.seek(Math.floor(turn / legs.length) * step + (at - turn * chunk));
    const { state } = walk;
    let uniform = end;
    let stop = Math.min(end, (turn + 1) * chunk);
    for (const [index, other] of walks.entries()) {
      const behind = { offset: at, length: end - at };
      if (!other.seek(legShare(piece, index, behind).offset)) continue;
      const change = addressOf(piece, index, other.end) - base;
      if (other === walk) stop = Math.min(stop, change);
      uniform = other.state === state ? Math.min(uniform, change) : 0;
      if (uniform === 0) break;
    }
    if (uniform > 0) stop = uniform;
    else stop = Math.min(stop, addressOf(piece, turn % legs.length, walk.end) - base);
    yield { offset: at + base, length: stop - at, state };
    at = stop;
  }
}
