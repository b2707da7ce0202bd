/**
 * VolumeFile: one file of a file system, read straight from its device through the map of its extents.
 *
 * The target's own files and those of an image donor are both read with it. What the device misses, and what the map does
 * not know, is told as ranges of the file; a hole and an unwritten extent are zeros.
 */
import { intersect, type BadRange, type ByteRange } from "../base/index.ts";
import type { Device, ReadResult } from "../device/index.ts";
import { COMPLETE } from "../device/index.ts";
import type { Extent, FileInfo, FileMap } from "../fs/index.ts";
import type { DonorFile, InStep } from "./donor.ts";
import { readOrMissing } from "./read-or-missing.ts";

/** Where a volume lies, and what is known of its files. */
export interface VolumeSource {
  readonly device: Device;
  /** First byte of the volume on the device. */
  readonly offset: number;
  /** Bytes of the volume. */
  readonly length: number;
  readonly map: FileMap;
  /** As `DonorVolume.inStep`. @default nothing */
  inStep?(range: ByteRange): InStep | undefined;
}

/** A piece of a file with the bytes of the volume that hold it. */
export interface FilePiece extends ByteRange {
  /** First byte on the volume. */
  readonly device: number;
}

/** One file of a volume. */
export class VolumeFile implements DonorFile {
  readonly name: string;
  readonly info: FileInfo;
  readonly #volume: VolumeSource;

  /**
   * @param volume where the file lives
   * @param info the file, as the map told it
   * @param name what people call it
   */
  constructor(volume: VolumeSource, info: FileInfo, name: string) {
    this.#volume = volume;
    this.info = info;
    this.name = name;
  }

  get size(): number {
    return this.info.size;
  }

  get modifiedNs(): bigint {
    return this.info.modifiedNs;
  }

  /** What the file stands on, clipped to its size: see `FileMap.extents`. */
  async extents(range: ByteRange): Promise<readonly Extent[]> {
    return await this.#volume.map.extents(this.info.inode, range);
  }

  /**
   * Fills `into` from `offset` of the file; bytes past its end are missing, "unread".
   *
   * @returns the missing ranges, in bytes of the file
   */
  async read(into: Uint8Array, offset: number): Promise<ReadResult> {
    const missing: BadRange[] = [];
    let at = offset;
    const end = offset + into.length;
    for (const extent of await this.extents({ offset, length: into.length })) {
      const from = Math.max(extent.offset, at);
      const to = Math.min(extent.offset + extent.length, end);
      if (from >= to) continue;
      if (from > at) missing.push({ offset: at, length: from - at, state: "unread" });
      missing.push(
        ...(await this.#readExtent(extent, {
          into: into.subarray(from - offset, to - offset),
          from,
        })),
      );
      at = to;
    }
    if (at < end) missing.push({ offset: at, length: end - at, state: "unread" });
    return missing.length === 0 ? COMPLETE : { missing };
  }

  async #readExtent(
    extent: Extent,
    part: { into: Uint8Array; from: number },
  ): Promise<readonly BadRange[]> {
    const { into, from } = part;
    if (extent.kind === "hole" || extent.kind === "unwritten") {
      into.fill(0);
      return [];
    }
    if (extent.kind === "unknown" || extent.device === undefined) {
      return [{ offset: from, length: into.length, state: "unread" }];
    }
    const shift = this.#volume.offset + extent.device - extent.offset;
    if (
      from + shift + into.length > this.#volume.offset + this.#volume.length ||
      from + shift < this.#volume.offset
    ) {
      return [{ offset: from, length: into.length, state: "unread" }];
    }
    const result = await readOrMissing(this.#volume.device, into, from + shift);
    return result.missing.map(({ offset, length, state }) => ({
      offset: offset - shift,
      length,
      state,
    }));
  }

  /** The known bad parts of an extent, in bytes of the file. */
  *badIn(extent: Extent): Generator<BadRange> {
    if (extent.device === undefined || extent.kind === "unwritten") return;
    const shift = this.#volume.offset + extent.device - extent.offset;
    const { poison } = this.#volume.device;
    if (poison.empty || extent.offset + shift + extent.length > poison.size) return;
    for (const { offset, length, state } of poison.bad({
      offset: extent.offset + shift,
      length: extent.length,
    })) {
      yield { offset: offset - shift, length, state };
    }
  }

  /** What the list of the device names, and what the map cannot place; no data is read. */
  async lacks(range: ByteRange): Promise<readonly BadRange[]> {
    const lacks: BadRange[] = [];
    let at = range.offset;
    const end = range.offset + range.length;
    for (const extent of await this.extents(range)) {
      const part = intersect(extent, range);
      if (part === undefined) continue;
      if (part.offset > at) lacks.push({ offset: at, length: part.offset - at, state: "unread" });
      at = part.offset + part.length;
      if (extent.kind === "unknown") lacks.push({ ...part, state: "unread" });
      else
        for (const bad of this.badIn(extent)) {
          const clipped = intersect(bad, part);
          if (clipped !== undefined) lacks.push({ ...clipped, state: bad.state });
        }
    }
    if (at < end) lacks.push({ offset: at, length: end - at, state: "unread" });
    return lacks;
  }

  /** Whether all of a range lies where the volume is in step with the target's. */
  async inStep(range: ByteRange): Promise<InStep | undefined> {
    if (this.#volume.inStep === undefined) return undefined;
    let told: InStep | undefined;
    for (const extent of await this.extents(range)) {
      const part = intersect(extent, range);
      if (part === undefined) continue;
      if (extent.device === undefined || extent.kind === "unwritten") return undefined;
      const offset = extent.device + part.offset - extent.offset;
      told = this.#volume.inStep({ offset, length: part.length });
      if (told === undefined) return undefined;
    }
    return told;
  }

  close(): void {
    // The volume's device belongs to whoever opened it.
  }
}
