/**
 * LiveFile: a block device or regular file on a live machine, read past the page cache by a process of its own, a read at a time and never twice.
 *
 * What can go wrong: one bad sector fails the whole page of the page cache, and its read-ahead, so reads are direct and as small as the physical block; a read hangs for
 * minutes, or for ever, and cannot be cancelled, so past its time limit it is left behind with its process, and another begins.
 */
import { closeSync, constants, openSync, readFileSync, realpathSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { assert, isPowerOfTwo, PAGE, roundUp, SECTOR, StorageError } from "../base/index.ts";
import { nodeFiles, NodeFile } from "./node-files.ts";
import { ReaderProcess } from "./reader-process.ts";

/** Bytes of the largest read. */
const LARGEST = 4 * 1024 * 1024;
/** Processes that were left behind and may still wait: with more, the source as a whole hangs. */
const LEFT_MOST = 8;
/** Milliseconds that a read may take where nobody says otherwise: Linux gives a disk 30 s, and tries again. */
const LIMIT_MS = 60_000;
/** Numbers of errors that speak of the bytes: EIO, ENODATA, EILSEQ, EREMOTEIO. */
const MEDIA_ERRNOS: ReadonlySet<number> = new Set([5, 61, 84, 121]);
const EINVAL = 22;

/** What one read came to: all bytes; none, because some are bad; none within the time. */
export type LiveAnswer = "data" | "failed" | "slow";

/** What is known of a source by what it stands on. */
export interface LiveFacts {
  /** Smallest read, in bytes: the physical block; of memory the logical one. A power of two. */
  readonly unit: number;
  /** What a failed read costs: "none" is memory that stops the machine (DAX), so listed ranges are never touched. */
  readonly failure: "machineCheck" | "cheap" | "costly";
  /** What the system names a device by: "WWID", "serial", "partition". */
  readonly names: Readonly<Record<string, string>>;
}

/** How it is opened. */
export interface LiveFileOptions {
  /** Milliseconds that one read may take. @default 60,000 */
  readonly limitMs?: number;
  /** Where the system describes block devices. @default "/sys/dev/block" */
  readonly sysfs?: string;
}

/** An open source. */
export class LiveFile {
  readonly path: string;
  readonly size: number;
  readonly facts: LiveFacts;
  readonly largest: number = LARGEST;
  readonly #file: NodeFile;
  readonly #fd: number;
  readonly #limitMs: number;
  #reader: ReaderProcess | undefined;
  #left = 0;
  #turn: Promise<unknown> = Promise.resolve();
  #closed = false;

  constructor(
    file: NodeFile,
    parts: { readonly fd: number; readonly facts: LiveFacts; readonly limitMs: number },
  ) {
    this.#file = file;
    this.path = file.path;
    this.size = file.size();
    this.facts = parts.facts;
    this.#fd = parts.fd;
    this.#limitMs = parts.limitMs;
  }

  /** Process id of the reader; `undefined` where none runs. */
  get readerPid(): number | undefined {
    return this.#reader?.pid;
  }

  /**
   * One read, which is never tried again; reads take turns.
   *
   * @param into at most `largest` bytes, whole units or up to the end
   * @throws {StorageError} ENXIO where the device is gone; ESTALE where the file became shorter; EIO where too many reads hang
   */
  async attempt(into: Uint8Array, offset: number): Promise<LiveAnswer> {
    const turn = this.#turn.then(() => this.#attempt(into, offset));
    this.#turn = turn.catch(() => undefined);
    return turn;
  }

  async #attempt(into: Uint8Array, offset: number): Promise<LiveAnswer> {
    assert(!this.#closed, `${this.path}: no read after close`);
    const { unit } = this.facts;
    assert(offset % unit === 0 && into.length <= LARGEST, "a live read begins at a unit");
    const wanted = roundUp(into.length, unit);
    // The last unit of a file may be cut: asked for whole, it comes as far as it is.
    const whole = wanted === into.length ? into : new Uint8Array(wanted);
    const answer = await this.#timed(whole, offset);
    if (answer === "slow") return answer;
    if ("errno" in answer) {
      if (MEDIA_ERRNOS.has(answer.errno)) return "failed";
      throw this.#error(answer.errno, offset);
    }
    if (answer.count >= into.length) {
      if (whole !== into) into.set(whole.subarray(0, into.length));
      return "data";
    }
    const size = this.#file.size();
    if (size >= this.size) return "failed";
    throw new StorageError(
      "ESTALE",
      `Cannot read ${this.path}: it has ${size} bytes, and had ${this.size} when it was opened`,
      { path: this.path, syscall: "read" },
    );
  }

  async #timed(
    into: Uint8Array,
    offset: number,
  ): Promise<{ count: number } | { errno: number } | "slow"> {
    const reader = (this.#reader ??= new ReaderProcess(this.#fd, LARGEST));
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<"slow">((resolve) => {
      timer = setTimeout(() => resolve("slow"), this.#limitMs);
    });
    const answer = await Promise.race([reader.read(into, offset), late]);
    clearTimeout(timer);
    if (answer === undefined) {
      this.#reader = undefined;
      throw new StorageError("EIO", `Cannot read ${this.path}: its reading process ended`, {
        path: this.path,
        syscall: "read",
        cause: { code: "ECHILD" },
      });
    }
    if (answer === "slow") this.#leave(reader);
    return answer;
  }

  #leave(reader: ReaderProcess): void {
    reader.abandon();
    this.#reader = undefined;
    this.#left += 1;
    if (this.#left < LEFT_MOST) return;
    throw new StorageError(
      "EIO",
      `Cannot read ${this.path}: ${this.#left} reads took more than ${this.#limitMs} ms each: it hangs`,
      { path: this.path, syscall: "read", cause: { code: "ETIMEDOUT" } },
    );
  }

  #error(errno: number, offset: number): StorageError {
    const code = errno === EINVAL ? "EINVAL" : "ENXIO";
    const why = errno === EINVAL ? "it refuses the alignment" : `errno ${errno}: it is gone`;
    return new StorageError(code, `Cannot read ${this.path} at offset ${offset}: ${why}`, {
      path: this.path,
      syscall: "read",
    });
  }

  /** Closes it; a read that hangs is left behind. Closing twice is allowed. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#reader?.abandon();
    closeSync(this.#fd);
    this.#file.close();
  }
}

/**
 * Opens a source for reading, locked against those who would write it through us.
 *
 * @throws {StorageError} ENOENT, EACCES, EISDIR, EBUSY; EOPNOTSUPP where it is neither a file nor a block device
 */
export async function openLiveFile(path: string, options: LiveFileOptions = {}): Promise<LiveFile> {
  const { limitMs = LIMIT_MS, sysfs = "/sys/dev/block" } = options;
  const file = nodeFiles.open(path, { lock: "shared" }) as NodeFile;
  let fd: number | undefined;
  try {
    fd = openPast(path);
    const facts = file.kind === "block" ? blockFacts(path, sysfs) : await fileFacts(fd, limitMs);
    return new LiveFile(file, { fd, facts, limitMs });
  } catch (error) {
    if (fd !== undefined) closeSync(fd);
    file.close();
    throw error;
  }
}

/** Past the page cache where the file system has that. */
function openPast(path: string): number {
  const flags = constants.O_RDONLY | constants.O_NONBLOCK;
  try {
    return openSync(path, flags | constants.O_DIRECT);
  } catch {
    return openSync(path, flags);
  }
}

/** A file's smallest read is what its file system takes: a sector, or else a page. */
async function fileFacts(fd: number, limitMs: number): Promise<LiveFacts> {
  const reader = new ReaderProcess(fd, PAGE);
  const timer = setTimeout(() => reader.abandon(), limitMs);
  const answer = await reader.read(new Uint8Array(SECTOR), 0);
  clearTimeout(timer);
  reader.abandon();
  const refused = answer !== undefined && "errno" in answer && answer.errno === EINVAL;
  return { unit: refused ? PAGE : SECTOR, failure: "costly", names: {} };
}

/**
 * What sysfs says of a block device: a partition has what its disk has. Where nothing is said, it is taken for a disk with blocks of 512 bytes.
 *
 * @param sysfs the folder with one entry for each device, by its numbers
 */
export function blockFacts(path: string, sysfs: string): LiveFacts {
  const { rdev } = statSync(path);
  // Device numbers as glibc splits them, for numbers below 2^32.
  const major = (rdev >>> 8) & 0xfff;
  const minor = (rdev & 0xff) | ((rdev >>> 12) & 0xf_ff00);
  return factsOf(join(sysfs, `${major}:${minor}`));
}

/** The same by the folder of the device. */
export function factsOf(folder: string): LiveFacts {
  let real: string;
  try {
    real = realpathSync(folder);
  } catch {
    return { unit: SECTOR, failure: "costly", names: {} };
  }
  const partition = textOf(join(real, "partition"));
  const disk = partition === undefined ? real : dirname(real);
  const names = namesOf(disk, partition);
  const isMemory = textOf(join(disk, "queue/dax")) === "1";
  // Memory has no physical block: its page is no reason to lose what lies beside a bad sector.
  const block = isMemory ? "queue/logical_block_size" : "queue/physical_block_size";
  const told = Number(textOf(join(disk, block)) ?? SECTOR);
  const unit = isPowerOfTwo(told) && told >= SECTOR && told <= LARGEST ? told : SECTOR;
  if (isMemory) return { unit, failure: "machineCheck", names };
  const isCheap = /^(nvme|pmem|zram|ram)\d/.test(basename(disk));
  return { unit, failure: isCheap ? "cheap" : "costly", names };
}

function namesOf(disk: string, partition: string | undefined): Readonly<Record<string, string>> {
  const wwid = textOf(join(disk, "wwid")) ?? textOf(join(disk, "device/wwid"));
  const serial = textOf(join(disk, "serial")) ?? textOf(join(disk, "device/serial"));
  return {
    ...(wwid === undefined ? {} : { WWID: wwid }),
    ...(serial === undefined ? {} : { serial }),
    ...(partition === undefined ? {} : { partition }),
  };
}

/** What a file of sysfs says; `undefined` where there is none, or it says nothing. */
function textOf(path: string): string | undefined {
  try {
    const text = readFileSync(path, "utf8").trim();
    return text === "" ? undefined : text;
  } catch {
    return undefined;
  }
}
