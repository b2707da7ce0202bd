/**
 * DirectFile: a file or block device on a live machine, read and written past the page cache on one descriptor, in whole units, from memory that begins
 * at a page.
 *
 * One descriptor, because a write lease is only given where nobody else has the file open, ourselves included. Where the file system
 * takes no O_DIRECT, the cache is written out and dropped around each call instead.
 */
import {
  constants,
  fdatasyncSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  read,
  readSync,
  writeSync,
} from "node:fs";
import { assert, roundDown, roundUp, StorageError } from "../base/index.ts";
import { alignedBuffer } from "./aligned-buffer.ts";
import { fileExtents, type FileExtent, type FileExtentsOptions } from "./file-extents.ts";
import { fileFlags, type FileFlags } from "./file-flags.ts";
import { takeLease, type FileLease } from "./file-lease.ts";
import { hostError } from "./host-error.ts";
import { native } from "./native.ts";
import { nodeFiles, type NodeFile } from "./node-files.ts";

/** Bytes moved with one call at most. */
const LARGEST = 1024 * 1024;
const F_GETFL = 3;
const F_SETFL = 4;
/** Codes of a failed call that speak of the bytes; EFAULT is what a recovery write answers that cannot clear (fs/dax.c). */
const MEDIA: ReadonlySet<string> = new Set(["EIO", "ENODATA", "EILSEQ", "EREMOTEIO", "EFAULT"]);

/** How it is opened. */
export interface DirectFileOptions {
  readonly access: "read" | "write";
  /** Smallest read and write, in bytes; a power of two. */
  readonly unit: number;
  /** Of a block device: taken from the kernel for us alone. @default false */
  readonly alone?: boolean;
}

/** An open file. */
export class DirectFile {
  readonly path: string;
  readonly kind: NodeFile["kind"];
  readonly unit: number;
  /** Whether calls go past the page cache. */
  readonly isDirect: boolean;
  readonly #file: NodeFile;
  readonly #buffer: Uint8Array = alignedBuffer(LARGEST);
  #turn: Promise<unknown> = Promise.resolve();

  constructor(file: NodeFile, unit: number) {
    this.#file = file;
    this.path = file.path;
    this.kind = file.kind;
    this.unit = unit;
    this.isDirect = setDirect(file.fd);
  }

  /** Bytes, now. */
  size(): number {
    return this.#file.size();
  }

