/**
 * DirectAccess: a device's optional second face, its memory mapped: load and store without a copy.
 *
 * Cut as in the kernel (`struct dax_operations`): drivers offer it, device-mapper passes it on, dax/ uses it. Only for
 * memory and for image files on healthy storage that we hold locked: a load from real media can end the process.
 */
import type { ByteRange } from "../base/index.ts";

/** The synchronous face. Pages are of the device's `pageSize`; offsets and lengths are bytes. */
export interface DirectAccess {
  /**
   * How many pages from `page` on are contiguous and may be accessed.
   *
   * "access" refuses known poison; "recovery" strides as Linux does (`__pmem_direct_access`): up to the page before the
   * first bad one, or over the bad pages where the first one is bad.
   *
   * @returns a count from 1 to `pages`, or 0 where the first page is refused
   */
  probe(page: number, pages: number, mode: "access" | "recovery"): number;

  /**
   * The mapped bytes of a range, at most up to the end of its window; at least one byte for a non-empty range.
   * The view must not be kept after `close`, and its bytes under poison are not data (R1): `probe` first.
   */
  view(range: ByteRange): Uint8Array;

  /** Zeros whole pages; clears poison in them, as `pmem_dax_zero_page_range`. @throws {MediaError} if a clear fails */
  zeroPages(page: number, pages: number): void;

  /**
   * Clears and writes whole pages' poison with data as one step (`pmem_recovery_write`).
   *
   * @returns bytes written, from the start of the range
   */
  recoveryWrite(from: Uint8Array, offset: number): number;
}
