/**
 * FileMedia: the bytes of a raw file or block device.
 *
 * A read that fails with a media error is halved until the failing units are known, so that every byte around them is
 * delivered; an error that speaks of the device (gone, not permitted) is thrown. A file that became shorter fails as a
 * device does: its end is no media error, and zeros would be a lie (R1).
 */
import {
  alignOut,
  isPromise,
  SECTOR,
  StorageError,
  type ByteRange,
  type MaybePromise,
} from "../base/index.ts";
import { dataRanges, isMediaFailure, type FileMapping, type HostFile } from "../os/index.ts";
import type { Capabilities } from "./device.ts";
import { NO_FAULTS, type Faults, type Media, type MediaMemory } from "./media.ts";

/** What a file medium is made of. */
export interface FileMediaOptions {
  readonly size: number;
  readonly capabilities: Capabilities;
  /** Smallest read that can fail on its own, in bytes. @default 512, what a disk's sector may be */
  readonly readUnit?: number;
  /** The file mapped, for direct access. @default none */
  readonly mapping?: FileMapping | undefined;
}

/** Loads come out of the mapping, and stores go into it where that is safe: its own rule. `flush` syncs the file, which covers both. */
function memoryOf(mapping: FileMapping): MediaMemory {
  return {
    view: (range) => mapping.view(range),
    isPlain: () => true,
    load: (into, offset) => {
      mapping.copyOut(into, offset);
      return NO_FAULTS;
    },
    store: (from, offset) => mapping.copyIn(from, offset),
    bringIn: (range) => mapping.bringIn(range),
  };
}

/** A medium over an open file, which it closes. */
export class FileMedia implements Media {
  readonly name: string;
  readonly size: number;
  readonly capabilities: Capabilities;
  readonly memory?: MediaMemory;
  readonly #file: HostFile;
  readonly #readUnit: number;
  readonly #mapping: FileMapping | undefined;

  constructor(file: HostFile, options: FileMediaOptions) {
    this.#file = file;
    this.name = file.path;
    this.size = options.size;
    this.capabilities = options.capabilities;
    this.#readUnit = options.readUnit ?? SECTOR;
    const mapping = options.mapping;
    this.#mapping = mapping;
    if (mapping !== undefined) this.memory = memoryOf(mapping);
  }

  read(into: Uint8Array, offset: number): MaybePromise<Faults> {
    try {
      const count = this.#file.read(into, offset);
      return isPromise(count) ? this.#later(count, into, offset) : this.#whole(count, into, offset);
    } catch (error) {
      return this.#around(error, into, offset);
    }
  }

  async #later(count: Promise<number>, into: Uint8Array, offset: number): Promise<Faults> {
    try {
      return this.#whole(await count, into, offset);
    } catch (error) {
      return this.#around(error, into, offset);
    }
  }

  readSync(into: Uint8Array, offset: number): Faults {
    try {
      return this.#whole(this.#file.readSync(into, offset), into, offset);
    } catch (error) {
      return this.#around(error, into, offset);
    }
  }

  readBack(into: Uint8Array, offset: number): Faults {
    this.#file.dropCache?.(offset, into.length);
    return this.readSync(into, offset);
  }

  holeFrom(offset: number): number {
    for (const data of dataRanges(this.#file, { offset, length: this.size - offset }))
      return data.offset - offset;
    return this.size - offset;
  }

  write(from: Uint8Array, offset: number): void {
    this.#file.writeSync(from, offset);
  }

  /** A disk heals by any full write, so there is nothing to do before it. */
  clear(range: ByteRange): number {
    return this.capabilities.clear === "none" ? 0 : range.length;
  }

  flush(): void {
    if (!this.capabilities.readOnly) this.#file.sync();
  }

  close(): void {
    this.#mapping?.close();
    this.#file.close();
  }

  #whole(count: number, into: Uint8Array, offset: number): Faults {
    if (count === into.length) return NO_FAULTS;
    throw new StorageError(
      "ESTALE",
      `Cannot read ${this.name}: it ends at ${offset + count}, and had ${this.size} bytes when it was opened`,
      { syscall: "read", path: this.name },
    );
  }

  /** The faults of a range whose read failed as a whole. */
  #around(error: unknown, into: Uint8Array, offset: number): Faults {
    if (!isMediaFailure(error)) throw error;
    const unit = Math.max(this.#readUnit, this.capabilities.poisonUnit);
    const units = alignOut({ offset, length: into.length }, unit);
    if (units.length <= unit)
      return [{ offset: units.offset, length: Math.min(unit, this.size - units.offset) }];
    const half = units.offset + Math.floor(units.length / unit / 2) * unit;
    const cut = half - offset;
    const left = this.readSync(into.subarray(0, cut), offset);
    const right = this.readSync(into.subarray(cut), half);
    const last = left.at(-1);
    const next = right[0];
    if (last === undefined || next === undefined || last.offset + last.length < next.offset)
      return [...left, ...right];
    const joined = { offset: last.offset, length: next.offset + next.length - last.offset };
    return [...left.slice(0, -1), joined, ...right.slice(1)];
  }
}
