/**
 * heal-job: cuts writes into jobs. A job is a run of clear units that hold bad bytes under some write: what to keep of it, what to
 * store, and which writes stand or fall with it. Jobs come one after the other, so that any number of them fits in memory.
 */
import { alignIn, alignOut, endOf, RangeSet, type ByteRange } from "../base/index.ts";
import type { PoisonView, StateRange } from "../poison/index.ts";
import type { HealWrite } from "./device.ts";
import { fillMarker } from "./marker.ts";

/** A run of clear units with bad bytes that stand in the way of these writes. */
export interface HealJob {
  readonly run: ByteRange;
  /** Indexes into the writes, ascending by offset. */
  readonly writes: readonly number[];
}

/** What of a device decides how writes are cut. */
export interface HealGeometry {
  readonly clearUnit: number;
  readonly size: number;
  /** Whether the medium takes whole clear units only: a disk, which fails to read the rest of a bad one. */
  readonly wholeUnits: boolean;
  /** Whether a run is all of the write and not only its bad units: how Linux' driver clears (`pmem_recovery_write`, `pmem_do_write`). */
  readonly wholeWrites: boolean;
}

/** Bytes of a run of a whole write at most: all that is clean in it is kept by an intent. */
const WHOLE_RUN_MAX = 1024 * 1024;

/** Where bad bytes stand in the way of a write: under it, and on a disk anywhere in the physical blocks that it touches. */
export function reachOf(range: ByteRange, geometry: HealGeometry): ByteRange {
  if (!geometry.wholeUnits || range.length === 0) return range;
  return within(alignOut(range, geometry.clearUnit), geometry.size);
}

/** The writes of one call, sorted. */
export class HealWrites {
  /** Ascending by offset, with the index that the caller knows. */
  readonly sorted: readonly {
    readonly offset: number;
    readonly data: Uint8Array;
    readonly index: number;
  }[];

  /** @throws {RangeError} if two writes overlap */
  constructor(writes: readonly HealWrite[], indexes?: readonly number[]) {
    const sorted = writes
      .map((write, at) => ({ offset: write.offset, data: write.data, index: indexes?.[at] ?? at }))
      .filter((write) => write.data.length > 0)
      .sort((one, other) => one.offset - other.offset);
    for (const [at, write] of sorted.entries()) {
      const before = sorted[at - 1];
      if (before === undefined || before.offset + before.data.length <= write.offset) continue;
      throw new RangeError(
        `Cannot heal: want writes that do not overlap: got two that hold offset ${write.offset}`,
      );
    }
    this.sorted = sorted;
  }

  /** The writes at some positions, with the indexes that the caller knows. */
  only(positions: ReadonlySet<number>): HealWrites {
    const some = this.sorted.filter((_, position) => positions.has(position));
    return new HealWrites(
      some,
      some.map((write) => write.index),
    );
  }

  /** Cuts jobs; the list may change between two of them. */
  *jobs(poison: PoisonView, geometry: HealGeometry): Generator<HealJob> {
    // R6: writes over good bytes, which the second half of a heal proves, ask an empty list nothing.
    if (poison.empty) return;
    let last: HealJob | undefined;
    for (const [position, write] of this.sorted.entries()) {
      const reach = reachOf({ offset: write.offset, length: write.data.length }, geometry);
      const end = endOf(reach);
      for (let at = reach.offset; at < end;) {
        // Looked up anew each time, because the list changes while the jobs before are run.
        const bad = firstBad(poison, { offset: at, length: end - at });
        if (bad === undefined) break;
        const run = geometry.wholeWrites
          ? wholeRun({ offset: write.offset, length: write.data.length }, bad, geometry)
          : within(alignOut(bad, geometry.clearUnit), geometry.size);
        at = endOf(run);
        if (last !== undefined && run.offset < endOf(last.run)) {
          last = join(last, run, position);
        } else {
          if (last !== undefined) yield last;
          last = { run, writes: [position] };
        }
      }
    }
    if (last !== undefined) yield last;
  }

  /** The parts of a range that writes give data for, ascending, as views. */
  data(
    range: ByteRange,
    writes: readonly number[],
  ): { readonly offset: number; readonly data: Uint8Array }[] {
    const pieces: { offset: number; data: Uint8Array }[] = [];
    for (const position of this.#around(writes, range)) {
      const write = this.sorted[position];
      if (write === undefined) continue;
      const from = Math.max(write.offset, range.offset);
      const to = Math.min(write.offset + write.data.length, endOf(range));
      if (from < to)
        pieces.push({
          offset: from,
          data: write.data.subarray(from - write.offset, to - write.offset),
        });
    }
    return pieces;
  }

