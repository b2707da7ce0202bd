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

  /**
   * The mapped bytes of a range where every one of them may be given out as it stands: nothing hides under them that only a `load` would meet.
   * Asks no list: `probe` first (R1, R6). They are the memory itself: whoever gives them out copies them, or is done with them, before anything else
   * happens to the device.
   *
   * @returns `undefined` where that is not known, or where the range lies in two windows: `load` it
   */
  goodView?(offset: number, length: number): Uint8Array | undefined;

  /**
   * Copies out of the memory and stops at the first byte that it cannot give (`_copy_mc_to_iter`): latent poison that it meets becomes
   * known. Asks no list: `probe` first (R1, R6).
   *
   * @returns bytes copied, from the start of the range; `into` behind them is as it was
   */
  load(into: Uint8Array, offset: number): number;

  /**
   * Copies into the memory, where no known poison is (`dax_copy_from_iter`): `probe` first. Not durable before the device's `flush`.
   *
   * @throws {MediaError} if the medium refuses
   * @throws {StorageError} if the device is open for reading, or an earlier flush failed
   */
  store(from: Uint8Array, offset: number): void;

  /**
   * Reads back what was stored, past whatever stands between, to prove it: latent poison under it becomes known. Memory that cannot have
   * any (this process' own, a file on healthy storage) is not read. `RWF_RECOVERY_DATA` asks this of every store (R5).
   *
   * @returns whether all of it stands; where not, `heal` it
   */
  stands(from: Uint8Array, offset: number): boolean;

  /**
   * Copies what there is before the first bad byte, by the list and the media, to the byte: the reading half of `RWF_RECOVERY_DATA`
   * ("recovery", which tries transient errors again), or one plain attempt ("failFast").
   *
   * @returns bytes copied, from the start of the range; `into` behind them is as it was
   */
  loadUpTo(into: Uint8Array, offset: number, mode: "recovery" | "failFast"): number;

  /**
   * Writes over good bytes and bad ones, whole clear units or parts: `Device.write` in "recovery", on this thread.
   *
   * @throws {MediaError} if a bad range cannot be healed: the ranges named are still bad (R5)
   */
  heal(from: Uint8Array, offset: number): void;

  /**
   * Stores an aligned line of 64 bytes as MOVDIR64B does: where it is bad, known or latent, clear and data are one step, without an intent, and
   * durable on return; elsewhere it is an ordinary store.
   *
   * @throws {MediaError} if the line is bad, and the device does not clear so or refuses (R5)
   * @throws {RangeError} if it is not 64 bytes at a multiple of 64
   */
  storeLine(line: Uint8Array, offset: number): void;

  /** Zeros whole pages; clears poison in them, as `pmem_dax_zero_page_range`. @throws {MediaError} if a clear fails */
  zeroPages(page: number, pages: number): void;

  /**
   * Clears and writes whole pages' poison with data as one step (`pmem_recovery_write`).
   *
   * @returns bytes written, from the start of the range
   */
  recoveryWrite(from: Uint8Array, offset: number): number;
}
