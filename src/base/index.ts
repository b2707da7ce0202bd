/**
 * base: pure ideas without I/O. Ranges and sets of them, units, errors, checksums, clock, random numbers.
 *
 * Promises: offsets and lengths are bytes, exact to 2^53; nothing here reads, writes, waits or prints.
 */
export { assert, AssertionError } from "./assert.ts";
export { Bitmap } from "./bitmap.ts";
export {
  alignIn,
  alignOut,
  checkRange,
  checkSpan,
  endOf,
  intersect,
  type ByteRange,
} from "./byte-range.ts";
export { systemClock, type Clock } from "./clock.ts";
export { crc16 } from "./crc16.ts";
export { crc32c, crc32cWord } from "./crc32c.ts";
export {
  ERROR_CODES,
  MediaError,
  StorageError,
  toStorageError,
  type BadRange,
  type ErrorCode,
  type MediaErrorOptions,
  type StorageErrorOptions,
} from "./errors.ts";
export { FilteredRangeSet } from "./filtered-range-set.ts";
export { isPromise, type MaybePromise } from "./maybe-promise.ts";
export { createPrng, type Prng } from "./prng.ts";
export {
  ProgressMeter,
  type ProgressEvent,
  type ProgressListener,
  type ProgressMeterOptions,
  type ProgressStep,
} from "./progress.ts";
export { difference, intersection, union } from "./range-algebra.ts";
export type { RangeCursor } from "./range-cursor.ts";
export { RangeSet, type RangeSetOptions } from "./range-set.ts";
export {
  formatSize,
  isPowerOfTwo,
  MAX_OFFSET,
  PAGE,
  parseSize,
  roundDown,
  roundUp,
  SECTOR,
} from "./units.ts";
