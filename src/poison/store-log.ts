/**
 * StoreLog: the file of a sidecar as a log of frames that a crash cannot hurt.
 *
 * What can go wrong, and what is promised:
 * - A crash while a frame is written leaves any part of it. The frame was not promised, so it is cut off at the next open. Only
 *   the last frame can be such: each is synced before the next is written.
 * - Damage to any other frame is corruption: EBADMSG with the file and the offset, never a shorter list. It is told from a crash by the
 *   header of a later frame, which no crash leaves behind. A file closed in order ends with a frame without content, so
 *   there damage to every frame that matters is seen.
 * - After a failed sync nobody knows what is on the disk: the log is failed, for good, and every later call says so.
 * - A full disk changes nothing: what a failed write left is cut off and the cut is synced before anything else happens. Without that,
 *   a frame that nobody was promised could come back after a later crash, with old bytes of neighbours.
 * - Compaction writes a whole new file beside, syncs it, renames it over the old one, syncs the directory. A crash leaves the one or the
 *   other, and they say the same. The new file is locked before it gets its name, so the lock is never free in between.
 */
import { SECTOR, StorageError } from "../base/index.ts";
import type { HostFile, HostFiles } from "../os/index.ts";
import {
  decodeFrameHeader,
  decodePreamble,
  encodeFrame,
  encodePreamble,
  FRAME_HEADER,
  frameLength,
  MAX_PAYLOAD,
  payloadIsWhole,
  VERSION,
  type FrameHeader,
  type Preamble,
} from "./store-format.ts";

/** Bytes read at once while later frames are looked for. */
const SCAN_BYTES = 256 * SECTOR;

/** Times that a replaced file is opened again before we give up. */
const LOCK_ATTEMPTS = 8;

/** What a log is created with. */
export interface LogIdentity {
  /** Bytes of the image. */
  readonly size: number;
  readonly uuid: string;
}

function temporaryPath(path: string): string {
  return `${path}.new`;
}

/** Takes away what a crashed compaction left; what another process is writing right now is EBUSY. */
function removeStale(files: HostFiles, temporary: string): void {
  if (files.info(temporary) === undefined) return;
  files.open(temporary, { access: "write", lock: "exclusive" }).close();
  files.remove(temporary);
}

function readPreamble(file: HostFile): Preamble {
  const sector = new Uint8Array(SECTOR);
  const got = file.readSync(sector, 0);
  const preamble = decodePreamble(sector.subarray(0, got));
  if (typeof preamble === "string") throw corrupt(file.path, 0, preamble);
  return preamble;
}

function randomSalt(): bigint {
  return crypto.getRandomValues(new BigUint64Array(1))[0]!;
}

/** What a whole new log is written from. */
export interface NewLog {
  readonly path: string;
  readonly identity: LogIdentity;
  /** One frame for each. */
  readonly payloads: Iterable<readonly Uint8Array[]>;
}

interface OpenLog {
  readonly path: string;
  readonly file: HostFile;
  readonly preamble: Preamble;
}

/** An open log. Every call throws `StorageError`. */
export class StoreLog {
  readonly path: string;
  readonly #files: HostFiles;
  #file: HostFile;
  #preamble: Preamble;
  /** First byte after the last whole frame. */
  #end = SECTOR;
  #sequence = 0;
  #failure: Error | undefined;

  constructor(files: HostFiles, open: OpenLog) {
    this.#files = files;
    this.#file = open.file;
    this.#preamble = open.preamble;
    this.path = open.path;
  }

  /** Writes a new log and gives it its name, in one durable step. @throws {StorageError} EEXIST if there is one already */
  static create(files: HostFiles, options: NewLog): StoreLog {
    const { path } = options;
    const refuseExisting = (): void => {
      if (files.info(path) === undefined) return;
      throw new StorageError(
        "EEXIST",
        `Cannot create ${path}: want a free name: got an existing file`,
        { path, syscall: "open" },
      );
    };
    refuseExisting();
    const log = StoreLog.#write(files, options);
    try {
      refuseExisting();
      files.rename(temporaryPath(path), path);
      files.syncDirectoryOf(path);
    } catch (error) {
      log.close();
      files.remove(temporaryPath(path));
      throw error;
    }
    return log;
  }

