/**
 * ExtentTable: what a file stands on, as Linux' `struct iomap` tells it (include/linux/iomap.h), whole and in memory.
 *
 * A look-up allocates nothing: it answers with the index of an extent, and remembers it for the next one. Neighbours that lie one behind the
 * other on the device are one extent, because that is what decides how far a window of the kernel's reaches (`dax_iomap_iter`).
 */
import { assert, type ByteRange } from "../base/index.ts";

/**
 * What an extent is.
 *
 * - "data": bytes on the device
 * - "hole", "unwritten": reads as zeros; the media is not touched
 * - "inline": bytes on the device, inside an inode: read as data, not to be written
 * - "unknown": the map of this part cannot be read
 */
export type ExtentKind = "data" | "hole" | "unwritten" | "inline" | "unknown";

/** One extent of a file; a file system's own extents are of this shape. Bytes. */
export interface FileExtent extends ByteRange {
  readonly kind: ExtentKind;
  /** First byte on the device; of data, inline and unwritten. */
  readonly device?: number;
}

/** The extents of one file, from 0 on, without gaps. They may reach past the file's end, where blocks are allocated there. */
export class ExtentTable {
  readonly #starts: Float64Array;
  readonly #devices: Float64Array;
  readonly #kinds: readonly ExtentKind[];
  /** Index of the extent that the last look-up found. */
  #last = 0;

  /** @param extents ascending, from 0 on, each beginning where the one before ends */
  constructor(extents: readonly FileExtent[]) {
    const joined = join(extents);
    this.#starts = new Float64Array(joined.length + 1);
    this.#devices = new Float64Array(joined.length);
    this.#kinds = joined.map(({ kind }) => kind);
    for (const [index, extent] of joined.entries()) {
      this.#starts[index] = extent.offset;
      this.#devices[index] = extent.device ?? -1;
    }
    const last = joined.at(-1);
    this.#starts[joined.length] = last === undefined ? 0 : last.offset + last.length;
  }

  /** Byte behind the last extent. */
  get end(): number {
    return this.#starts[this.#kinds.length]!;
  }

  /** Index of the extent that holds a byte; -1 behind the last one. */
  find(offset: number): number {
    const starts = this.#starts;
    const last = this.#last;
    if (starts[last]! <= offset && offset < starts[last + 1]!) return last;
    if (offset < 0 || offset >= this.end) return -1;
    let low = 0;
    let high = this.#kinds.length;
    while (high - low > 1) {
      const middle = (low + high) >>> 1;
      if (starts[middle]! <= offset) low = middle;
      else high = middle;
    }
    this.#last = low;
    return low;
  }

  kind(index: number): ExtentKind {
    return this.#kinds[index]!;
  }

  /** First byte of an extent, in the file. */
  start(index: number): number {
    return this.#starts[index]!;
  }

  /** Byte behind an extent, in the file. */
  stop(index: number): number {
    return this.#starts[index + 1]!;
  }

  /** Where a byte of an extent lies on the device; of data and inline. */
  deviceOf(index: number, offset: number): number {
    return this.#devices[index]! + (offset - this.#starts[index]!);
  }
}

/** Checks that extents follow each other, and joins what lies together. */
function join(extents: readonly FileExtent[]): FileExtent[] {
  const joined: FileExtent[] = [];
  let end = 0;
  for (const extent of extents) {
    assert(extent.offset === end && extent.length > 0, "extents follow each other from 0 on");
    end += extent.length;
    const last = joined.at(-1);
    if (last !== undefined && continues(last, extent)) {
      joined[joined.length - 1] = { ...last, length: last.length + extent.length };
    } else joined.push(extent);
  }
  return joined;
}

function continues(last: FileExtent, next: FileExtent): boolean {
  if (last.kind !== next.kind) return false;
  if (last.device === undefined || next.device === undefined) return last.device === next.device;
  return last.device + last.length === next.device;
}
