/** RangeSet: a set of bytes kept as sorted, merged, half-open ranges. */
import { endOf, type ByteRange } from "./byte-range.ts";

/** A set of bytes as sorted, merged ranges. Touching ranges merge; empty ones are ignored. */
export class RangeSet {
  #ranges: ByteRange[] = [];

  /** Makes a set of any ranges, in any order, overlapping or not. */
  static from(ranges: Iterable<ByteRange>): RangeSet {
    const set = new RangeSet();
    for (const range of ranges) set.add(range.offset, range.length);
    return set;
  }

  /** Number of ranges. */
  get size(): number {
    return this.#ranges.length;
  }

  /** Number of bytes in all ranges together. */
  get byteLength(): number {
    return this.#ranges.reduce((sum, range) => sum + range.length, 0);
  }

  /** Adds `[offset, offset + length)`. */
  add(offset: number, length: number): void {
    if (length <= 0) return;
    let start = offset;
    let end = offset + length;
    const rest = this.#ranges.filter((range) => {
      if (range.offset > end || endOf(range) < start) return true;
      start = Math.min(start, range.offset);
      end = Math.max(end, endOf(range));
      return false;
    });
    rest.push({ offset: start, length: end - start });
    this.#ranges = rest.sort((one, other) => one.offset - other.offset);
  }

  /** Takes `[offset, offset + length)` out; ranges that it cuts keep their other parts. */
  delete(offset: number, length: number): void {
    const end = offset + length;
    this.#ranges = this.#ranges.flatMap((range) => {
      if (range.offset >= end || endOf(range) <= offset) return [range];
      return [
        { offset: range.offset, length: offset - range.offset },
        { offset: end, length: endOf(range) - end },
      ].filter((part) => part.length > 0);
    });
  }

  /** Forgets everything. */
  clear(): void {
    this.#ranges = [];
  }

  /** Whether any byte of `[offset, offset + length)` is in the set. */
  intersects(offset: number, length: number): boolean {
    return this.first(offset, length) !== undefined;
  }

  /** Whether every byte of `[offset, offset + length)` is in the set; true for an empty range. */
  covers(offset: number, length: number): boolean {
    return length === 0 || this.first(offset, length)?.length === length;
  }

  /** The first part of the set inside `[offset, offset + length)`, clipped to it. */
  first(offset: number, length: number): ByteRange | undefined {
    for (const part of this.within(offset, length)) return part;
    return undefined;
  }

  /** The parts of the set inside `[offset, offset + length)`, ascending, clipped to it. */
  *within(offset: number, length: number): Generator<ByteRange> {
    for (const range of this.#ranges) {
      const start = Math.max(offset, range.offset);
      const end = Math.min(offset + length, endOf(range));
      if (start < end) yield { offset: start, length: end - start };
    }
  }

  /** What of `[offset, offset + length)` is not in the set, ascending. */
  *gaps(offset: number, length: number): Generator<ByteRange> {
    let at = offset;
    for (const part of this.within(offset, length)) {
      if (part.offset > at) yield { offset: at, length: part.offset - at };
      at = endOf(part);
    }
    if (at < offset + length) yield { offset: at, length: offset + length - at };
  }

  /** All ranges, ascending. The set must not change meanwhile. */
  [Symbol.iterator](): Iterator<ByteRange> {
    return this.#ranges[Symbol.iterator]();
  }

  /** A copy that shares nothing. */
  clone(): RangeSet {
    const copy = new RangeSet();
    copy.#ranges = [...this.#ranges];
    return copy;
  }
}
