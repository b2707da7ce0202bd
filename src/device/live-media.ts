/**
 * LiveMedia: the bytes of a block device, or of one file on a mounted file system, read and written through the kernel and past its page cache.
 *
 * What can go wrong: one bad sector fails a whole page (DAX), so what the file does not give is asked of the device below, a sector at a time; a write that is
 * too short cannot clear, so all writes have whole clear units; the last page of a file reaches past its end, so a write of it makes the file longer for a moment
 * (`ShapeKeeper` remembers the size over a crash); a program opens the file meanwhile (`mayWrite` asks); the kernel answers well, and still lists the range
 * (`listed`): then it is not healed (R5). What is still bad after a crash is left as it is: another program must go on getting an error there, and no
 * marker of ours.
 */
import {
  alignOut,
  endOf,
  intersect,
  MediaError,
  RangeSet,
  StorageError,
  type ByteRange,
} from "../base/index.ts";
import type { DirectFile } from "../os/index.ts";
import type { Capabilities } from "./device.ts";
import { NO_FAULTS, type Faults, type Media } from "./media.ts";

/** An open file or device, past the page cache: `DirectFile` is one. */
export type LiveHandle = Pick<
  DirectFile,
  | "path"
  | "kind"
  | "unit"
  | "size"
  | "stat"
  | "read"
  | "readSync"
  | "writeSync"
  | "sync"
  | "truncate"
  | "setTimes"
  | "close"
>;

/** The device below a file: for what the file as a whole page does not give. */
export interface DeviceBelow {
  readonly file: LiveHandle;
  /** Where a range of the file lies there, piece by piece; pieces without a place are left out. */
  place(range: ByteRange): Iterable<ByteRange & { readonly at: number }>;
}

/** What a write must leave as it was: a file's size and times. */
export interface FileShape {
  readonly size: number;
  /** Nanoseconds since 1970. */
  readonly accessedNs: bigint;
  readonly modifiedNs: bigint;
}

/** Remembers the shape of a file while a write of its last page makes it longer. Durable on return, each. */
export interface ShapeKeeper {
  begin(shape: FileShape): void;
  end(): void;
}

/** What a live medium is made of. */
export interface LiveMediaParts {
  readonly file: LiveHandle;
  /** Bytes: of a file up to the end of its last block. */
  readonly size: number;
  /** Bytes of content: behind them zeros are read, and the file ends there after each write. @default size */
  readonly contentSize?: number;
  readonly capabilities: Capabilities;
  /** What the kernel lists as bad now, in bytes of the medium; asked at every proof of a write. */
  readonly listed: () => Iterable<ByteRange>;
  /** Throws where nothing may be written any more. @default never */
  readonly mayWrite?: () => void;
  readonly below?: DeviceBelow | undefined;
  readonly shapes?: ShapeKeeper;
  /** Called by `close`, after everything else. */
  readonly closed?: () => void;
}

/** Gives a file the size and the times that it had, durably. @throws {StorageError} */
export function reshape(file: LiveHandle, shape: FileShape): void {
  if (file.size() > shape.size) file.truncate(shape.size);
  file.setTimes(shape);
  file.sync();
}

/** A live medium, which closes its files. */
export class LiveMedia implements Media {
  readonly name: string;
  readonly size: number;
  readonly capabilities: Capabilities;
  readonly #parts: LiveMediaParts;
  readonly #contentSize: number;
  #isClosed = false;

  constructor(parts: LiveMediaParts) {
    this.#parts = parts;
    this.name = parts.file.path;
    this.size = parts.size;
    this.#contentSize = parts.contentSize ?? parts.size;
    this.capabilities = parts.capabilities;
  }

  async read(into: Uint8Array, offset: number): Promise<Faults> {
    const inside = this.#inside(into, offset);
    const count = inside.length === 0 ? 0 : await this.#parts.file.read(inside, offset);
    return this.#came(count, into, offset);
  }

  readSync(into: Uint8Array, offset: number): Faults {
    const inside = this.#inside(into, offset);
    const count = inside.length === 0 ? 0 : this.#parts.file.readSync(inside, offset);
    return this.#came(count, into, offset);
  }

