/** Byte ranges: half-open `[offset, offset + length)`, in bytes, and the arithmetic on two of them. */

/** A half-open range of bytes. `offset` from 0, `length` from 0, their sum at most 2^53. */
export interface ByteRange {
  readonly offset: number;
  readonly length: number;
}

/** First byte after the range. */
export function endOf(range: ByteRange): number {
  return range.offset + range.length;
}

/** What both ranges hold, or `undefined` where they share no byte. */
export function intersect(one: ByteRange, other: ByteRange): ByteRange | undefined {
  const offset = Math.max(one.offset, other.offset);
  const end = Math.min(endOf(one), endOf(other));
  return offset < end ? { offset, length: end - offset } : undefined;
}

/** The smallest range of whole `unit`s that covers `range`. */
export function alignOut(range: ByteRange, unit: number): ByteRange {
  const offset = range.offset - (range.offset % unit);
  const rest = endOf(range) % unit;
  const end = rest === 0 ? endOf(range) : endOf(range) - rest + unit;
  return { offset, length: end - offset };
}

/** The largest range of whole `unit`s inside `range`; its length is 0 where there is none. */
export function alignIn(range: ByteRange, unit: number): ByteRange {
  const rest = range.offset % unit;
  const offset = rest === 0 ? range.offset : range.offset - rest + unit;
  const end = endOf(range) - (endOf(range) % unit);
  return { offset, length: Math.max(0, end - offset) };
}

/**
 * Checks a range that a caller gave against the size of what it points into.
 *
 * @throws {TypeError} if a number is not a whole non-negative one
 * @throws {RangeError} if the range ends past `size`
 */
export function checkRange(range: ByteRange, size: number): void {
  checkSpan(range.offset, range.length, size);
}

/** The same without an object, for calls that must allocate nothing. */
export function checkSpan(offset: number, length: number, size: number): void {
  if (!Number.isSafeInteger(offset) || offset < 0 || !Number.isSafeInteger(length) || length < 0) {
    throw new TypeError(
      `Cannot use range: want whole, non-negative offset and length: got offset ${offset}, length ${length}`,
    );
  }
  // The sum is not compared: past 2^53 it rounds.
  if (length > size - offset) {
    throw new RangeError(
      `Cannot use range: offset ${offset} + length ${length} is past the end at ${size}`,
    );
  }
}
