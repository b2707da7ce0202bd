/**
 * RepairLog: the audit log of one image, `IMAGE.theriac.log`, and the two files that belong to it: `IMAGE.theriac.plan`, the plan of
 * the last repair, and `IMAGE.theriac.kept`, the bytes that an undo took away.
 *
 * What can go wrong: the machine stops between any two writes, a line is torn, the disk fills, a sync fails. What is promised:
 *
 * - a step is in the log, durably, before its first byte moves; what became of it is told once that is durable
 * - a plan is beside the log, durably, before its run begins: an interrupted repair finds it again
 * - nothing that was written is ever written over; a torn end costs its own line
 * - a log that cannot be written stops the work before the next step, and what was done so far stands
 *
 * No file is made before there is something to say. Whoever writes holds the lock of the image; the log's own lock is for stacks.
 */
import { createHash } from "node:crypto";
import { StorageError } from "../../base/index.ts";
import {
  blockStatePath,
  isNbdUri,
  makeStateDirectory,
  parseNbdUri,
  remotePath,
} from "../../device/index.ts";
import { blockNodeOf, nodeFiles, type HostFile, type HostFiles } from "../../os/index.ts";
import { sidecarPath } from "../../poison/index.ts";
import { replaceText } from "../durable-text.ts";
import { planText, type Plan } from "../plan/plan-file.ts";
import { encodeRecord, type LogRecord } from "./log-record.ts";
import { lastRun } from "./read-log.ts";

/** The audit log of an image that is open for writing. */
export class RepairLog {
  readonly path: string;
  readonly planPath: string;
  readonly keptPath: string;
  readonly files: HostFiles;
  readonly #isElsewhere: boolean;
  #file: HostFile | undefined;
  #failure: unknown;
  #torn = false;

  /**
   * @param image the image or stack that the log is of: links are followed, as its list does; of an export, or a block device, the log is in the state directory
   * @param beside of a live target: where its list is
   */
  constructor(image: string, files: HostFiles = nodeFiles, beside?: string) {
    this.files = files;
    const elsewhere = beside ?? stateOf(image, files);
    this.#isElsewhere = elsewhere !== undefined;
    const list = elsewhere ?? sidecarPath(files.real?.(image) ?? image);
    this.path = `${list}.log`;
    this.planPath = `${list}.plan`;
    this.keptPath = `${list}.kept`;
  }

  /** The number that the next run gets. */
  async nextRun(): Promise<number> {
    return (await lastRun(this.files, this.path)) + 1;
  }

  /** Puts a plan beside the log, durably. @returns the SHA-256 of its text */
  keepPlan(plan: Plan): string {
    if (this.#isElsewhere) makeStateDirectory();
    const hash = createHash("sha256");
    replaceText(
      this.files,
      this.planPath,
      hashed(planText(plan), (piece) => hash.update(piece)),
    );
    return hash.digest("hex");
  }

  /** Appends records. Durable on return. @throws {StorageError} ENOSPC and others: the records may be there or not, all before them are */
  append(records: readonly LogRecord[]): void {
    if (this.#failure !== undefined)
      throw new StorageError("EIO", `Cannot write log "${this.path}": an earlier write failed`, {
        path: this.path,
        cause: this.#failure,
      });
    try {
      const file = this.#open();
      const lead = this.#torn ? "\n" : "";
      file.writeSync(Buffer.from(lead + records.map(encodeRecord).join("")), file.size());
      this.#torn = false;
      file.sync();
    } catch (error) {
      this.#failure = error;
      throw error;
    }
  }

  /** Appends bytes that an undo is about to take away. Durable on return. @returns where they begin in the file of kept bytes */
  keepBytes(parts: readonly Uint8Array[]): readonly number[] {
    if (this.#isElsewhere) makeStateDirectory();
    const file = openOrCreate(this.files, this.keptPath);
    try {
      let offset = file.size();
      const places = parts.map((part) => {
        const at = offset;
        file.writeSync(part, at);
        offset += part.length;
        return at;
      });
      file.sync();
      return places;
    } finally {
      file.close();
    }
  }

  close(): void {
    this.#file?.close();
    this.#file = undefined;
  }

  #open(): HostFile {
    if (this.#file !== undefined) return this.#file;
    if (this.#isElsewhere) makeStateDirectory();
    const file = openOrCreate(this.files, this.path);
    const size = file.size();
    const last = new Uint8Array(1);
    this.#torn = size > 0 && (file.readSync(last, size - 1) !== 1 || last[0] !== 0x0a);
    this.#file = file;
    return file;
  }
}

/** Where the list is of what has none beside it: an export, a block device of this machine. */
function stateOf(image: string, files: HostFiles): string | undefined {
  if (isNbdUri(image)) return remotePath(parseNbdUri(image));
  if (files !== nodeFiles || files.info(image)?.kind !== "block") return undefined;
  const node = blockNodeOf(image);
  return node === undefined ? undefined : blockStatePath(node);
}

/** Opens a file for writing; a new one's name is durable. */
function openOrCreate(files: HostFiles, path: string): HostFile {
  const isThere = files.info(path) !== undefined;
  const file = files.open(path, { access: isThere ? "write" : "create", lock: "exclusive" });
  // Also of one that is there: a crash may have come between its creation and this.
  try {
    files.syncDirectoryOf(path);
  } catch (error) {
    file.close();
    throw error;
  }
  return file;
}

function* hashed(pieces: Iterable<string>, note: (piece: string) => void): Generator<string> {
  for (const piece of pieces) {
    note(piece);
    yield piece;
  }
}
