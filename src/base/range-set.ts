/**
 * RangeSet: a set of bytes kept as sorted, merged, half-open ranges; of any number, ten million too.
 *
 * A look-up is two short searches, a change copies a few hundred ranges at most and whatever it removes is dropped a
 * chunk at a time; a range takes 17 to 19 bytes (range-store.ts has the structure, bench/range-set.ts the figures).
 *
 * Offsets and lengths are bytes, whole, from 0, their sum at most 2^53. Every call checks that and throws `TypeError` for
 * what is no whole number from 0, `RangeError` for what ends past 2^53. Look-ups allocate nothing but what they return.
 *
 * A set may change while it is walked: every iterator goes on behind the last byte it gave, over the set as it then is.
 */
import type { ByteRange } from "./byte-range.ts";
import { RangeCursor } from "./range-cursor.ts";
import { RangeStore } from "./range-store.ts";

/** The first offset that a byte cannot have: 2^53. */
const END_OF_OFFSETS = 2 ** 53;

/** How a set keeps its ranges. */
export interface RangeSetOptions {
  /** Most ranges in a chunk, from 4 to 65536: changes copy up to that many. @default 512 */
  readonly rangesPerChunk?: number;
}

/** A set of bytes as sorted, merged ranges. Touching ranges merge; empty ones are ignored. */
export class RangeSet {
  #store: RangeStore;

  /** @throws {RangeError} if `rangesPerChunk` is out of range */
  constructor(options: RangeSetOptions = {}) {
    const limit = options.rangesPerChunk ?? 512;
    if (!Number.isInteger(limit) || limit < 4 || limit > 65536) {
      throw new RangeError(`Cannot make range set: want 4 to 65536 ranges a chunk: got ${limit}`);
    }
    this.#store = new RangeStore(limit);
  }

  /** Makes a set of any ranges, in any order, overlapping or not. */
  static from(ranges: Iterable<ByteRange>): RangeSet {
    const set = new RangeSet();
    for (const range of ranges) set.add(range.offset, range.length);
    return set;
  }

  /**
   * Makes a set of ranges that are sorted: range `i` is `[starts[i], ends[i])`. Ranges that touch merge. The arrays are copied.
   *
   * @throws {RangeError} if the lengths differ, or range `i` is empty, is not in whole bytes up to 2^53, or begins before the end of
   * the one before; the message names `i`
   */
  static fromSorted(
    starts: Float64Array,
    ends: Float64Array,
    options: RangeSetOptions = {},
  ): RangeSet {
    const count = starts.length;
    if (ends.length !== count) {
      throw new RangeError(`Cannot make range set: ${count} starts, but ${ends.length} ends`);
    }
    const set = new RangeSet(options);
    for (let at = 0; at < count;) {
      const start = starts[at]!;
      checkSorted(starts, ends, at);
      let end = ends[at]!;
      for (at += 1; at < count && starts[at] === end; at += 1) {
        checkSorted(starts, ends, at);
        end = ends[at]!;
      }
      set.#store.append(start, end);
    }
    return set;
  }

  /** Number of ranges. */
  get size(): number {
    return this.#store.size;
  }

  /** Number of bytes in all ranges together. */
  get byteLength(): number {
    return this.#store.byteLength;
  }

  /** Adds `[offset, offset + length)`. */
  add(offset: number, length: number): void {
    checkSpan(offset, length);
    if (length > 0) this.#store.add(offset, offset + length);
  }

  /** Takes `[offset, offset + length)` out; ranges that it cuts keep their other parts. */
  delete(offset: number, length: number): void {
    checkSpan(offset, length);
    if (length > 0) this.#store.delete(offset, offset + length);
  }

  /** Forgets everything. */
  clear(): void {
    this.#store.clear();
  }

  /** Whether any byte of `[offset, offset + length)` is in the set. */
  intersects(offset: number, length: number): boolean {
    checkSpan(offset, length);
    const store = this.#store;
    return length > 0 && store.seek(offset + length - 1) && store.end > offset;
  }

  /** Whether every byte of `[offset, offset + length)` is in the set; true for an empty range. */
  covers(offset: number, length: number): boolean {
    checkSpan(offset, length);
    const store = this.#store;
    return length === 0 || (store.seek(offset) && store.end >= offset + length);
  }

  /** The first part of the set inside `[offset, offset + length)`, clipped to it. */
  first(offset: number, length: number): ByteRange | undefined {
    checkSpan(offset, length);
    const end = offset + length;
    const cursor = this.cursor(offset);
    if (!cursor.next() || cursor.start >= end) return undefined;
    return { offset: cursor.start, length: Math.min(end, cursor.end) - cursor.start };
  }

  /** The parts of the set inside `[offset, offset + length)`, ascending, clipped to it. */
  *within(offset: number, length: number): Generator<ByteRange> {
    checkSpan(offset, length);
    const end = offset + length;
    const cursor = this.cursor(offset);
    while (cursor.next() && cursor.start < end) {
      yield { offset: cursor.start, length: Math.min(end, cursor.end) - cursor.start };
    }
  }

  /** What of `[offset, offset + length)` is not in the set, ascending. */
  *gaps(offset: number, length: number): Generator<ByteRange> {
    let at = offset;
    for (const part of this.within(offset, length)) {
      if (part.offset > at) yield { offset: at, length: part.offset - at };
      at = part.offset + part.length;
    }
    if (at < offset + length) yield { offset: at, length: offset + length - at };
  }

  /** A walk from `offset` on that makes no object for a range: what large merges use. */
  cursor(offset = 0): RangeCursor {
    checkSpan(offset, 0);
    return new RangeCursor(this.#store, offset);
  }

  /** All ranges, ascending. */
  [Symbol.iterator](): Iterator<ByteRange> {
    return this.within(0, END_OF_OFFSETS);
  }

  /** A copy that shares nothing. */
  clone(): RangeSet {
    const copy = new RangeSet();
    copy.#store = this.#store.clone();
    return copy;
  }
}

/**
 * Checks a span that a caller gave. The sum itself is not compared, because it rounds past 2^53; and `Math.floor` stands for
 * `Number.isInteger`, which costs ten times the look-up where V8 does not inline it.
 */
function checkSpan(offset: number, length: number): void {
  const whole = Math.floor(offset) === offset && Math.floor(length) === length;
  if (whole && offset >= 0 && length >= 0 && length <= END_OF_OFFSETS - offset) return;
  if (whole && offset >= 0 && length >= 0 && length < Infinity) {
    throw new RangeError(
      `Cannot use range: offset ${offset} + length ${length} is past the largest offset, 2^53`,
    );
  }
  throw new TypeError(
    `Cannot use range: want whole, non-negative offset and length: got offset ${offset}, length ${length}`,
  );
}

/** Checks range `at` of a sorted list against the one before. */
function checkSorted(starts: Float64Array, ends: Float64Array, at: number): void {
  const start = starts[at]!;
  const end = ends[at]!;
  const before = at === 0 ? 0 : ends[at - 1]!;
  if (
    start >= before &&
    start < end &&
    end <= END_OF_OFFSETS &&
    Math.floor(start) === start &&
    Math.floor(end) === end
  ) {
    return;
  }
  throw new RangeError(
    `Cannot make range set: range ${at} is [${start}, ${end}) behind ${before}: want whole, sorted, not empty, up to 2^53`,
  );
}
