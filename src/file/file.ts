/**
 * File: what programs call: preadv2 and pwritev2, with the flag that was proposed for Linux and without it.
 *
 *     const file = await openFile(device, { map, path: "/var/lib/db/heap" });
 *     const count = await file.preadv2(buffer, 8192, RWF_RECOVERY_DATA);   // every byte up to the first bad one
 *     await file.pwritev2(page, 8192, RWF_RECOVERY_DATA);                  // clear and data in one step, or an error
 *
 * A short count is a result. Nothing at all because of bad media is a `MediaError` (EIO). Where Linux answers EFAULT for bad media, EIO.
 */
import type { MaybePromise } from "../base/index.ts";
import type { ReadAround } from "../dax/index.ts";
import type { MapOptions } from "./map-options.ts";
import type { MappedFile } from "./mapped-file.ts";

/** The buffers of one call: one, or up to 1,024 (UIO_MAXIOV), of which any may be empty. */
export type Buffers = Uint8Array | readonly Uint8Array[];

/** Most buffers of a call (UIO_MAXIOV, include/uapi/linux/uio.h). */
export const BUFFERS_MAX = 1024;

/** Most bytes that one call moves (MAX_RW_COUNT, include/linux/fs.h); longer ones are cut to it. */
export const CALL_BYTES_MAX = 0x7fff_f000;

/** The calls of an open file; `Wait` says how they answer: at once, or in time. */
export interface FileCalls<Wait extends "sync" | "async"> {
  /**
   * Reads into the buffers, one after the other. Holes and unwritten extents read as zeros. Behind the count the buffers are as they were on
   * face "dax"; on a block face, where a request is one, other clean bytes of the range may stand at their places. Bad ones never (R1).
   *
   * @param offset bytes; -1 reads at the file's position and moves it
   * @param flags RWF_ flags. @default 0
   * @returns bytes read; 0 at the end of the file
   * @throws {MediaError} EIO, nothing read: bad media (with RWF_RECOVERY_DATA only where the first byte is bad)
   * @throws {StorageError} EOPNOTSUPP for a flag; EINVAL for an offset, a count of buffers, an alignment
   */
  preadv2(buffers: Buffers, offset: number, flags?: number): Answer<Wait, number>;

  /**
   * Writes the buffers, one after the other.
   *
   * @param offset bytes; -1 writes at the file's position and moves it
   * @param flags RWF_ flags. @default 0
   * @returns bytes written, from the start
   * @throws {MediaError} EIO, not even the first byte written: what is named is still bad (R5)
   * @throws {StorageError} EOPNOTSUPP before any byte moves: a hole, unwritten, inline or shared data, past the end, a flag; ENOSPC at the
   *   end of a device; ECANCELED while the file system's journal is not replayed
   */
  pwritev2(buffers: Buffers, offset: number, flags?: number): Answer<Wait, number>;

  /** Every clean piece of a range, and the holes, in one call. `into` is one buffer. */
  readRecover(into: Uint8Array, offset: number): Answer<Wait, ReadAround>;

  /** Makes every earlier write durable. */
  fsync(): Answer<Wait, void>;
}

/** An answer: the value, or a promise of it. */
export type Answer<Wait extends "sync" | "async", T> = Wait extends "sync" ? T : Promise<T>;

/** An open file. */
export interface File extends FileCalls<"async"> {
  /** Path in the image, or the device's name. */
  readonly name: string;
  /** Bytes. */
  readonly size: number;
  /** How it is reached: "dax" is memory, "direct" and "buffered" a block device without and with a page cache. */
  readonly face: Face;
  /** The position that offset -1 means; bytes. */
  position: number;
  /** The same calls on this thread, where all of the file has direct access. */
  readonly direct: FileCalls<"sync"> | undefined;
  /** A handle on the same file whose plain calls try as hard as `mode` says; its position is its own. */
  handle(mode: "recovery" | "failFast"): File;
  /**
   * Maps the file: loads and stores, checked, instead of calls.
   *
   * @throws {StorageError} EOPNOTSUPP if it is not reached through memory (`face` is not "dax")
   */
  map(options?: Omit<MapOptions, "frozen">): MappedFile;
  /** Ends use of the file; the device stays open. Closing twice is allowed. */
  close(): MaybePromise<void>;
}

/**
 * How a file is reached, and so which of Linux' tables its plain calls follow.
 *
 * - "dax": fs/dax.c: a window with known poison is refused whole
 * - "direct": O_DIRECT on a block device: whole sectors of 512 bytes; a bad one fails the call
 * - "buffered": through a page cache: a bad sector hides its page, and a write of a part of a page must read it first
 */
export type Face = "dax" | "direct" | "buffered";
