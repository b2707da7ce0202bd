/**
 * Layout: where every byte of a table lies, as sorted pieces of arithmetic. A stack of tables that only translate becomes one of these
 * when it is loaded, so that a read pays one search and a few divisions, whatever the height of the stack, and allocates nothing.
 *
 * A piece is a stretch of addresses over legs that take turns, `chunk` bytes each; a linear piece has one leg. A leg's turns lie `step` bytes
 * apart in it: side by side, but in what is itself one stripe of something. Where a table below is itself made of pieces, a linear target takes those over, cut to its range (`skip` says how far into its pattern a cut piece begins), and
 * a leg of a striped one refers to them. Piece ends stay where targets end, because there the kernel's windows end (`max_io_len`).
 */
import { assert, type ByteRange } from "../base/index.ts";
import type { Device } from "../device/index.ts";
import type { Area } from "./target.ts";

/** One leg: bytes of a leaf, or of a layout. */
interface Leg {
  readonly device: Device;
  /** The layout of `device`, where it has one: then the leg is looked up there. */
  readonly below: Layout | undefined;
  readonly offset: number;
}

/** A stretch of addresses. */
export interface Piece {
  readonly start: number;
  readonly end: number;
  /** Bytes of the pattern of legs before `start`. */
  readonly skip: number;
  /** Bytes of a leg's turn; Infinity where there is one leg and no turn. */
  readonly chunk: number;
  /** Bytes of a leg from one of its turns to the next; `chunk` where nothing lies between. */
  readonly step: number;
  readonly legs: readonly Leg[];
}

/** Where one address lies. One object is filled again and again: copy what must stay. */
export interface Place {
  device: Device;
  offset: number;
  /** Bytes from there on that are next to each other on the device, up to where the kernel's window ends. */
  length: number;
}

/** One part of a table before it is flattened: legs in turn, or a device of the part's length as the only leg. */
export interface Part extends ByteRange {
  readonly chunk: number;
  readonly step: number;
  readonly legs: readonly Area[];
}

/** The layout of a device that is nothing but one; `undefined` for a leaf. A wrapped device is a leaf: the wrapper wants to be asked. */
export function layoutOf(device: Device): Layout | undefined {
  return "layout" in device && device.layout instanceof Layout ? device.layout : undefined;
}

/** The pieces of a table. */
export class Layout {
  readonly size: number;
  readonly #pieces: readonly Piece[];
  /** Where each piece begins. */
  readonly #starts: Float64Array;
  /** The piece, where there is one alone. */
  readonly #only: Piece | undefined;

  /** @param parts ascending, without gap, from 0 on */
  constructor(parts: readonly Part[]) {
    this.#pieces = parts.flatMap((part) => [...piecesOf(part)]);
    this.#starts = Float64Array.from(this.#pieces, ({ start }) => start);
    this.size = this.#pieces.at(-1)?.end ?? 0;
    this.#only = this.#pieces.length === 1 ? this.#pieces[0] : undefined;
  }

  /** Index of the piece that holds an address. */
  #indexAt(offset: number): number {
    const starts = this.#starts;
    let low = 0;
    let high = starts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if ((starts[middle] as number) <= offset) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  /** Finds an address from 0 up, below `size`. */
  locate(offset: number, place: Place): void {
    const piece = (this.#only ?? this.#pieces[this.#indexAt(offset)]) as Piece;
    if (piece.chunk !== Infinity) {
      locateStriped(piece, offset, place);
      return;
    }
    // a run goes straight to a leaf: runs over runs were joined when the table was loaded
    const leg = piece.legs[0] as Leg;
    place.device = leg.device;
    place.offset = leg.offset + (offset - piece.start + piece.skip);
    place.length = piece.end - offset;
  }

  /** The pieces that touch a range, ascending. */
  *pieces(range: ByteRange): Generator<Piece> {
    const end = range.offset + range.length;
    if (range.length === 0) return;
    for (let index = this.#indexAt(range.offset); index < this.#pieces.length; index += 1) {
      const piece = this.#pieces[index] as Piece;
      if (piece.start >= end) return;
      yield piece;
    }
  }

  /** The runs of a range in the order of their addresses, each in one place. */
  *runs(range: ByteRange): Generator<Area> {
    const end = range.offset + range.length;
    const place: Place = { device: nowhere, offset: 0, length: 0 };
    for (let at = range.offset; at < end; at += place.length) {
      this.locate(at, place);
      place.length = Math.min(place.length, end - at);
      yield { device: place.device, offset: place.offset, length: place.length };
    }
  }

  /** Whether some leg has gaps between its turns. */
  get isCombed(): boolean {
    return this.#pieces.some(
      ({ chunk, step, legs }) =>
        chunk !== step || legs.some(({ below }) => below?.isCombed === true),
    );
  }

