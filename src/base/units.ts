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
  // Math.log2 alone rounds: it says 53 for 2^53 - 1.
  return Number.isSafeInteger(value) && value > 0 && 2 ** Math.round(Math.log2(value)) === value;
}

/** Longest text that can be a size; a longer one is somebody's file. */
const SIZE_TEXT_MAX = 40;

const SUFFIXES = ["", "K", "M", "G", "T", "P"] as const;

/**
 * Reads a size or offset as people write it: `4096`, `0x1000`, `64K`, `256M`, `1.5G`, `4KiB`, `8s` (sectors).
 * Suffixes are powers of 1024.
 *
 * @returns bytes, a safe non-negative integer
 * @throws {RangeError} if the text is no such number, is not a whole number of bytes, or is above 2^53
 */
export function parseSize(text: string): number {
  const value = text.length <= SIZE_TEXT_MAX ? exactSize(text) : undefined;
  if (value === undefined || value > BigInt(MAX_OFFSET)) {
    const shown = JSON.stringify(text.slice(0, SIZE_TEXT_MAX));
    throw new RangeError(
      `Cannot read size ${shown}: want bytes such as 4096, 0x1000, 64K, 256M or 8s`,
    );
  }
  return Number(value);
}

/** The bytes that a text says, or `undefined`. In BigInt: a `number` would round a part of a byte away near 2^53. */
function exactSize(text: string): bigint | undefined {
  if (/^0x[0-9a-f]+$/i.test(text)) return BigInt(text);
  const match = /^(\d+)(?:\.(\d+))?(?:([KMGTP])(?:i?B)?|(s)|B)?$/i.exec(text);
  if (match === null) return undefined;
  const [, whole = "", part = "", suffix = "", sectors] = match;
  const step = SUFFIXES.indexOf(suffix.toUpperCase() as "K");
  const scale = sectors === undefined ? 1024n ** BigInt(step) : BigInt(SECTOR);
  const scaled = BigInt(whole + part) * scale;
  const divisor = 10n ** BigInt(part.length);
  return scaled % divisor === 0n ? scaled / divisor : undefined;
}

/** Bytes for people, in at most eight characters: `512 B`, `4.0 KiB`, `1.5 GiB`, `1023 MiB`. */
export function formatSize(bytes: number): string {
  let step = 0;
  let value = bytes;
  // What would be rounded to 1024 of a unit is 1.0 of the next.
  while (value >= (step === 0 ? 1024 : 1023.5) && step < SUFFIXES.length - 1) {
    value /= 1024;
    step += 1;
  }
  return step === 0
    ? `${bytes} B`
    : `${value >= 99.95 ? value.toFixed(0) : value.toFixed(1)} ${SUFFIXES[step]}iB`;
}
