/**
 * LiveDevice: a block device or file on a live machine, to be read and never written: its list is in memory, and begins with what was given.
 *
 * `read` is for the little that must be known of a source before it is copied (tables, bitmaps): what fails is narrowed to single units. Who copies it asks by
 * `attempt`, one read at a time, and decides alone what is tried again (rescue/salvage).
 */
import {
  alignOut,
  checkRange,
  endOf,
  intersect,
  StorageError,
  type BadRange,
  type ByteRange,
} from "../base/index.ts";
import { openLiveFile, type LiveAnswer, type LiveFile, type LiveFileOptions } from "../os/index.ts";
import { PoisonList, type PoisonView, type StateRange } from "../poison/index.ts";
import {
  COMPLETE,
  type AccessMode,
  type Capabilities,
  type DeviceIdentity,
  type ManagedDevice,
  type ReadResult,
} from "./device.ts";

/** Bytes that `read` asks for at once. */
const STEP = 64 * 1024;

/** How a live source is opened. */
export interface OpenLiveOptions extends LiveFileOptions {
  /** What is known to be bad. @default nothing */
  readonly poison?: Iterable<StateRange>;
}

/** Opens a live source. @throws {StorageError} as `openLiveFile` */
export async function openLiveDevice(
  path: string,
  options: OpenLiveOptions = {},
): Promise<LiveDevice> {
  const file = await openLiveFile(path, options);
  return new LiveDevice(file, options.poison);
}

/** A live source, open. */
export class LiveDevice implements ManagedDevice {
  readonly size: number;
  readonly identity: DeviceIdentity;
  readonly capabilities: Capabilities;
  readonly poison: PoisonView;
  readonly direct: undefined = undefined;
  /** Smallest read, in bytes. */
  readonly unit: number;
  /** Bytes of the largest attempt. */
  readonly largest: number;
  /** What a failed read costs. */
  readonly failure: LiveFile["facts"]["failure"];
  /** What the system names it by. */
  readonly names: Readonly<Record<string, string>>;
  readonly #file: LiveFile;
  readonly #list: PoisonList;

  constructor(file: LiveFile, poison: Iterable<StateRange> = []) {
    this.#file = file;
    this.size = file.size;
    this.unit = file.facts.unit;
    this.largest = file.largest;
    this.failure = file.facts.failure;
    this.names = file.facts.names;
    this.identity = { name: file.path, uuid: undefined, generation: 0 };
    this.capabilities = capabilitiesOf(file);
    this.#list = new PoisonList(file.size);
    for (const range of poison) this.#list.mark(range, range.state);
    this.poison = this.#list;
  }

  /** One read, never tried again; see `LiveFile.attempt`. Asks no list. */
  async attempt(into: Uint8Array, offset: number): Promise<LiveAnswer> {
    checkRange({ offset, length: into.length }, this.size);
    return await this.#file.attempt(into, offset);
  }

  async read(into: Uint8Array, offset: number, mode: AccessMode = "access"): Promise<ReadResult> {
    const range = { offset, length: into.length };
    checkRange(range, this.size);
    const missing: BadRange[] = [];
    for (const part of Array.from(this.#list.states(range))) {
      if (part.state === "poisoned" || part.state === "lost")
        missing.push({ offset: part.offset, length: part.length, state: part.state });
      else
        for (let at = part.offset; at < endOf(part); at += STEP) {
          const piece = { offset: at, length: Math.min(STEP, endOf(part) - at) };
          missing.push(...(await this.#readPiece(into.subarray(at - offset), piece)));
        }
      if (mode === "failFast" && missing.length > 0) break;
    }
    return missing.length === 0 ? COMPLETE : { missing };
  }

  /** Reads the whole units of a piece, and where that fails each of them by itself. @returns what of the piece is missing */
  async #readPiece(into: Uint8Array, piece: ByteRange): Promise<BadRange[]> {
    const whole = this.#units(piece);
    const bytes = new Uint8Array(whole.length);
    const answer = await this.attempt(bytes, whole.offset);
    if (answer === "data") {
      into.set(bytes.subarray(piece.offset - whole.offset, endOf(piece) - whole.offset));
      return [];
    }
    // Where a read hangs nothing more is sent: nobody knows what is bad there.
    if (answer === "slow") return [{ ...piece, state: "unread" }];
    if (whole.length <= this.unit) {
      this.#list.mark(whole, "poisoned");
      return [{ ...piece, state: "poisoned" }];
    }
    const missing: BadRange[] = [];
    for (let at = whole.offset; at < endOf(whole); at += this.unit) {
      const part = intersect({ offset: at, length: this.unit }, piece);
      if (part !== undefined)
        missing.push(...(await this.#readPiece(into.subarray(part.offset - piece.offset), part)));
    }
    return missing;
  }

  #units(range: ByteRange): ByteRange {
    const { offset, length } = alignOut(range, this.unit);
    return { offset, length: Math.min(length, this.size - offset) };
  }

  /** What was read past the page cache is clean, whatever a list said that came from elsewhere: this one is of this session, and in memory. */
  recordRead(range: ByteRange): void {
    checkRange(range, this.size);
    this.#list.mark(range, "clean");
  }

  recordBad(range: ByteRange, state: "poisoned" | "lost"): void {
    checkRange(range, this.size);
    this.#list.mark(range, state);
  }

  write(): never {
    throw this.#refusal("write");
  }

  heal(): never {
    throw this.#refusal("write");
  }

  clear(): never {
    throw this.#refusal("clear");
  }

  #refusal(syscall: string): StorageError {
    const { path } = this.#file;
    return new StorageError("EACCES", `Cannot ${syscall} ${path}: it is open for reading`, {
      path,
      syscall,
    });
  }

  flush(): void {
    // Nothing is ever written.
  }

  close(): void {
    this.#file.close();
  }
}

function capabilitiesOf({ facts }: LiveFile): Capabilities {
  return {
    poisonUnit: facts.unit,
    clearUnit: facts.unit,
    pageSize: 4096,
    clear: "none",
    listsErrors: facts.failure === "machineCheck",
    failedRead: facts.failure === "costly" ? "costly" : "cheap",
    mediated: false,
    readOnly: true,
    recovers: true,
  };
}
