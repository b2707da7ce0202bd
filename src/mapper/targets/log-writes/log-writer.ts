/**
 * LogWriter: writes the log of a log-writes target, in the kernel's order: what was written waits in memory until a flush has
 * made it durable on the device, then it is logged, then the flush itself; a mark is logged at once.
 *
 * Nothing of the log is written before the first change. Then it goes on behind the entries that are there: Linux begins anew and writes over
 * them. The first sector is written last, when the entries that it counts are durable, so that a crash leaves a log that is whole.
 *
 * Room is set aside before anything is written: a change whose entry would not fit is refused with ENOSPC before any byte moves, where Linux
 * stops logging and says nothing. A log that cannot be written is told by the call that meets it, and refuses every change from then on.
 */
import { isPromise, StorageError, type MaybePromise } from "../../../base/index.ts";
import { thoroughMode, type Device } from "../../../device/index.ts";
import { inTurn } from "../../in-turn.ts";
import { after } from "../../after.ts";
import {
  encodeEntry,
  encodeSuper,
  END_MARK,
  fittingMark,
  LOG_FLAGS,
  type LogEntry,
} from "./log-format.ts";

/** Where a log goes on. */
export interface LogPosition {
  /** Entries that are there. */
  readonly entries: number;
  /** Bytes of a sector. */
  readonly sectorSize: number;
  /** First byte behind them. */
  readonly next: number;
}

/** An entry with its data behind one sector of room: what is written of it. */
interface Pending {
  readonly entry: LogEntry;
  readonly bytes: Uint8Array;
}

/** The writer of one log. */
export class LogWriter {
  readonly sectorSize: number;
  readonly #log: Device;
  #entries: number;
  #next: number;
  /** Written to the device, not yet durable there. */
  #pending: Pending[] = [];
  /** Bytes of the log that all that is not written yet will take. */
  #reserved = 0;
  /** Whether something was logged since the first sector was written. */
  #isBegun = false;
  #failure: unknown;

  constructor(log: Device, position: LogPosition) {
    this.#log = log;
    this.sectorSize = position.sectorSize;
    this.#entries = position.entries;
    this.#next = position.next;
  }

  /** Bytes that wait in memory for a flush. */
  get pendingBytes(): number {
    return this.#reserved;
  }

  /** Whether nothing waits, and nothing was logged in this session. */
  get isUntouched(): boolean {
    return !this.#isBegun && this.#pending.length === 0;
  }

  /** Whether the log failed, which was told. */
  get isFailed(): boolean {
    return this.#failure !== undefined;
  }

  /** What `dmsetup status` prints: entries, and the last sector of 512 bytes that is taken. */
  get status(): string {
    return `${this.#entries} ${this.#next / 512 - 1}${this.isFailed ? " logging_disabled" : ""}`;
  }