  /** Positions of the writes of a job and of their neighbours that reach into its run without a bad byte of their own. */
  #around(writes: readonly number[], range: ByteRange): number[] {
    let first = writes[0] ?? 0;
    let last = writes.at(-1) ?? 0;
    const reaches = (position: number): boolean => {
      const write = this.sorted[position];
      return (
        write !== undefined &&
        write.offset < endOf(range) &&
        write.offset + write.data.length > range.offset
      );
    };
    while (reaches(first - 1)) first -= 1;
    while (reaches(last + 1)) last += 1;
    return Array.from({ length: last - first + 1 }, (_, index) => first + index);
  }

  /** Positions of all writes that give data inside a job's run. */
  positions(job: HealJob): number[] {
    return this.#around(job.writes, job.run);
  }
}

/** The part of a write's whole clear units around its first bad bytes that is cleared at once. */
function wholeRun(write: ByteRange, bad: ByteRange, { clearUnit, size }: HealGeometry): ByteRange {
  const units = alignIn(write, clearUnit);
  // The last unit of a device may be a part of one.
  const end = endOf(write) === size ? size : endOf(units);
  // what only the write itself found to be bad may lie in a unit that it covers in part
  if (bad.offset < units.offset || bad.offset >= end) return within(alignOut(bad, clearUnit), size);
  const step = Math.max(WHOLE_RUN_MAX, clearUnit);
  const offset = bad.offset - ((bad.offset - units.offset) % step);
  return { offset, length: Math.min(end - offset, step) };
}

function join(last: HealJob, run: ByteRange, position: number): HealJob {
  const end = Math.max(endOf(last.run), endOf(run));
  const writes = last.writes.at(-1) === position ? last.writes : [...last.writes, position];
  return { run: { offset: last.run.offset, length: end - last.run.offset }, writes };
}

function within(range: ByteRange, size: number): ByteRange {
  return { offset: range.offset, length: Math.min(endOf(range), size) - range.offset };
}

/** The first bad bytes of a range, whatever their states, up to the first good one. */
function firstBad(poison: PoisonView, range: ByteRange): ByteRange | undefined {
  let first: ByteRange | undefined;
  for (const { offset, length } of poison.bad(range)) {
    if (first !== undefined && endOf(first) !== offset) break;
    first = { offset: first?.offset ?? offset, length: (first?.length ?? 0) + length };
  }
  return first;
}

/** What of a run no range covers. */
export function uncovered(
  ranges: readonly StateRange[],
  pieces: readonly { readonly offset: number; readonly data: Uint8Array }[],
): ByteRange[] {
  const set = RangeSet.from(ranges);
  for (const { offset, data } of pieces) set.delete(offset, data.length);
  return [...set];
}

/**
 * The content of a run as writes to the medium: whole units as the caller's own bytes, and units that are only partly given
 * composed of data, kept neighbours and, where bytes are lost, the marker. A disk takes nothing less than a unit.
 */
export function* compose(
  run: ByteRange,
  unit: number,
  pieces: { readonly data: readonly Piece[]; readonly keep: readonly Piece[] },
): Generator<Piece> {
  let at = run.offset;
  let index = 0;
  while (at < endOf(run)) {
    while (pieces.data[index] !== undefined && endOfPiece(pieces.data[index] as Piece) <= at)
      index += 1;
    const piece = pieces.data[index];
    const unitEnd = Math.min(at + unit - (at % unit), endOf(run));
    const whole = piece === undefined ? at : wholeUnitsEnd(piece, { at, unit, end: endOf(run) });
    if (piece !== undefined && whole > at) {
      yield { offset: at, data: piece.data.subarray(at - piece.offset, whole - piece.offset) };
      at = whole;
    } else {
      yield composeUnit({ offset: at, length: unitEnd - at }, pieces);
      at = unitEnd;
    }
  }
}

/** Bytes at a place. */
export interface Piece {
  readonly offset: number;
  readonly data: Uint8Array;
}

function endOfPiece(piece: Piece): number {
  return piece.offset + piece.data.length;
}

/** Up to where a piece covers whole units from `at` on; `at` itself where it does not cover the first. */
function wholeUnitsEnd(
  piece: Piece,
  { at, unit, end }: { at: number; unit: number; end: number },
): number {
  if (piece.offset > at) return at;
  if (endOfPiece(piece) >= end) return end;
  return Math.max(at, endOfPiece(piece) - (endOfPiece(piece) % unit));
}

function composeUnit(
  range: ByteRange,
  pieces: { readonly data: readonly Piece[]; readonly keep: readonly Piece[] },
): Piece {
  const bytes = new Uint8Array(range.length);
  fillMarker(bytes, range.offset);
  for (const piece of [...pieces.keep, ...pieces.data]) {
    const from = Math.max(piece.offset, range.offset);
    const to = Math.min(endOfPiece(piece), endOf(range));
    if (from < to)
      bytes.set(piece.data.subarray(from - piece.offset, to - piece.offset), from - range.offset);
  }
  return { offset: range.offset, data: bytes };
}