  /**
   * Whether every page lies whole in a page of its leaf, at the least where a window begins: else there is no direct access. Nor is there over
   * legs with gaps: dm-unstripe.c has none.
   */
  isAligned(page: number): boolean {
    return this.#pieces.every(({ start, skip, chunk, step, legs }) => {
      if (chunk !== Infinity && (chunk % page !== 0 || step !== chunk)) return false;
      return legs.every(
        ({ below, offset }) =>
          (start - skip - offset) % page === 0 && below?.isAligned(page) !== false,
      );
    });
  }

  /** What a range uses of its leaves, in any order, a leg's chunks joined: as few ranges as legs, but where a leg has gaps: one a turn then. */
  shares(range: ByteRange): Generator<Area> {
    return this.#areas(range, turnsOf);
  }

  /** As `shares` of all of it, gaps and all: as few ranges as legs. */
  reaches(): Generator<Area> {
    return this.#areas({ offset: 0, length: this.size }, (_, share) => [share]);
  }

  /** @param cut what is told of a leg's share */
  *#areas(
    range: ByteRange,
    cut: (piece: Piece, share: ByteRange) => Iterable<ByteRange>,
  ): Generator<Area> {
    for (const piece of this.pieces(range)) {
      const window = patternOf(piece, range);
      for (const [index, leg] of piece.legs.entries()) {
        const share = legShare(piece, index, window);
        for (const { offset, length } of share.length === 0 ? [] : cut(piece, share)) {
          const area = { offset: leg.offset + offset, length };
          if (leg.below === undefined) yield { device: leg.device, ...area };
          else yield* leg.below.#areas(area, cut);
        }
      }
    }
  }

  /** The addresses at which a range of a leaf shows, in any order. Empty where it does not. */
  *above(device: Device, range: ByteRange): Generator<ByteRange> {
    for (const piece of this.#pieces) {
      const window = patternOf(piece, { offset: 0, length: this.size });
      for (const [index, leg] of piece.legs.entries()) {
        const share = legShare(piece, index, window);
        const inner = leg.below?.above(device, range) ?? (leg.device === device ? [range] : []);
        for (const part of inner) {
          const start = Math.max(part.offset - leg.offset, share.offset);
          const end = Math.min(part.offset + part.length - leg.offset, share.offset + share.length);
          if (start < end) yield* outOfLeg(piece, index, { offset: start, length: end - start });
        }
      }
    }
  }
}

/** Finds an address of a piece whose legs take turns; a leg that is itself a table is asked. */
function locateStriped(piece: Piece, offset: number, place: Place): void {
  const { chunk, step, legs, end } = piece;
  const inPattern = offset - piece.start + piece.skip;
  const turn = Math.floor(inPattern / chunk);
  const row = Math.floor(turn / legs.length);
  const rest = inPattern - turn * chunk;
  const length = Math.min(end - offset, chunk - rest);
  const leg = legs[turn - row * legs.length] as Leg;
  const inLeg = leg.offset + row * step + rest;
  if (leg.below === undefined) {
    place.device = leg.device;
    place.offset = inLeg;
    place.length = length;
    return;
  }
  leg.below.locate(inLeg, place);
  place.length = Math.min(place.length, length);
}

/** Stands in a place that was not filled yet. */
const nowhere = {} as Device;

