/**
 * SalvageOutput: the file that is salvaged into: several writes at once, pages of zeros left out, so that holes of the source are holes of the copy.
 *
 * Bytes are always written, never cloned: a clone would share the blocks that fail.
 */
import { endOf, PAGE, roundUp, type ByteRange } from "../../base/index.ts";
import { dataRanges, type HostFile } from "../../os/index.ts";

const ZEROS = Buffer.alloc(1024 * 1024);
/** Bytes below which a write is done on this thread: the thread pool costs more. */
const POOL_FROM = 64 * 1024;

/** A file that reads as zeros wherever nothing was written, or that an earlier run left. */
export class SalvageOutput {
  readonly path: string;
  readonly #file: HostFile;
  readonly #used: boolean;
  readonly #old = new Uint8Array(ZEROS.length);

  /** @param used whether an earlier run may have left bytes: then zeros are compared before they are left out */
  constructor(file: HostFile, used: boolean) {
    this.path = file.path;
    this.#file = file;
    this.#used = used;
  }

  /** Writes all of `bytes`, which must not change until then; pages of the file that are zeros throughout are left out. */
  async write(bytes: Uint8Array, offset: number): Promise<void> {
    const writes: Promise<void>[] = [];
    try {
      this.#writePages(bytes, offset, writes);
    } finally {
      // All must have ended, also where one failed: the bytes may change afterwards.
      await Promise.allSettled(writes);
    }
    await Promise.all(writes);
  }

  #writePages(bytes: Uint8Array, offset: number, writes: Promise<void>[]): void {
    let from = 0;
    let at = 0;
    while (at < bytes.length) {
      const next = Math.min(bytes.length, roundUp(offset + at + 1, PAGE) - offset);
      if (isZero(bytes, at, next)) {
        this.#put(bytes.subarray(from, at), offset + from, writes);
        if (this.#used) this.#blankRange({ offset: offset + at, length: next - at });
        from = next;
      }
      at = next;
    }
    this.#put(bytes.subarray(from, at), offset + from, writes);
  }

  #put(piece: Uint8Array, offset: number, writes: Promise<void>[]): void {
    if (piece.length === 0) return;
    if (piece.length >= POOL_FROM && this.#file.write !== undefined)
      writes.push(this.#file.write(piece, offset));
    else this.#file.writeSync(piece, offset);
  }

  /** Makes ranges read as zeros, where an earlier run left something there. */
  blank(ranges: Iterable<ByteRange>): void {
    if (!this.#used) return;
    for (const range of ranges)
      for (const data of dataRanges(this.#file, range)) this.#blankRange(data);
  }

  /** Makes everything that was written durable. */
  sync(): void {
    this.#file.sync();
  }

  #blankRange(range: ByteRange): void {
    for (let at = range.offset; at < endOf(range);) {
      const length = Math.min(ZEROS.length, endOf(range) - at);
      const old = this.#old.subarray(0, length);
      if (this.#file.readSync(old, at) > 0 && !isZero(old, 0, length))
        this.#file.writeSync(ZEROS.subarray(0, length), at);
      at += length;
    }
  }
}

/** Whether `bytes` from `from` to `to` are zeros; most that are not show it at their ends. */
function isZero(bytes: Uint8Array, from: number, to: number): boolean {
  if (bytes[from] !== 0 || bytes[to - 1] !== 0) return false;
  return Buffer.compare(bytes.subarray(from, to), ZEROS.subarray(0, to - from)) === 0;
}
