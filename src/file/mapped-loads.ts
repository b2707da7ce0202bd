/** MappedLoads: the loads of a mapped file: the short way where one probe lets all of a range through, and piece by piece where it does not. */
import { roundDown } from "../base/index.ts";
import { unknownPlace, type DaxDevice, type DaxFile } from "../dax/index.ts";
import type { FaultRecorder } from "./fault-recorder.ts";
import type { PageFaults } from "./page-faults.ts";
import type { PrivatePages } from "./private-pages.ts";

/** What loads and stores of one mapping work with. */
export interface MappedParts {
  readonly file: DaxFile;
  readonly dax: DaxDevice;
  readonly faults: PageFaults;
  readonly recorder: FaultRecorder;
  /** Absent in a shared mapping. */
  readonly copies: PrivatePages | undefined;
}

/** Loads. What stops one is the recorder's. */
export class MappedLoads {
  readonly #parts: MappedParts;
  readonly #file: DaxFile;
  readonly #dax: DaxDevice;

  constructor(parts: MappedParts) {
    this.#parts = parts;
    this.#file = parts.file;
    this.#dax = parts.dax;
  }

  /** Where on the device a range lies that one probe lets through; -1 where a longer look is needed. Allocates nothing. */
  reach(offset: number, length: number): number {
    const { extents, direct, pageSize, size } = this.#file;
    const index = extents.find(offset);
    const end = offset + length;
    if (index < 0 || extents.kind(index) !== "data" || end > extents.stop(index)) return -1;
    if (!(end <= size) || !this.#dax.pages.empty) return -1;
    const at = extents.deviceOf(index, offset);
    const inPage = at % pageSize;
    const pages = Math.ceil((inPage + length) / pageSize);
    return direct.probe((at - inPage) / pageSize, pages, "access") === pages ? at : -1;
  }

  /** Loads from the device; what the memory reports meanwhile is this mapping's own. @returns bytes, up to the first bad one */
  copy(into: Uint8Array, at: number): number {
    const dax = this.#dax;
    dax.accessor = this.#parts.recorder;
    try {
      return this.#file.direct.load(into, at);
    } finally {
      dax.accessor = undefined;
    }
  }

  /** Loads a range whose first `from` bytes are there, piece by piece. @returns bytes there are now */
  load(into: Uint8Array, offset: number, from: number): number {
    const { recorder } = this.#parts;
    let done = from;
    while (done < into.length && recorder.fault === undefined)
      done += this.#piece(into.subarray(done), offset + done);
    return done;
  }

  /**
   * Loads up to the first bad byte, also inside a page that cannot be mapped, where the kernel still has an address for it.
   *
   * @returns bytes; the recorder has what the memory reported, and no page fault
   */
  loadMc(into: Uint8Array, offset: number): number {
    const { recorder } = this.#parts;
    for (let done = 0; ;) {
      done = this.load(into, offset, done);
      if (done === into.length || !recorder.isRefusal) return done;
      // A refused page is no machine check: the exception table ends the copy, and the count tells.
      recorder.take();
      const near = this.#near(into.subarray(done), offset + done);
      done += near;
      if (near === 0 || (offset + done) % this.#file.pageSize !== 0) return done;
    }
  }

  /** Loads what one extent, or one copied page, has of a range. @returns bytes */
  #piece(into: Uint8Array, position: number): number {
    const { extents, name } = this.#file;
    const copied = this.#parts.copies?.at(position);
    if (copied !== undefined) {
      const count = Math.min(into.length, copied.length);
      into.set(copied.subarray(0, count));
      return count;
    }
    const index = extents.find(position);
    const kind = index < 0 ? "hole" : extents.kind(index);
    if (kind === "unknown") throw unknownPlace(name, "load", position);
    const piece = into.subarray(0, this.#reachOf(index, position, into.length));
    if (kind === "data" || kind === "inline")
      return this.#data(piece, extents.deviceOf(index, position), position);
    piece.fill(0);
    return piece.length;
  }

  #reachOf(index: number, position: number, length: number): number {
    const { extents, pageSize } = this.#file;
    let stop = index < 0 ? Infinity : extents.stop(index);
    // Page by page where the next one may be a copy.
    if (this.#parts.copies?.empty === false)
      stop = Math.min(stop, roundDown(position, pageSize) + pageSize);
    return Math.min(length, stop - position);
  }

  #data(piece: Uint8Array, at: number, position: number): number {
    const { faults, recorder } = this.#parts;
    const good = faults.goodLength(at, piece.length);
    if (good === 0) {
      recorder.refuse(position);
      return 0;
    }
    let count = this.copy(piece.subarray(0, good), at);
    // What failed once and is on no list was transient: the processor would try again as well.
    if (count < good && recorder.fault === undefined)
      count += this.copy(piece.subarray(count, good), at + count);
    if (count < good) recorder.stop(at + count, position + count);
    return count;
  }

  /** What a refused page has before its first bad byte, if the kernel can address the page. @returns bytes */
  #near(into: Uint8Array, position: number): number {
    const { extents, direct, pageSize } = this.#file;
    const at = extents.deviceOf(extents.find(position), position);
    const inPage = at % pageSize;
    if (!this.#dax.pages.isPresent((at - inPage) / pageSize)) return 0;
    const piece = into.subarray(0, Math.min(into.length, pageSize - inPage));
    this.#dax.accessor = this.#parts.recorder;
    try {
      return direct.loadUpTo(piece, at, "failFast");
    } finally {
      this.#dax.accessor = undefined;
    }
  }
}
