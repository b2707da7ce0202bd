/**
 * FollowedFile: a log file that grows, is cut short, or is replaced by a new one (logrotate), read from where it ended: the manner of `tail -F`.
 *
 * `/dev/kmsg` is read the same way: one record a call, EAGAIN where there is no more, EPIPE where the kernel has overwritten what was not read. Nothing here waits:
 * `read` gives what is there. Of a file that grows faster than it is read only so much a call is taken, so memory is bounded.
 */
import { closeSync, constants, fstatSync, openSync, readSync, statSync } from "node:fs";
import { StorageError } from "../../base/index.ts";

/** Bytes of one call: a record of /dev/kmsg is at most 8 KiB and wants to be read whole. */
const PIECE_BYTES = 64 * 1024;
/** Bytes that one `read` takes at most. */
const READ_MAX = 8 * 1024 * 1024;

/** What was new. */
export interface FollowedText {
  readonly text: string;
  /** The log says, or shows, that lines were lost: it was overwritten, or cut short. */
  readonly lost: boolean;
}

/** One followed file. */
export class FollowedFile {
  readonly path: string;
  #fd: number | undefined;
  #inode = 0n;
  #offset = 0;
  #kind: "file" | "kernel" | "pipe" = "file";
  readonly #piece = Buffer.alloc(PIECE_BYTES);
  readonly #decoder = new TextDecoder("utf-8");

  /**
   * Opens it at its end: what stands there already is old.
   *
   * @throws {StorageError} ENOENT, EACCES and others
   */
  constructor(path: string) {
    this.path = path;
    this.#open("end");
  }

  /** All that is new. A file that is away at this moment is read on when it is back. */
  read(): FollowedText {
    let { text, lost } = this.#rest();
    if (this.#kind === "file" && this.#wasReplaced()) {
      this.close();
      try {
        this.#open("start");
        const more = this.#rest();
        text += more.text;
        lost ||= more.lost;
      } catch (error) {
        if (!(error instanceof StorageError)) throw error;
        // it is back at a later call
      }
    }
    return { text, lost };
  }

  /** Closes it. */
  close(): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
  }

  #open(at: "start" | "end"): void {
    try {
      // without waiting: a pipe has no writer yet, and /dev/kmsg no next record
      this.#fd = openSync(this.path, constants.O_RDONLY | constants.O_NONBLOCK);
      const stats = fstatSync(this.#fd, { bigint: true });
      if (stats.isDirectory())
        throw Object.assign(new Error("it is a directory"), { code: "EISDIR" });
      this.#kind = stats.isFile() ? "file" : stats.isCharacterDevice() ? "kernel" : "pipe";
      this.#inode = stats.ino;
      this.#offset = at === "end" && stats.isFile() ? Number(stats.size) : 0;
    } catch (error) {
      this.close();
      const { code, message } = error as NodeJS.ErrnoException;
      const known = code === "ENOENT" || code === "EACCES" || code === "EPERM" || code === "EISDIR";
      throw new StorageError(known ? code : "EIO", `Cannot follow log ${this.path}: ${message}`, {
        path: this.path,
        syscall: "open",
        cause: error,
      });
    }
    // the kernel's records so far are old too
    if (at === "end" && this.#kind === "kernel") while (this.#next().length > 0);
  }

  #rest(): FollowedText {
    let text = "";
    let lost = false;
    if (this.#fd === undefined) return { text, lost };
    if (this.#kind === "file" && fstatSync(this.#fd).size < this.#offset) {
      this.#offset = 0;
      lost = true;
    }
    for (let bytes = 0; bytes < READ_MAX;) {
      let piece: Uint8Array;
      try {
        piece = this.#next();
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "EPIPE") throw error;
        lost = true;
        continue;
      }
      if (piece.length === 0) break;
      bytes += piece.length;
      text += this.#decoder.decode(piece, { stream: true });
    }
    return { text: this.#kind === "kernel" ? kernelLines(text) : text, lost };
  }

  #next(): Uint8Array {
    if (this.#fd === undefined) return this.#piece.subarray(0, 0);
    try {
      const position = this.#kind === "file" ? this.#offset : null;
      const count = readSync(this.#fd, this.#piece, 0, PIECE_BYTES, position);
      this.#offset += count;
      return this.#piece.subarray(0, count);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "EAGAIN") return this.#piece.subarray(0, 0);
      throw error;
    }
  }

  /** Whether the name is another file's now, or nobody's. */
  #wasReplaced(): boolean {
    if (this.#fd === undefined) return true;
    return statSync(this.path, { bigint: true, throwIfNoEntry: false })?.ino !== this.#inode;
  }
}

/**
 * Records of /dev/kmsg as lines: `6,1234,5678,-;text`. Continuation lines, which begin with a space, are dictionaries; a record with a facility (from 8 on) was written by a
 * program, and is not the kernel's word.
 */
export function kernelLines(text: string): string {
  let lines = "";
  for (const line of text.split("\n")) {
    const record = /^(\d{1,10}),\d{1,20},\d{1,20},[^;]{0,64};(.*)$/.exec(line);
    if (record !== null && Number(record[1]) < 8) lines += `${record[2] ?? ""}\n`;
  }
  return lines;
}
