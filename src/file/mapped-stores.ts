/**
 * MappedStores: the stores of a mapped file, and the line store that heals.
 *
 * A store to a known bad page faults and changes nothing: no store of a program is a recovery. What lies in the range is looked at before any
 * byte moves: a store into a hole would have the file system allocate, and an image's metadata is never changed.
 */
import { MediaError, roundDown, StorageError } from "../base/index.ts";
import type { DaxFile } from "../dax/index.ts";
import type { MapOptions } from "./map-options.ts";
import type { MappedLoads, MappedParts } from "./mapped-loads.ts";

/** Bytes of a line: what MOVDIR64B stores. */
export const LINE = 64;

/** Stores. What stops one is the recorder's. */
export class MappedStores {
  readonly #parts: MappedParts;
  readonly #file: DaxFile;
  readonly #loads: MappedLoads;
  readonly #frozen: MapOptions["frozen"];

  constructor(parts: MappedParts, loads: MappedLoads, frozen: MapOptions["frozen"]) {
    this.#parts = parts;
    this.#file = parts.file;
    this.#loads = loads;
    this.#frozen = frozen;
  }

  /** Stores a range that `reach` let through. @returns whether the medium took it */
  put(from: Uint8Array, at: number, position: number): boolean {
    try {
      this.#file.direct.store(from, at);
      return true;
    } catch (error) {
      if (!(error instanceof MediaError)) throw error;
      const bad = error.ranges[0]?.offset ?? at;
      this.#parts.recorder.fail(bad, position + Math.max(0, bad - at));
      return false;
    }
  }

  /** Stores a range piece by piece. @returns bytes stored, before the first bad page */
  store(from: Uint8Array, offset: number): number {
    const isPrivate = this.#parts.copies !== undefined;
    if (!isPrivate) this.#check(offset, from.length);
    let done = 0;
    while (done < from.length && this.#parts.recorder.fault === undefined) {
      const piece = from.subarray(done);
      done += isPrivate ? this.#copied(piece, offset + done) : this.#piece(piece, offset + done);
    }
    return done;
  }

  /** Whether a line store heals: the device clears and stores as one, and no unit is larger than a line. */
  get heals(): boolean {
    const { clear, poisonUnit } = this.#file.device.capabilities;
    return this.#parts.copies === undefined && clear === "atomic" && poisonUnit <= LINE;
  }

  /**
   * Stores a line, and heals it where it is bad, known or latent, in the device's own one step.
   *
   * @returns why it could not be healed; `undefined` where it is stored
   */
  storeLine(line: Uint8Array, offset: number): MediaError | undefined {
    this.#check(offset, LINE);
    const { extents, direct } = this.#file;
    try {
      direct.storeLine(line, extents.deviceOf(extents.find(offset), offset));
      return undefined;
    } catch (error) {
      if (!(error instanceof MediaError)) throw error;
      this.#parts.recorder.refuse(offset);
      return error;
    }
  }

  #piece(from: Uint8Array, position: number): number {
    const { extents } = this.#file;
    const { faults, recorder } = this.#parts;
    const index = extents.find(position);
    const at = extents.deviceOf(index, position);
    const length = Math.min(from.length, extents.stop(index) - position);
    const good = faults.goodLength(at, length);
    if (good === 0) recorder.refuse(position);
    return good > 0 && this.put(from.subarray(0, good), at, position) ? good : 0;
  }

  /** Stores into the copy of a page, which the first store makes (`copy_cow_page_dax`). */
  #copied(from: Uint8Array, position: number): number {
    const copy = this.#parts.copies?.at(position) ?? this.#copyPage(position);
    if (copy === undefined) return 0;
    const count = Math.min(from.length, copy.length);
    copy.set(from.subarray(0, count));
    return count;
  }

  #copyPage(position: number): Uint8Array | undefined {
    const { pageSize, size } = this.#file;
    const { copies, recorder } = this.#parts;
    const start = roundDown(position, pageSize);
    const bytes = new Uint8Array(pageSize);
    this.#loads.load(bytes.subarray(0, Math.min(pageSize, size - start)), start, 0);
    if (recorder.fault !== undefined) return undefined;
    copies?.take(start, bytes);
    return copies?.at(position);
  }

  /** @throws {StorageError} where a store may not go */
  #check(offset: number, length: number): void {
    const { name, extents } = this.#file;
    if (this.#frozen !== undefined) {
      const { code, why } = this.#frozen;
      throw new StorageError(code, `Cannot store into ${name}: ${why}`, told(name));
    }
    for (let at = offset; at < offset + length;) {
      const index = extents.find(at);
      const kind = index < 0 ? "hole" : extents.kind(index);
      if (kind !== "data") {
        throw new StorageError(
          "EOPNOTSUPP",
          `Cannot store into ${name} at offset ${at}: want data: it is ${kind}, and an image's metadata is never changed`,
          told(name),
        );
      }
      at = extents.stop(index);
    }
  }
}

function told(path: string): { readonly syscall: string; readonly path: string } {
  return { syscall: "store", path };
}
