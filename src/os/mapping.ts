/**
 * mapping: a file mapped into memory, in windows.
 *
 * What can go wrong, all of it measured, and what is done:
 * - A load past the end of the file, or a store into a hole on a full disk, is SIGBUS and ends the process: only whole files on healthy
 *   storage that we hold locked are mapped, never past their end, and a first store goes through the file (filled-pages.ts).
 * - A view kept after munmap reads whatever is mapped there next: a window is unmapped only once its ArrayBuffer is collected.
 * - A view over 4 GiB aborts, and every new one costs milliseconds of collection: windows of 1 GiB, each made once.
 * - The tail of the last page reads as zeros: views end where the file ends.
 */
import {
  assert,
  checkRange,
  PAGE,
  roundDown,
  StorageError,
  type ByteRange,
} from "../base/index.ts";
import { filledPages, type FilledPages } from "./filled-pages.ts";
import type { HostFile } from "./host-files.ts";
import { native, type Native } from "./native.ts";
import { NodeFile } from "./node-files.ts";
import { dataRanges } from "./seek-hole.ts";

/** Bytes of a window. */
export const WINDOW: number = 1024 ** 3;

/** MADV_POPULATE_READ: faults pages in, and answers EFAULT where a load would be a signal. */
const POPULATE_READ = 22;

/** Bytes of data from which a window is mapped to bring a part of it in, and ranges of data that are looked at to tell. */
const WORTH_MAPPING = 64 * 1024 * 1024;
const WORTH_RANGES = 64;

/** A mapped file. */
export interface FileMapping {
  /** Bytes. */
  readonly size: number;
  /** The bytes of a range, at most up to the end of its window. @throws {StorageError} if the system cannot map it */
  view(range: ByteRange): Uint8Array;
  /** Fills `into` from `offset`, across windows. @throws {StorageError} if the system cannot map it */
  copyOut(into: Uint8Array, offset: number): void;
  /**
   * Stores `from` at `offset`, across windows: through the mapping where that cannot meet a hole, through the file elsewhere. Durable after
   * the file's `sync` both ways.
   *
   * @throws {StorageError} as `HostFile.writeSync`, or if the system cannot map the file
   */
  copyIn(from: Uint8Array, offset: number): void;
  /**
   * Brings a range of one window in, in the thread pool, so that a load from it cannot end the process.
   *
   * @returns whether it is there; not where a page of it cannot be read, the system has no such call (Linux before 5.14), or a read
   *   costs less, because nearly all of its window is a hole
   */
  bringIn(range: ByteRange): Promise<boolean>;
  /** Makes no more views; windows are unmapped once nothing refers to them. Closing twice is allowed. */
  close(): void;
}

const unmapper = new FinalizationRegistry<{ readonly address: bigint; readonly length: number }>(
  ({ address, length }) => {
    native()?.munmap(address, length);
  },
);

/**
 * Maps an open file of the machine, shared: stores through it are writes to the file. One that has a way of its own is mapped so.
 *
 * @returns `undefined` where the file is neither, is not a regular one, or mapping is not to be had
 */
export function mapFile(
  file: HostFile,
  options: { readonly writable: boolean },
): FileMapping | undefined {
  if (file.map !== undefined) return file.map();
  const calls = native();
  if (calls === undefined || !(file instanceof NodeFile) || file.kind !== "file") return undefined;
  return new WindowedMapping(file, calls, options.writable);
}

/** A mapped window. */
interface Window {
  readonly address: bigint;
  readonly buffer: ArrayBuffer;
  /** All of it. */
  readonly bytes: Uint8Array;
  /** The pages that take stores; `undefined` where none does, `null` where nobody stored yet. */
  filled: FilledPages | undefined | null;
}

class WindowedMapping implements FileMapping {
  readonly size: number;
  readonly #file: NodeFile;
  readonly #native: Native;
  readonly #writable: boolean;
  #windows: (Window | undefined)[] = [];
  readonly #worth = new Map<number, boolean>();
  #open = true;

  constructor(file: NodeFile, calls: Native, writable: boolean) {
    this.size = file.size();
    this.#file = file;
    this.#native = calls;
    this.#writable = writable;
  }