  /** The part of a buffer that content is for. */
  #inside(into: Uint8Array, offset: number): Uint8Array {
    return into.subarray(0, Math.max(0, Math.min(into.length, this.#contentSize - offset)));
  }

  #came(count: number | undefined, into: Uint8Array, offset: number): Faults {
    if (count === undefined) return this.#around(into, offset);
    const inside = this.#inside(into, offset);
    if (count < inside.length)
      throw new StorageError(
        "ESTALE",
        `Cannot read ${this.name}: it ends at ${offset + count}, and had ${this.#contentSize} bytes when it was opened`,
        { path: this.name, syscall: "read" },
      );
    into.fill(0, inside.length);
    return NO_FAULTS;
  }

  /** Halves what failed until single units are known; what those do not give, the device below may. */
  #around(into: Uint8Array, offset: number): Faults {
    const unit = Math.max(this.#parts.file.unit, this.capabilities.poisonUnit);
    const range = { offset, length: into.length };
    const units = alignOut(range, unit);
    if (units.length > unit) {
      const half = units.offset + Math.floor(units.length / unit / 2) * unit;
      const cut = half - offset;
      const left = this.readSync(into.subarray(0, cut), offset);
      const right = this.readSync(into.subarray(cut), half);
      return [...RangeSet.from([...left, ...right])];
    }
    if (this.#readBelow(into, offset)) return NO_FAULTS;
    return [{ offset: units.offset, length: Math.min(unit, this.size - units.offset) }];
  }

  /** @returns whether the device below gave all of it */
  #readBelow(into: Uint8Array, offset: number): boolean {
    const { below } = this.#parts;
    if (below === undefined) return false;
    const inside = this.#inside(into, offset);
    const found = new Uint8Array(inside.length);
    let done = 0;
    for (const { offset: from, length, at } of below.place({ offset, length: inside.length })) {
      const piece = found.subarray(from - offset, from - offset + length);
      if (below.file.readSync(piece, at) !== length) return false;
      done += length;
    }
    if (done < inside.length) return false;
    inside.set(found);
    into.fill(0, inside.length);
    return true;
  }

  readBack(into: Uint8Array, offset: number): Faults {
    const faults = this.readSync(into, offset);
    const listed = this.#listedIn({ offset, length: into.length });
    return listed.length === 0 ? faults : [...RangeSet.from([...faults, ...listed])];
  }

  #listedIn(range: ByteRange): ByteRange[] {
    const found: ByteRange[] = [];
    for (const bad of this.#parts.listed()) {
      const part = intersect(bad, range);
      if (part !== undefined) found.push(part);
    }
    return found;
  }

  write(from: Uint8Array, offset: number): void {
    this.#parts.mayWrite?.();
    const range = { offset, length: from.length };
    const whole = alignOut(range, this.capabilities.clearUnit);
    const bytes = whole.length === from.length ? from : this.#filledUp(from, offset);
    if (endOf(range) > this.#contentSize || endOf(whole) > this.#contentSize)
      this.#writePastEnd(bytes, whole.offset);
    else this.#store(bytes, whole.offset);
  }

  /** A part of units with what is beside it. @throws {MediaError} where that cannot be read */
  #filledUp(from: Uint8Array, offset: number): Uint8Array {
    const whole = alignOut({ offset, length: from.length }, this.capabilities.clearUnit);
    const bytes = new Uint8Array(whole.length);
    const inside = bytes.subarray(0, Math.min(bytes.length, this.size - whole.offset));
    const faults = this.readSync(inside, whole.offset);
    const beside = RangeSet.from(faults);
    beside.delete(offset, from.length);
    if (beside.size > 0)
      throw this.#mediaError([...beside], "bytes in the same unit cannot be read");
    bytes.set(from, offset - whole.offset);
    return bytes;
  }

  /** The last page: the file is as long as before when this returns, also where the write fails. */
  #writePastEnd(bytes: Uint8Array, offset: number): void {
    const { file, shapes } = this.#parts;
    if (file.kind === "block") return this.#store(bytes, offset);
    const shape = { ...file.stat(), size: this.#contentSize };
    shapes?.begin(shape);
    try {
      this.#store(bytes, offset);
      file.sync();
    } finally {
      reshape(file, shape);
      shapes?.end();
    }
  }

  /** Stores whole units; the times of the file stay, because its content does. */
  #store(bytes: Uint8Array, offset: number): void {
    const { file } = this.#parts;
    const times = file.kind === "block" ? undefined : file.stat();
    const why = file.writeSync(bytes, offset);
    if (times !== undefined) file.setTimes(times);
    if (why !== undefined) throw this.#mediaError([{ offset, length: bytes.length }], why);
  }

  #mediaError(ranges: readonly ByteRange[], why: string): MediaError {
    const [first] = ranges;
    return new MediaError(`Cannot write ${this.name} at offset ${first?.offset ?? 0}: ${why}`, {
      device: this.name,
      ranges: ranges.map(({ offset, length }) => ({ offset, length, state: "poisoned" as const })),
      syscall: "write",
      path: this.name,
    });
  }

  /** What the kernel still lists, or does not give, has not been changed: nothing of ours belongs there. */
  staysBad(range: ByteRange): boolean {
    if (this.#listedIn(range).length > 0) return true;
    return this.readSync(new Uint8Array(range.length), range.offset).length > 0;
  }

  clear(range: ByteRange): number {
    return this.capabilities.clear === "none" ? 0 : range.length;
  }

  flush(): void {
    const { file } = this.#parts;
    if (this.capabilities.readOnly || file.sync()) return;
    throw new StorageError("EIO", `Cannot sync ${this.name}: the medium failed`, {
      path: this.name,
      syscall: "fsync",
    });
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#parts.below?.file.close();
    this.#parts.file.close();
    this.#parts.closed?.();
  }
}
