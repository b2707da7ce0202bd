/** DaxCalls: the file calls on memory, synchronous: flags, place and buffers are checked, then dax/ does the rest. */
import { assert, isPromise, MediaError } from "../base/index.ts";
import {
  daxProveWhole,
  daxRead,
  daxReadAround,
  daxReadWhole,
  daxWrite,
  daxWriteWhole,
  mediaError,
  IoVector,
  type DaxFile,
  type ReadAround,
} from "../dax/index.ts";
import type { AccessMode } from "../device/index.ts";
import { CALL_BYTES_MAX, type Buffers, type FileCalls } from "./file.ts";
import {
  checkBuffers,
  checkRecovers,
  checkWrite,
  placeOf,
  type Syscall,
  type WritePlace,
} from "./request.ts";
import {
  checkFlags,
  modeOf,
  RWF_APPEND,
  RWF_DSYNC,
  RWF_RECOVERY_DATA,
  RWF_SYNC,
  type FlagContext,
} from "./rwf-flags.ts";

/** Where offset -1 reads and writes; shared by the faces of one open file. */
export interface Cursor {
  position: number;
}

/** What the calls work on. */
export interface DaxCallsOptions {
  readonly file: DaxFile;
  readonly place: WritePlace;
  readonly cursor: Cursor;
  /** How hard calls without the flag try. */
  readonly mode: AccessMode;
}

/** The synchronous calls of one open file. */
export class DaxCalls implements FileCalls<"sync"> {
  readonly #file: DaxFile;
  readonly #place: WritePlace;
  readonly #cursor: Cursor;
  readonly #mode: AccessMode;
  /** Whether all of the device can be asked for recovery. */
  readonly #recovers: boolean;
  readonly #reads: FlagContext;
  readonly #writes: FlagContext;
  /** Taken for the time of a call: a listener may call again from inside one. */
  #spare: IoVector | undefined = new IoVector();

  constructor({ file, place, cursor, mode }: DaxCallsOptions) {
    this.#file = file;
    this.#place = place;
    this.#cursor = cursor;
    this.#mode = mode;
    this.#recovers = file.device.capabilities.recovers;
    this.#reads = { syscall: "preadv2", name: file.name, face: "dax" };
    this.#writes = { syscall: "pwritev2", name: file.name, face: "dax" };
  }

  preadv2(buffers: Buffers, offset: number, flags: number = 0): number {
    if (this.#isShort(buffers, offset, flags)) {
      const count = daxReadWhole(this.#file, buffers, offset);
      if (count === buffers.length) return count;
      if (count > 0) return count + this.#readRest(buffers.subarray(count), offset + count, flags);
      if (count === 0 && flags === 0) throw this.#badAt(offset, buffers.length);
    }
    return this.#preadv2(buffers, offset, flags);
  }

  /** Goes on where a copy stopped: what stopped it may have passed, and with the flag every byte counts. @returns bytes */
  #readRest(into: Uint8Array, offset: number, flags: number): number {
    try {
      return this.#preadv2(into, offset, flags);
    } catch (error) {
      if (error instanceof MediaError) return 0;
      throw error;
    }
  }

  #preadv2(buffers: Buffers, offset: number, flags: number): number {
    checkFlags(flags, this.#reads);
    const mode = modeOf(flags, this.#mode, this.#reads);
    const at = this.#begin(buffers, offset);
    const vector = this.#vector(buffers);
    try {
      vector.offset = at;
      vector.mode = mode;
      if (mode === "recovery") this.#checkRecovers("preadv2", at, vector.length);
      const count = daxRead(this.#file, vector);
      if (offset === -1) this.#cursor.position = at + count;
      return count;
    } finally {
      this.#spare = vector;
    }
  }

  pwritev2(buffers: Buffers, offset: number, flags: number = 0): number {
    if (this.#isShort(buffers, offset, flags) && this.#place.frozen === undefined) {
      const isDone =
        flags === 0
          ? daxWriteWhole(this.#file, buffers, offset)
          : daxProveWhole(this.#file, buffers, offset);
      if (isDone) return buffers.length;
    }
    return this.#pwritev2(buffers, offset, flags);
  }

  #pwritev2(buffers: Buffers, offset: number, flags: number): number {
    checkFlags(flags, this.#writes);
    const mode = modeOf(flags, this.#mode, this.#writes);
    const at = (flags & RWF_APPEND) === 0 ? this.#begin(buffers, offset) : this.#file.size;
    checkBuffers(buffers, this.#file.name);
    const vector = this.#vector(buffers);
    try {
      vector.length = checkWrite(this.#place, at, vector.length);
      vector.offset = at;
      vector.mode = mode;
      if (mode === "recovery") this.#checkRecovers("pwritev2", at, vector.length);
      const count = daxWrite(this.#file, vector);
      if (offset === -1) this.#cursor.position = at + count;
      if ((flags & (RWF_DSYNC | RWF_SYNC)) !== 0) this.fsync();
      return count;
    } finally {
      this.#spare = vector;
    }
  }

  /** Whether a call may take the short way: one buffer, a plain place, no flag or the one of recovery alone, and a plain handle. */
  #isShort(buffers: Buffers, offset: number, flags: number): buffers is Uint8Array {
    return (
      (flags === 0 || (flags === RWF_RECOVERY_DATA && this.#recovers)) &&
      this.#mode === "access" &&
      offset >= 0 &&
      Number.isSafeInteger(offset) &&
      buffers instanceof Uint8Array &&
      buffers.length <= CALL_BYTES_MAX
    );
  }

  #badAt(offset: number, length: number): Error {
    const { extents } = this.#file;
    const range = { offset: extents.deviceOf(extents.find(offset), offset), length };
    return mediaError(this.#file, "preadv2", range);
  }

  readRecover(into: Uint8Array, offset: number): ReadAround {
    const at = this.#begin(into, offset);
    this.#checkRecovers("preadv2", at, into.length);
    return daxReadAround(this.#file, into, at);
  }

  fsync(): void {
    const done = this.#file.device.flush();
    assert(!isPromise(done), "a device with direct access flushes on this thread");
  }

  #checkRecovers(syscall: Syscall, offset: number, length: number): void {
    const { device } = this.#file;
    if (device.capabilities.recovers) return;
    checkRecovers({ device, place: this.#place, syscall }, offset, length);
  }

  #begin(buffers: Buffers, offset: number): number {
    checkBuffers(buffers, this.#file.name);
    return placeOf(offset, this.#cursor.position, this.#file.name);
  }

  #vector(buffers: Buffers): IoVector {
    const vector = this.#spare ?? new IoVector();
    this.#spare = undefined;
    return vector.begin(buffers, CALL_BYTES_MAX);
  }
}