  /**
   * Makes sure of room for an entry with data, and for the flush and the mark that may follow.
   *
   * @param length bytes of the data
   * @throws {StorageError} ENOSPC where it does not fit; EIO where the log failed before
   */
  checkRoom(length: number): void {
    this.#checkWorks();
    const needed = this.#reserved + length + this.sectorSize * 3;
    // as the kernel, which leaves the last sector alone
    if (this.#next + needed < this.#log.size) return;
    const { name } = this.#log.identity;
    throw new StorageError(
      "ENOSPC",
      `Cannot log to ${name}: ${length} bytes do not fit behind the ${this.#entries} entries that it holds`,
      { path: name, syscall: "write" },
    );
  }

  #checkWorks(): void {
    if (this.#failure === undefined) return;
    const { name } = this.#log.identity;
    throw new StorageError("EIO", `Cannot log to ${name}: an earlier entry could not be written`, {
      cause: this.#failure,
      path: name,
      syscall: "write",
    });
  }

  /** Room for the data of an entry: a buffer whose first sector is the entry's. */
  room(length: number): Uint8Array {
    return new Uint8Array(this.sectorSize + length);
  }

  /**
   * Notes what was written to the device.
   *
   * @param bytes from `room`, filled behind its first sector
   * @param offset of the device
   */
  note(bytes: Uint8Array, offset: number, flags = 0): void {
    const length = bytes.length - this.sectorSize;
    const entry = { offset, length, flags, mark: undefined, dataLength: length };
    this.#pending.push({ entry, bytes });
    this.#reserved += bytes.length;
  }

  /**
   * Flushes the device and logs what was written before: in order, then the flush, where anything was.
   *
   * @throws {StorageError} of the device; EIO if the log cannot be written
   */
  flush(flushDevice: () => MaybePromise<void>): MaybePromise<void> {
    const batch = this.#pending;
    this.#pending = [];
    const last = batch.at(-1)?.entry.flags ?? 0;
    const flushed = this.#keeping(batch, flushDevice);
    return after(flushed, () => {
      if (batch.length === 0) return undefined;
      this.#checkWorks();
      // an entry that says itself that all before it was durable needs no flush behind it
      if ((last & LOG_FLAGS.flush) !== 0) return this.#commit(batch);
      return this.#commit([...batch, this.#plain({ flags: LOG_FLAGS.flush })]);
    });
  }

  /** What waits goes on waiting where the device's flush failed. */
  #keeping(batch: readonly Pending[], flushDevice: () => MaybePromise<void>): MaybePromise<void> {
    const keep = (error: unknown): never => {
      this.#pending = [...batch, ...this.#pending];
      throw error;
    };
    try {
      const done = flushDevice();
      return isPromise(done) ? done.catch(keep) : done;
    } catch (error) {
      return keep(error);
    }
  }

  /** Logs a mark, before all that waits. @throws {StorageError} ENOSPC; EIO */
  mark(text: string): MaybePromise<void> {
    this.checkRoom(0);
    return this.#mark(fittingMark(text, this.sectorSize));
  }

  /** Logs the mark that ends a session: its room was set aside. @throws {StorageError} EIO */
  end(): MaybePromise<void> {
    return this.#mark(END_MARK);
  }

  #mark(mark: string): MaybePromise<void> {
    return this.#commit([this.#plain({ flags: LOG_FLAGS.mark, mark })]);
  }

  #plain(entry: { readonly flags: number; readonly mark?: string }): Pending {
    const { flags, mark } = entry;
    const bytes = this.room(0);
    this.#reserved += bytes.length;
    return { entry: { offset: 0, length: 0, flags, mark, dataLength: 0 }, bytes };
  }

  /** Writes entries, then the sector that counts them. */
  #commit(batch: readonly Pending[]): MaybePromise<void> {
    this.#isBegun = true;
    const steps = [
      ...batch.map((one) => () => this.#put(one)),
      () => this.#log.flush(),
      () => this.#putSuper(),
      () => this.#log.flush(),
    ];
    try {
      const done = inTurn(steps, (step) => step());
      return isPromise(done) ? done.catch((error: unknown) => this.#fail(error)) : done;
    } catch (error) {
      return this.#fail(error);
    }
  }

  #put({ entry, bytes }: Pending): MaybePromise<void> {
    encodeEntry(bytes.subarray(0, this.sectorSize), entry);
    return after(this.#write(bytes, this.#next), () => {
      this.#next += bytes.length;
      this.#reserved -= bytes.length;
      this.#entries += 1;
    });
  }

  #putSuper(): MaybePromise<void> {
    const bytes = this.room(0);
    encodeSuper(bytes, { entries: this.#entries, sectorSize: this.sectorSize });
    return this.#write(bytes, 0);
  }

  /** What is bad on the log is written over. */
  #write(bytes: Uint8Array, offset: number): MaybePromise<void> {
    return this.#log.write(bytes, offset, thoroughMode(this.#log));
  }

  #fail(error: unknown): never {
    this.#failure = error;
    const { name } = this.#log.identity;
    const reason = error instanceof Error ? error.message : String(error);
    throw new StorageError(
      "EIO",
      `Cannot log to ${name}: what was written is on the device, and is not logged: ${reason}`,
      { cause: error, path: name, syscall: "write" },
    );
  }
}
