/** SparseWriter: writes an output and leaves pages of zeros out, so that holes of the source are holes of the copy. */
import { endOf, PAGE, roundUp, type ByteRange } from "../../base/index.ts";
import { dataRanges, type HostFile } from "../../os/index.ts";

const ZEROS = Buffer.alloc(1024 * 1024);

/** Writes into a file that reads as zeros wherever nothing was written, or that an earlier run left. */
export class SparseWriter {
  readonly #file: HostFile;
  readonly #used: boolean;
  readonly #old = new Uint8Array(ZEROS.length);

  /** @param used whether an earlier run may have left bytes: then zeros are compared before they are left out */
  constructor(file: HostFile, used: boolean) {
    this.#file = file;
    this.#used = used;
  }

  /** Writes all of `bytes`; pages of the file that are zeros throughout are left out. */
  write(bytes: Uint8Array, offset: number): void {
    let from = 0;
    let at = 0;
    while (at < bytes.length) {
      const next = Math.min(bytes.length, roundUp(offset + at + 1, PAGE) - offset);
      if (isZero(bytes.subarray(at, next))) {
        if (from < at) this.#file.writeSync(bytes.subarray(from, at), offset + from);
        if (this.#used) this.#blankRange({ offset: offset + at, length: next - at });
        from = next;
      }
      at = next;
    }
    if (from < at) this.#file.writeSync(bytes.subarray(from, at), offset + from);
  }

  /** Makes ranges read as zeros, where an earlier run left something there. */
  blank(ranges: readonly ByteRange[]): void {
    if (!this.#used) return;
    for (const range of ranges)
      for (const data of dataRanges(this.#file, range)) this.#blankRange(data);
  }

  #blankRange(range: ByteRange): void {
    for (let at = range.offset; at < endOf(range);) {
      const length = Math.min(ZEROS.length, endOf(range) - at);
      const old = this.#old.subarray(0, length);
      if (this.#file.readSync(old, at) > 0 && !isZero(old))
        this.#file.writeSync(ZEROS.subarray(0, length), at);
      at += length;
    }
  }
}

function isZero(bytes: Uint8Array): boolean {
  if (bytes[0] !== 0 || bytes.at(-1) !== 0) return false;
  return Buffer.compare(bytes, ZEROS.subarray(0, bytes.length)) === 0;
}
