/**
 * FilledPages: which pages of a mapped file surely have their blocks, so that a store through the mapping cannot end the process.
 *
 * A store into a page whose block is yet to be allocated is SIGBUS where the disk is full (`page_mkwrite` has no other way to fail). So a
 * page counts as filled once the file system said that it holds data, or it was written whole with pwrite(2); all others take their first
 * store through the file, which fails as a call does. That is enough where a block, once there, is written in place: ext2, ext3, ext4
 * (`ext4_page_mkwrite` allocates nothing where all of the page is mapped) and tmpfs. XFS and btrfs may copy a shared block on any write and
 * run out of space then; what overlayfs stands on is not told; elsewhere nobody looked. There every store goes through the file.
 *
 * Either way a store is durable after fsync(2) of the file: Linux writes out pages that a shared mapping made dirty as it does any other
 * (since 2.6.19 the first store to a clean page is noticed, mm/memory.c `do_shared_fault`, `do_wp_page`), and msync(2) with MS_SYNC is
 * itself nothing but `vfs_fsync_range` (mm/msync.c).
 */
import { statfsSync } from "node:fs";
import { alignIn, Bitmap, PAGE, type ByteRange } from "../base/index.ts";
import type { NodeFile } from "./node-files.ts";
import { dataRanges } from "./seek-hole.ts";

/** `f_type` of file systems that write a block in place: ext2 to ext4, tmpfs (statfs(2)). */
const IN_PLACE: ReadonlySet<number> = new Set([0xef53, 0x01021994]);
/** Bits of an offset in a page. */
const PAGE_SHIFT = 12;
/** Data ranges of a window that are asked for: what lies behind them is filled by its first store. */
const MAX_RANGES = 4096;

/** Whether blocks of an open file, once there, stay for good. */
function writesInPlace(file: NodeFile): boolean {
  if (process.platform !== "linux" || file.kind !== "file") return false;
  try {
    return IN_PLACE.has(statfsSync(`/proc/self/fd/${file.fd}`).type);
  } catch {
    return false;
  }
}

/**
 * The filled pages of one window of a file.
 *
 * @returns `undefined` where no store may go through the mapping
 */
export function filledPages(file: NodeFile, window: ByteRange): FilledPages | undefined {
  return writesInPlace(file) ? new FilledPages(file, window) : undefined;
}

/** The filled pages of one window. Offsets are bytes from the start of the window. */
export class FilledPages {
  readonly #length: number;
  readonly #pages: Bitmap;

  /** Asks the file system what is filled already. */
  constructor(file: NodeFile, window: ByteRange) {
    this.#length = window.length;
    this.#pages = new Bitmap(Math.ceil(window.length / PAGE));
    let count = 0;
    for (const { offset, length } of dataRanges(file, window)) {
      this.noteWritten(offset - window.offset, length);
      count += 1;
      if (count === MAX_RANGES) break;
    }
  }

  /** Whether every page that a range touches is filled. */
  has(offset: number, length: number): boolean {
    if (length === 0) return true;
    // A window is far below 2^31 bytes, so shifts are exact.
    return this.#pages.hasAll(offset >>> PAGE_SHIFT, ((offset + length - 1) >>> PAGE_SHIFT) + 1);
  }

  /** The file was written here: the pages inside are filled, the last one too where the file ends in it. */
  noteWritten(offset: number, length: number): void {
    const end = offset + length;
    const whole = end === this.#length ? Math.ceil(end / PAGE) * PAGE : end;
    const pages = alignIn({ offset, length: whole - offset }, PAGE);
    if (pages.length === 0) return;
    this.#pages.set(pages.offset / PAGE, (pages.offset + pages.length) / PAGE);
  }
}