/** The pieces that a part of a table becomes. */
function* piecesOf(part: Part): Generator<Piece> {
  const { offset, length, chunk, step } = part;
  const [only] = part.legs;
  assert(only !== undefined, "a part has a leg");
  const below = layoutOf(only.device);
  if (chunk !== Infinity || below === undefined) {
    const legs = part.legs.map((area) => legOf(area));
    yield { start: offset, end: offset + length, skip: 0, chunk, step, legs };
    return;
  }
  for (const piece of below.pieces(only)) {
    const from = Math.max(piece.start, only.offset);
    const to = Math.min(piece.end, only.offset + length);
    const start = offset + from - only.offset;
    const skip = piece.skip + from - piece.start;
    yield { ...piece, start, end: start + to - from, skip };
  }
}

/** A leg; one that lies in a single linear piece below goes straight to that piece's leaf. */
function legOf(area: Area): Leg {
  const { device, offset } = area;
  const below = layoutOf(device);
  const [piece, second] = below === undefined ? [] : [...below.pieces(area)];
  const [leg] = piece?.legs ?? [];
  if (piece === undefined || leg === undefined || second !== undefined || piece.chunk !== Infinity)
    return { device, below, offset };
  return { ...leg, offset: leg.offset + offset - piece.start + piece.skip };
}

/** A range of addresses, cut to a piece, in bytes of the piece's pattern. */
export function patternOf(piece: Piece, range: ByteRange): ByteRange {
  const start = Math.max(range.offset, piece.start);
  const end = Math.min(range.offset + range.length, piece.end);
  return { offset: start - piece.start + piece.skip, length: Math.max(0, end - start) };
}

/** What a range of a piece's pattern holds of one leg: one range of the leg, from the leg's beginning, with the gaps between its turns. */
export function legShare(piece: Piece, index: number, window: ByteRange): ByteRange {
  if (piece.chunk === Infinity) return window;
  const before = legBytesBefore(piece, index, window.offset);
  const bytes = legBytesBefore(piece, index, window.offset + window.length) - before;
  const offset = spread(piece, before);
  return { offset, length: bytes === 0 ? 0 : spread(piece, before + bytes - 1) + 1 - offset };
}

/** Where a leg has the byte that is its `nth`, gaps not counted. */
function spread({ chunk, step }: Piece, nth: number): number {
  if (chunk === step) return nth;
  const row = Math.floor(nth / chunk);
  return row * step + (nth - row * chunk);
}

/** The parts of a range of a leg that are its turns. */
function* turnsOf({ chunk, step }: Piece, range: ByteRange): Generator<ByteRange> {
  if (chunk === step) {
    yield range;
    return;
  }
  const end = range.offset + range.length;
  for (let row = Math.floor(range.offset / step); row * step < end; row += 1) {
    const offset = Math.max(range.offset, row * step);
    const length = Math.min(end, row * step + chunk) - offset;
    if (length > 0) yield { offset, length };
  }
}

/** Bytes of a leg before a place of the pattern. */
function legBytesBefore(piece: Piece, index: number, at: number): number {
  const { chunk, legs } = piece;
  const row = Math.floor(at / (chunk * legs.length));
  const rest = at - row * chunk * legs.length - index * chunk;
  return row * chunk + Math.min(Math.max(rest, 0), chunk);
}

/** The address of a byte of a leg; of one in a gap, the address of the next turn. */
export function addressOf(piece: Piece, index: number, inLeg: number): number {
  const { start, skip, chunk, step, legs } = piece;
  if (chunk === Infinity) return inLeg - skip + start;
  let row = Math.floor(inLeg / step);
  let rest = inLeg - row * step;
  if (rest >= chunk) {
    row += 1;
    rest = 0;
  }
  return (row * legs.length + index) * chunk + rest - skip + start;
}

/** The addresses of a range of a leg, ascending: one range a chunk; gaps have none. */
export function* outOfLeg(piece: Piece, index: number, range: ByteRange): Generator<ByteRange> {
  const { chunk, step } = piece;
  const end = range.offset + range.length;
  for (let at = range.offset; at < end;) {
    const turn = chunk === Infinity ? at : at - (at % step);
    const stop = Math.min(end, turn + chunk);
    if (stop > at) yield { offset: addressOf(piece, index, at), length: stop - at };
    at = Math.min(end, turn + step);
  }
}
