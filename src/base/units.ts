/** Units: sizes with a name, rounding that stays exact to 2^53, and the texts people write sizes in. */

/** Bytes of a sector, everywhere: the unit of Linux' block layer, whatever the disk says. */
export const SECTOR = 512;

/** Bytes of a page where a device names no other size. */
export const PAGE = 4096;

/** Largest offset that a plain `number` holds exactly. */
export const MAX_OFFSET: number = Number.MAX_SAFE_INTEGER;

/** The largest multiple of `unit` that is not above `value`. Exact to 2^53; no bit operations. */
export function roundDown(value: number, unit: number): number {
  return value - (value % unit);
}

/** The smallest multiple of `unit` that is not below `value`. Exact to 2^53. */
export function roundUp(value: number, unit: number): number {
  const rest = value % unit;
  return rest === 0 ? value : value - rest + unit;
}

/** Whether `value` is a power of two from 1 up. */
export function isPowerOfTwo(value: number): boolean {
  return Number.isSafeInteger(value) && value > 0 && Number.isInteger(Math.log2(value));
}

const SUFFIXES = ["", "K", "M", "G", "T", "P"] as const;

/**
 * Reads a size or offset as people write it: `4096`, `0x1000`, `64K`, `256M`, `1.5G`, `4KiB`, `8s` (sectors).
 * Suffixes are powers of 1024.
 *
 * @returns bytes, a safe non-negative integer
 * @throws {RangeError} if the text is no such number, is not a whole number of bytes, or is above 2^53
 */
export function parseSize(text: string): number {
  const hex = /^0x[0-9a-f]+$/i.test(text) ? Number(text) : undefined;
  const match = /^(\d+(?:\.\d+)?)(?:([KMGTP])(?:i?B)?|(s)|B)?$/i.exec(text);
  const scale = match?.[3] ? SECTOR : 1024 ** SUFFIXES.indexOf((match?.[2] ?? "").toUpperCase() as "K");
  const value = hex ?? (match ? Number(match[1]) * scale : Number.NaN);
  if (!Number.isSafeInteger(value)) {
    throw new RangeError(`Cannot read size "${text}": want bytes such as 4096, 0x1000, 64K, 256M or 8s`);
  }
  return value;
}

/** Bytes for people, in at most seven characters: `512 B`, `4.0 KiB`, `1.5 GiB`. */
export function formatSize(bytes: number): string {
  let step = 0;
  let value = bytes;
  while (value >= 1024 && step < SUFFIXES.length - 1) {
    value /= 1024;
    step += 1;
  }
  return step === 0 ? `${bytes} B` : `${value >= 100 ? value.toFixed(0) : value.toFixed(1)} ${SUFFIXES[step]}iB`;
}
