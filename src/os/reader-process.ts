/**
 * ReaderProcess: a process of its own that does nothing but read one open file, because a read that is stuck in the kernel cannot be cancelled: it can only
 * be left behind, with the process that waits for it.
 *
 * The child inherits the descriptor and answers one request after the other: 16 bytes in (offset as a double, length as 32 bits, 4 unused), 8 bytes out (errno, or 0,
 * and the count) and the bytes. Its memory begins at a page, as O_DIRECT wants it. It ends when its input does, so also when this process is killed.
 */
import { spawn, type ChildProcess } from "node:child_process";
import type { Socket } from "node:net";
import { assert } from "../base/index.ts";

/** The child. Plain JavaScript in a text, because it must run from sources, from the library and from the bundled program alike. */
const PROGRAM = `
const fs = require("node:fs");
const pages = Math.ceil(Number(process.argv[1]) / 65536);
const bytes = new Uint8Array(new WebAssembly.Memory({ initial: pages, maximum: pages }).buffer);
const request = Buffer.alloc(16);
const answer = Buffer.alloc(8);
const still = new Int32Array(new SharedArrayBuffer(4));
function retried(call) {
  for (;;) {
    try { return call(); } catch (error) {
      if (error.code === "EPIPE") process.exit(0);
      if (error.code !== "EAGAIN") throw error;
      Atomics.wait(still, 0, 0, 1);
    }
  }
}
function whole(call, length) {
  for (let done = 0; done < length;) {
    const count = retried(() => call(done));
    if (count === 0) process.exit(0);
    done += count;
  }
}
for (;;) {
  whole((done) => fs.readSync(0, request, done, 16 - done), 16);
  let errno = 0;
  let count = 0;
  try {
    count = fs.readSync(3, bytes, 0, request.readUInt32LE(8), request.readDoubleLE(0));
  } catch (error) {
    errno = Math.abs(error.errno ?? 5);
  }
  answer.writeUInt32LE(errno, 0);
  answer.writeUInt32LE(count, 4);
  whole((done) => fs.writeSync(1, answer, done), 8);
  whole((done) => fs.writeSync(1, bytes, done, count - done), count);
}
`;

/** What one read came to: bytes, or the number of an error; `undefined` where the process ended before it answered. */
export type ReaderAnswer = { readonly count: number } | { readonly errno: number } | undefined;

interface Waiting {
  readonly into: Uint8Array;
  readonly resolve: (answer: ReaderAnswer) => void;
}

/** One reading process. */
export class ReaderProcess {
  readonly #child: ChildProcess;
  readonly #head = Buffer.alloc(8);
  #headLength = 0;
  #waiting: Waiting | undefined;
  #got = 0;
  #ended = false;

  /**
   * Starts it.
   *
   * @param fd what it reads
   * @param largest bytes of its largest read
   */
  constructor(fd: number, largest: number) {
    // Detached: a Ctrl-C on the terminal is this process' to answer, which lets a read end and saves.
    this.#child = spawn(process.execPath, ["-e", PROGRAM, String(largest)], {
      stdio: ["pipe", "pipe", "inherit", fd],
      detached: true,
      env: {},
    });
    this.#child.stdout?.on("data", (chunk: Buffer) => this.#take(chunk));
    this.#child.stdin?.on("error", () => undefined);
    const ended = (): void => {
      this.#ended = true;
      this.#answer(undefined);
    };
    this.#child.on("error", ended);
    this.#child.on("close", ended);
    this.#let("unref");
  }

  /** Process id; `undefined` where it did not start. */
  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** Reads once, up to `into.length` bytes; one read at a time. Bytes of `into` past the count are as they were. */
  async read(into: Uint8Array, offset: number): Promise<ReaderAnswer> {
    assert(this.#waiting === undefined, "A reading process does one read at a time");
    if (this.#ended) return undefined;
    const request = Buffer.alloc(16);
    request.writeDoubleLE(offset, 0);
    request.writeUInt32LE(into.length, 8);
    this.#let("ref");
    return new Promise((resolve) => {
      this.#waiting = { into, resolve };
      this.#child.stdin?.write(request);
    });
  }

  /** Leaves it behind: it is killed, which takes effect once its read ends. What waits gets no answer, and what comes after all lands nowhere. */
  abandon(): void {
    this.#ended = true;
    this.#child.kill("SIGKILL");
    this.#child.stdin?.destroy();
    this.#child.stdout?.destroy();
    this.#let("unref");
    this.#answer(undefined);
  }

  /** Between reads it does not keep this process alive. */
  #let(what: "ref" | "unref"): void {
    this.#child[what]();
    (this.#child.stdin as Socket | null)?.[what]();
    (this.#child.stdout as Socket | null)?.[what]();
  }

  #take(chunk: Buffer): void {
    let at = 0;
    if (this.#headLength < this.#head.length) {
      at = chunk.copy(this.#head, this.#headLength);
      this.#headLength += at;
      if (this.#headLength < this.#head.length) return;
    }
    const errno = this.#head.readUInt32LE(0);
    const count = this.#head.readUInt32LE(4);
    if (this.#waiting !== undefined && at < chunk.length)
      this.#waiting.into.set(chunk.subarray(at), this.#got);
    this.#got += chunk.length - at;
    if (this.#got < count) return;
    this.#headLength = 0;
    this.#got = 0;
    this.#answer(errno === 0 ? { count } : { errno });
  }

  #answer(answer: ReaderAnswer): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    if (!this.#ended) this.#let("unref");
    waiting?.resolve(answer);
  }
}