  view(range: ByteRange): Uint8Array {
    assert(this.#open, "no view of a mapping after close");
    checkRange(range, this.size);
    if (range.length === 0) return new Uint8Array(0);
    const index = Math.floor(range.offset / WINDOW);
    const start = range.offset - index * WINDOW;
    const { bytes } = this.#window(index);
    return bytes.subarray(start, Math.min(start + range.length, bytes.length));
  }

  copyOut(into: Uint8Array, offset: number): void {
    const { length } = into;
    const index = Math.floor(offset / WINDOW);
    const window = this.#windows[index];
    const start = offset - index * WINDOW;
    if (window === undefined || start + length > window.bytes.length) {
      this.#copyOutPieces(into, offset);
      return;
    }
    // Not `subarray`, which looks for a constructor: a third of what a small copy costs.
    into.set(new Uint8Array(window.buffer, start, length));
  }

  /** The same across windows, or where one is not mapped yet. */
  #copyOutPieces(into: Uint8Array, offset: number): void {
    assert(this.#open, "no view of a mapping after close");
    for (let done = 0; done < into.length;) {
      const index = Math.floor((offset + done) / WINDOW);
      const { bytes } = this.#window(index);
      const start = offset + done - index * WINDOW;
      const end = Math.min(start + into.length - done, bytes.length);
      into.set(bytes.subarray(start, end), done);
      done += end - start;
    }
  }

  copyIn(from: Uint8Array, offset: number): void {
    const index = Math.floor(offset / WINDOW);
    const window = this.#windows[index];
    const start = offset - index * WINDOW;
    if (
      window !== undefined &&
      start + from.length <= window.bytes.length &&
      window.filled?.has(start, from.length) === true
    )
      window.bytes.set(from, start);
    else this.#copyInPieces(from, offset);
  }

  /** The same across windows, where one is not mapped yet, or where a store through it could meet a hole. */
  #copyInPieces(from: Uint8Array, offset: number): void {
    assert(this.#open, "no store into a mapping after close");
    for (let done = 0; done < from.length;) {
      const index = Math.floor((offset + done) / WINDOW);
      const window = this.#window(index);
      const start = offset + done - index * WINDOW;
      const length = Math.min(from.length - done, window.bytes.length - start);
      const piece = length === from.length ? from : from.subarray(done, done + length);
      this.#storeIn(window, piece, offset + done);
      done += length;
    }
  }

  /** Stores what lies in one window. */
  #storeIn(window: Window, piece: Uint8Array, offset: number): void {
    // Not `%`: on numbers past 2^31 that is a call of its own.
    const start = offset - Math.floor(offset / WINDOW) * WINDOW;
    if (window.filled === null) {
      const range = { offset: offset - start, length: window.bytes.length };
      window.filled = this.#writable ? filledPages(this.#file, range) : undefined;
    }
    if (window.filled?.has(start, piece.length) === true) {
      window.bytes.set(piece, start);
    } else {
      this.#file.writeSync(piece, offset);
      window.filled?.noteWritten(start, piece.length);
    }
  }

  async bringIn(range: ByteRange): Promise<boolean> {
    assert(this.#open, "nothing of a mapping is brought in after close");
    checkRange(range, this.size);
    const index = Math.floor(range.offset / WINDOW);
    if (this.#windows[index] === undefined && !this.#isWorthMapping(index)) return false;
    const { address, bytes } = this.#window(index);
    const start = roundDown(range.offset % WINDOW, PAGE);
    const length = Math.min((range.offset % WINDOW) + range.length, bytes.length) - start;
    if (process.platform !== "linux") return false;
    return (await this.#native.madvise(address, { offset: start, length }, POPULATE_READ)) === 0;
  }

  /** Whether a window holds so much that reading all of it would cost more than the collection that its view brings on. */
  #isWorthMapping(index: number): boolean {
    const known = this.#worth.get(index);
    if (known !== undefined) return known;
    const length = Math.min(WINDOW, this.size - index * WINDOW);
    let held = 0;
    let ranges = 0;
    for (const data of dataRanges(this.#file, { offset: index * WINDOW, length })) {
      held += data.length;
      ranges += 1;
      if (held >= WORTH_MAPPING || ranges === WORTH_RANGES) break;
    }
    const isWorth = held >= Math.min(WORTH_MAPPING, length / 2) || ranges === WORTH_RANGES;
    this.#worth.set(index, isWorth);
    return isWorth;
  }

  #window(index: number): Window {
    return this.#windows[index] ?? this.#map(index);
  }

  #map(index: number): Window {
    const offset = index * WINDOW;
    const length = Math.min(WINDOW, this.size - offset);
    const address = this.#native.mmap(this.#file.fd, { offset, length }, this.#writable);
    if (address === undefined) {
      throw new StorageError(
        "EIO",
        `Cannot map ${this.#file.path} at offset ${offset}: errno ${this.#native.errno()}`,
        {
          syscall: "mmap",
          path: this.#file.path,
        },
      );
    }
    const buffer = this.#native.view(address, length);
    unmapper.register(buffer, { address, length });
    const window = { address, buffer, bytes: new Uint8Array(buffer), filled: null };
    this.#windows[index] = window;
    return window;
  }

  close(): void {
    this.#open = false;
    this.#windows = [];
  }
}