  /**
   * Opens a log, locked: exclusive for "write", shared for "read". `replay` it next.
   *
   * @throws {StorageError} ENOENT; EBUSY if another process holds it; EBADMSG if its header is not whole or of another version
   */
  static open(files: HostFiles, path: string, access: "read" | "write"): StoreLog {
    for (let attempt = 0; attempt < LOCK_ATTEMPTS; attempt += 1) {
      const file = files.open(path, { access, lock: access === "write" ? "exclusive" : "shared" });
      try {
        const preamble = readPreamble(file);
        // A compaction may have renamed another file over the one that we hold, between its opening and its lock.
        const now = files.open(path);
        const same = readPreamble(now).salt === preamble.salt;
        now.close();
        if (same) return new StoreLog(files, { path, file, preamble });
      } catch (error) {
        file.close();
        throw error;
      }
      file.close();
    }
    throw new StorageError("EBUSY", `Cannot open ${path}: another process keeps replacing it`, {
      path,
      syscall: "open",
    });
  }

  /** A whole log under its temporary name, locked and synced, not yet renamed. */
  static #write(files: HostFiles, { path, identity, payloads }: NewLog): StoreLog {
    const temporary = temporaryPath(path);
    removeStale(files, temporary);
    const file = files.open(temporary, { access: "create", lock: "exclusive" });
    const preamble = {
      version: VERSION,
      salt: randomSalt(),
      size: identity.size,
      uuid: identity.uuid,
    };
    try {
      const log = new StoreLog(files, { path, file, preamble });
      file.writeSync(encodePreamble(preamble), 0);
      for (const records of payloads) log.#put(records);
      file.sync();
      return log;
    } catch (error) {
      file.close();
      files.remove(temporary);
      throw error;
    }
  }

  get identity(): LogIdentity {
    return this.#preamble;
  }

  /** Bytes of the file up to the end of its last frame. */
  get length(): number {
    return this.#end;
  }

  /** Number of the last frame. */
  get sequence(): number {
    return this.#sequence;
  }

  /** Whether no write of it has failed so far in a way that leaves its content unknown. */
  get healthy(): boolean {
    return this.#failure === undefined;
  }

  /** @throws {StorageError} EIO once a sync failed: nothing that is said about this file any more can be relied on */
  checkHealthy(): void {
    if (this.#failure === undefined) return;
    throw new StorageError(
      "EIO",
      `Cannot use ${this.path}: an earlier write of it failed; open it again to see what is durable`,
      {
        path: this.path,
        cause: this.#failure,
      },
    );
  }

  /** Every frame's payload, in order; leaves the log ready for `append`. What a crash left at the end is passed over. */
  *replay(): Generator<{ readonly offset: number; readonly payload: Uint8Array }> {
    const length = this.#file.size();
    const header = new Uint8Array(FRAME_HEADER);
    while (this.#end < length) {
      const offset = this.#end;
      const got = this.#file.readSync(header, offset);
      const frame = decodeFrameHeader(header.subarray(0, got), this.#preamble.salt);
      const payload = frame === undefined ? undefined : this.#payload(frame, length);
      if (frame === undefined || payload === undefined) {
        this.#checkTail(length);
        return;
      }
      this.#end += frameLength(frame.payloadLength);
      this.#sequence = frame.sequence;
      yield { offset, payload };
    }
  }

  /** Cuts off what a crash left after the last whole frame. Nothing else may be written before. */
  cutTail(): void {
    if (this.#file.size() > this.#end) this.#file.truncate(this.#end);
  }

  /**
   * Appends one frame; it is durable on return.
   *
   * @throws {StorageError} ENOSPC: nothing changed. Any other: the log is failed
   */
  append(records: readonly Uint8Array[]): void {
    this.checkHealthy();
    try {
      this.#put(records);
    } catch (error) {
      if (!(error instanceof StorageError && error.code === "ENOSPC")) this.#fail(error);
      this.#undo();
      throw error;
    }
    try {
      this.#file.sync();
    } catch (error) {
      this.#fail(error);
    }
  }

  /**
   * Replaces the log by frames of these payloads, in one durable step.
   *
   * @throws {StorageError} if the new file cannot be written: the old one stays, and so does what it says;
   *   if its rename cannot be made durable: nobody can say which of the two is there, the log is failed
   */
  replace(payloads: Iterable<readonly Uint8Array[]>): void {
    this.checkHealthy();
    const next = StoreLog.#write(this.#files, {
      path: this.path,
      identity: this.identity,
      payloads,
    });
    try {
      this.#files.rename(temporaryPath(this.path), this.path);
      this.#files.syncDirectoryOf(this.path);
    } catch (error) {
      next.close();
      this.#fail(error);
    }
    this.#file.close();
    this.#file = next.#file;
    this.#preamble = next.#preamble;
    this.#end = next.#end;
    this.#sequence = next.#sequence;
  }

  /** Closes the file, which drops its lock. */
  close(): void {
    this.#file.close();
  }

  #payload(frame: FrameHeader, length: number): Uint8Array | undefined {
    if (!this.#isNext(frame)) return undefined;
    if (this.#end + FRAME_HEADER + frame.payloadLength > length) return undefined;
    const payload = new Uint8Array(frame.payloadLength);
    const got = this.#file.readSync(payload, this.#end + FRAME_HEADER);
    return payloadIsWhole(payload.subarray(0, got), frame) ? payload : undefined;
  }

  /** Whether a frame is the one that comes after the last, and one that we could have written. */
  #isNext(frame: FrameHeader): boolean {
    const { offset, sequence, payloadLength } = frame;
    return offset === this.#end && sequence === this.#sequence + 1 && payloadLength <= MAX_PAYLOAD;
  }

  /**
   * Nothing after the last whole frame may be the header of another one: then what is before it was durable once. Nor is what a
   * crash leaves ever longer than one frame, which bounds the search.
   */
  #checkTail(length: number): void {
    const wish = `want frame ${this.#sequence + 1} whole: got other bytes`;
    if (length - this.#end > frameLength(MAX_PAYLOAD))
      throw corrupt(this.path, this.#end, `${wish}, ${length - this.#end} of them`);
    const chunk = new Uint8Array(SCAN_BYTES);
    for (let at = this.#end; at < length; at += SCAN_BYTES) {
      const got = this.#file.readSync(chunk, at);
      for (let from = 0; from < got; from += SECTOR) {
        const bytes = chunk.subarray(from, Math.min(got, from + SECTOR));
        const frame = decodeFrameHeader(bytes, this.#preamble.salt);
        if (frame === undefined || (at + from === this.#end && this.#isNext(frame))) continue;
        throw corrupt(
          this.path,
          this.#end,
          `${wish}, and frame ${frame.sequence} at offset ${at + from}`,
        );
      }
    }
  }

  /** Writes one frame after the last. */
  #put(records: readonly Uint8Array[]): void {
    const place = { salt: this.#preamble.salt, offset: this.#end, sequence: this.#sequence + 1 };
    const frame = encodeFrame(place, records);
    this.#file.writeSync(frame, this.#end);
    this.#end += frame.length;
    this.#sequence += 1;
  }

  /** Takes a half-written frame away again, durably. */
  #undo(): void {
    try {
      this.#file.truncate(this.#end);
      this.#file.sync();
    } catch (error) {
      this.#fail(error);
    }
  }

  #fail(error: unknown): never {
    this.#failure = error instanceof Error ? error : new Error(String(error));
    throw this.#failure;
  }
}

/** The error of a sidecar that is not what it was when it was written. */
export function corrupt(path: string, offset: number, wish: string): StorageError {
  return new StorageError("EBADMSG", `Cannot read ${path} at offset ${offset}: ${wish}`, {
    path,
    syscall: "open",
  });
}