  /** "INODE" and what tells a reused one: its times, in nanoseconds since 1970. */
  stat(): {
    readonly inode: number;
    readonly device: bigint;
    readonly modifiedNs: bigint;
    readonly accessedNs: bigint;
    readonly bornNs: bigint;
  } {
    const { ino, dev, mtimeNs, atimeNs, birthtimeNs } = fstatSync(this.#file.fd, { bigint: true });
    return {
      inode: Number(ino),
      device: dev,
      modifiedNs: mtimeNs,
      accessedNs: atimeNs,
      bornNs: birthtimeNs,
    };
  }

  /**
   * One attempt on this thread.
   *
   * @returns bytes that came, fewer only at the end; `undefined` where the medium does not give them all
   * @throws {StorageError} of anything but the medium
   */
  readSync(into: Uint8Array, offset: number): number | undefined {
    let done = 0;
    while (done < into.length) {
      const part = this.#part(offset + done, into.length - done);
      this.#drop(part.start, part.length);
      const count = this.#try("read", () =>
        readSync(this.#file.fd, this.#buffer, 0, part.length, part.start),
      );
      if (count === undefined) return undefined;
      const came = this.#give(into, done, { ...part, count, buffer: this.#buffer });
      done += came;
      if (came < part.wanted) break;
    }
    return done;
  }

  /** The same in the thread pool; attempts take turns. */
  async read(into: Uint8Array, offset: number): Promise<number | undefined> {
    const turn = this.#turn.then(() => this.#readInPool(into, offset));
    this.#turn = turn.catch(() => undefined);
    return await turn;
  }

  async #readInPool(into: Uint8Array, offset: number): Promise<number | undefined> {
    // A buffer of its own: this thread may read or write meanwhile.
    const buffer = (this.#pool ??= alignedBuffer(LARGEST));
    let done = 0;
    while (done < into.length) {
      const part = this.#part(offset + done, into.length - done);
      this.#drop(part.start, part.length);
      const count = await this.#tryInPool(buffer, part);
      if (count === undefined) return undefined;
      const came = this.#give(into, done, { ...part, count, buffer });
      done += came;
      if (came < part.wanted) break;
    }
    return done;
  }

  #pool: Uint8Array | undefined;

  #tryInPool(
    buffer: Uint8Array,
    part: { readonly start: number; readonly length: number },
  ): Promise<number | undefined> {
    return new Promise((resolve, reject) => {
      read(this.#file.fd, buffer, 0, part.length, part.start, (error, count) => {
        if (error === null) resolve(count);
        else if (MEDIA.has(error.code ?? "")) resolve(undefined);
        else reject(hostError(error, "read", this.path));
      });
    });
  }

  /** The whole units around the next bytes, as many as fit the buffer. */
  #part(at: number, left: number): { start: number; length: number; skip: number; wanted: number } {
    const start = roundDown(at, this.unit);
    const skip = at - start;
    const wanted = Math.min(left, LARGEST - skip);
    return { start, length: roundUp(skip + wanted, this.unit), skip, wanted };
  }

  #give(
    into: Uint8Array,
    done: number,
    part: {
      readonly skip: number;
      readonly wanted: number;
      readonly count: number;
      readonly buffer: Uint8Array;
    },
  ): number {
    const came = Math.max(0, Math.min(part.count - part.skip, part.wanted));
    into.set(part.buffer.subarray(part.skip, part.skip + came), done);
    return came;
  }

  /**
   * Writes whole units; not durable before `sync`.
   *
   * @returns `undefined` where all was taken, else why the medium did not: how much of it was taken then nobody says
   * @throws {StorageError} of anything but the medium
   */
  writeSync(from: Uint8Array, offset: number): string | undefined {
    assert(
      offset % this.unit === 0 && from.length % this.unit === 0,
      `${this.path}: a direct write has whole units`,
    );
    for (let done = 0; done < from.length;) {
      const length = Math.min(LARGEST, from.length - done);
      this.#buffer.set(from.subarray(done, done + length));
      for (let at = 0; at < length;) {
        let why = "";
        const count = this.#try(
          "write",
          () => writeSync(this.#file.fd, this.#buffer, at, length - at, offset + done + at),
          (code) => {
            why = code;
          },
        );
        if (count === undefined) return `the kernel answers ${why}`;
        if (count === 0) return "the kernel took no byte";
        at += count;
      }
      done += length;
    }
    return undefined;
  }

  #try(
    syscall: "read" | "write",
    call: () => number,
    note: (code: string) => void = () => undefined,
  ): number | undefined {
    try {
      return call();
    } catch (error) {
      const { code = "" } = error as NodeJS.ErrnoException;
      if (!MEDIA.has(code)) throw hostError(error, syscall, this.path);
      note(code);
      return undefined;
    }
  }

  #drop(offset: number, length: number): void {
    if (!this.isDirect) this.#file.dropCache(offset, length);
  }

  /** Makes all earlier writes durable. @returns false where the medium failed: nobody knows what of them is on it */
  sync(): boolean {
    return this.#trySync(() => fsyncSync(this.#file.fd));
  }

  /** The same without times. */
  syncData(): boolean {
    return this.#trySync(() => fdatasyncSync(this.#file.fd));
  }

  #trySync(call: () => void): boolean {
    try {
      call();
      return true;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EIO")
        throw hostError(error, "fsync", this.path);
      return false;
    }
  }

  /** @throws {StorageError} */
  truncate(size: number): void {
    try {
      ftruncateSync(this.#file.fd, size);
    } catch (error) {
      throw hostError(error, "ftruncate", this.path);
    }
  }

  /** Puts the times of access and change back; where that cannot be, they are those of the write. */
  setTimes(times: { readonly accessedNs: bigint; readonly modifiedNs: bigint }): void {
    const buffer = new Uint8Array(32);
    const view = new DataView(buffer.buffer);
    for (const [at, time] of [times.accessedNs, times.modifiedNs].entries()) {
      view.setBigInt64(at * 16, time / 1_000_000_000n, true);
      view.setBigInt64(at * 16 + 8, time % 1_000_000_000n, true);
    }
    native()?.futimens(this.#file.fd, buffer);
  }

  /** Where its bytes are. @throws {StorageError} as `fileExtents` */
  extents(options: FileExtentsOptions = {}): readonly FileExtent[] {
    return fileExtents(this.#file, options);
  }

  flags(): FileFlags {
    return fileFlags(this.#file.fd);
  }

  /** @throws {StorageError} as `takeLease` */
  lease(): FileLease {
    return takeLease(this.#file);
  }

  /** Closing twice is allowed. */
  close(): void {
    this.#file.close();
  }
}

/** @returns whether the descriptor goes past the page cache now */
function setDirect(fd: number): boolean {
  const calls = native();
  const direct = constants.O_DIRECT as number | undefined;
  if (calls === undefined || direct === undefined) return false;
  const flags = calls.fcntl(fd, F_GETFL, 0);
  return flags >= 0 && calls.fcntl(fd, F_SETFL, flags | direct) === 0;
}

/**
 * Opens a file or block device; for writing it is locked against others of us.
 *
 * @throws {StorageError} ENOENT, EACCES, EISDIR, EBUSY where it is locked or, `alone`, in use
 */
export function openDirectFile(path: string, options: DirectFileOptions): DirectFile {
  const { access, unit, alone = false } = options;
  const file = nodeFiles.open(path, {
    access,
    alone,
    // Who only reads may do so beside a program that holds a lock of its own.
    ...(access === "write" ? { lock: "exclusive" as const } : {}),
  }) as NodeFile;
  try {
    return new DirectFile(file, unit);
  } catch (error) {
    file.close();
    throw error;
  }
}

/** Why a call was refused, where rights are why: which capability is missing. */
export function missingCapability(error: unknown, path: string): StorageError | undefined {
  if (!(error instanceof StorageError)) return undefined;
  if (error.code !== "EACCES" && error.code !== "EPERM") return undefined;
  const isDevice = path.startsWith("/dev/");
  const wish = isDevice
    ? "want the right to open the device: root, or a member of its group"
    : "want the file's owner, or the capability CAP_DAC_OVERRIDE";
  return new StorageError(error.code, `Cannot open ${path}: ${wish}`, {
    path,
    syscall: "open",
    cause: error,
  });
}
