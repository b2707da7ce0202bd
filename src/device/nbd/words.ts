/**
 * words: big-endian numbers in plain bytes, without a view or a `bigint` for each.
 *
 * A number of eight bytes above 2^53 comes out rounded, and still above 2^53: callers refuse it by its size.
 */

const WORD = 2 ** 32;

/** Reads two bytes. */
export function getU16(bytes: Uint8Array, at: number): number {
  return ((bytes[at] as number) << 8) | (bytes[at + 1] as number);
}

/** Reads four bytes. */
export function getU32(bytes: Uint8Array, at: number): number {
  return (
    (((bytes[at] as number) << 24) |
      ((bytes[at + 1] as number) << 16) |
      ((bytes[at + 2] as number) << 8) |
      (bytes[at + 3] as number)) >>>
    0
  );
}

/** Reads eight bytes: exact up to 2^53, rounded and larger than 2^53 above. */
export function getU64(bytes: Uint8Array, at: number): number {
  return getU32(bytes, at) * WORD + getU32(bytes, at + 4);
}

/** Stores the low 16 bits of a number. */
export function putU16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 8;
  bytes[at + 1] = value;
}

/** Stores the low 32 bits of a number. */
export function putU32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 24;
  bytes[at + 1] = value >>> 16;
  bytes[at + 2] = value >>> 8;
  bytes[at + 3] = value;
}

/** Stores a safe non-negative integer in eight bytes. */
export function putU64(bytes: Uint8Array, at: number, value: number): void {
  putU32(bytes, at, Math.floor(value / WORD));
  putU32(bytes, at + 4, value);
}
