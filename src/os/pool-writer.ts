/**
 * PoolWriter: writes of one open file in the thread pool, several at once, whole pages past the page cache where that can be done.
 *
 * Past the page cache a write is on its disk sooner, takes half the memory traffic, and evicts nothing that others need. A file system
 * that has no O_DIRECT, memory that begins between two pages, and pieces of pages go through the page cache, and are written out at once, so
 * that the sync at the end finds little to do.
 */
import { closeSync, constants, openSync, write as writeInPool } from "node:fs";
import { PAGE, roundDown, roundUp, StorageError } from "../base/index.ts";
import { hostError } from "./host-error.ts";
import { native } from "./native.ts";

/** Bytes from which a write is worth going past the page cache. */
const DIRECT_FROM = 64 * 1024;

/** Writes for one descriptor, which it does not close. */
export class PoolWriter {
  readonly #fd: number;
  readonly #path: string;
  /** A second descriptor of the same file with O_DIRECT; `undefined` where there is none. */
  readonly #direct: number | undefined;
  #takesDirect: boolean;

  constructor(fd: number, path: string) {
    this.#fd = fd;
    this.#path = path;
    this.#direct = openDirect(fd);
    this.#takesDirect = this.#direct !== undefined;
  }

  /** Writes all of `from`. @throws {StorageError} ENOSPC and others; EIO with EFAULT as its cause where mapped memory cannot be read */
  async write(from: Uint8Array, offset: number): Promise<void> {
    const start = Math.min(from.length, roundUp(offset, PAGE) - offset);
    const end = Math.max(start, roundDown(offset + from.length, PAGE) - offset);
    if (!this.#takesDirect || end - start < DIRECT_FROM) {
      await this.#cached(from, offset);
      return;
    }
    if (start > 0) await this.#cached(from.subarray(0, start), offset);
    const taken = await this.#past(from.subarray(start, end), offset + start);
    if (taken < end - start)
      await this.#cached(from.subarray(start + taken, end), offset + start + taken);
    if (end < from.length) await this.#cached(from.subarray(end), offset + end);
  }

  /** @returns bytes written, from the start: where the file system takes no more, the page cache takes the rest */
  async #past(from: Uint8Array, offset: number): Promise<number> {
    let done = 0;
    while (done < from.length && done % PAGE === 0 && this.#direct !== undefined) {
      try {
        const count = await writeOnce(this.#direct, from.subarray(done), offset + done);
        if (count === 0) break;
        done += count;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "EINVAL")
          throw hostError(error, "write", this.#path);
        // Others may be writing through it, so it stays open.
        this.#takesDirect = false;
        break;
      }
    }
    return done;
  }

  async #cached(from: Uint8Array, offset: number): Promise<void> {
    for (let done = 0; done < from.length;) {
      let count: number;
      try {
        count = await writeOnce(this.#fd, from.subarray(done), offset + done);
      } catch (error) {
        throw hostError(error, "write", this.#path);
      }
      if (count === 0)
        throw new StorageError(
          "ENOSPC",
          `Cannot write ${this.#path}: no byte was taken at offset ${offset + done}`,
          { syscall: "write", path: this.#path },
        );
      done += count;
    }
    native()?.startWriteBack(this.#fd, { offset, length: from.length });
  }

  /** Closes what it opened, once; no write may be under way. */
  close(): void {
    if (this.#direct !== undefined) closeSync(this.#direct);
  }
}

/** The same open file once more, past the page cache: by its descriptor, because its name may lead elsewhere now. */
function openDirect(fd: number): number | undefined {
  try {
    return openSync(`/proc/self/fd/${fd}`, constants.O_WRONLY | constants.O_DIRECT);
  } catch {
    return undefined;
  }
}

function writeOnce(fd: number, from: Uint8Array, offset: number): Promise<number> {
  return new Promise((resolve, reject) => {
    writeInPool(fd, from, 0, from.length, offset, (error, count) => {
      if (error === null) resolve(count);
      else reject(error);
    });
  });
}
