/**
 * RegionBits: a bit for each region of a mirror, as it stands on disk, and the same as ranges. dm-log's bit is 1 where the legs are alike,
 * md's is 1 where they may differ; both count from the lowest bit of the first byte.
 */
import { alignOut, endOf, RangeSet, type ByteRange } from "../../base/index.ts";

/** What a bitmap is of. */
export interface RegionBitsOptions {
  /** Bytes of the mirror. */
  readonly size: number;
  /** Bytes of a region; a power of two. */
  readonly region: number;
  /** The value of a bit whose region may differ. */
  readonly dirtyBit: 0 | 1;
  /** The bits as they stand on disk; changed in place. */
  readonly bytes: Uint8Array;
}

/** A bitmap. */
export class RegionBits {
  /** What may differ, in bytes of the mirror, whole regions. */
  readonly dirty: RangeSet = new RangeSet();
  readonly #size: number;
  readonly #region: number;
  readonly #dirtyBit: 0 | 1;
  readonly #bytes: Uint8Array;

  constructor(options: RegionBitsOptions) {
    this.#size = options.size;
    this.#region = options.region;
    this.#dirtyBit = options.dirtyBit;
    this.#bytes = options.bytes;
    this.#read();
  }

  get count(): number {
    return Math.ceil(this.#size / this.#region);
  }

  /** Takes the ranges over from the bits: whole bytes of one value at once, a run of regions as one range. */
  #read(): void {
    const whole = this.#dirtyBit === 1 ? 0xff : 0;
    let from: number | undefined;
    for (let index = 0; index < this.count; index += 1) {
      const byte = this.#bytes[index >>> 3] as number;
      const isByte = index % 8 === 0 && (byte === 0 || byte === 0xff);
      const isDirty = isByte ? byte === whole : ((byte >>> (index & 7)) & 1) === this.#dirtyBit;
      if (isDirty) from ??= index;
      else if (from !== undefined) {
        this.#add(from, index);
        from = undefined;
      }
      if (isByte) index += 7;
    }
    if (from !== undefined) this.#add(from, this.count);
  }

  #add(from: number, to: number): void {
    const offset = from * this.#region;
    this.dirty.add(offset, Math.min(to * this.#region, this.#size) - offset);
  }

  /** Marks every region that a range touches. @returns the bytes of the bitmap that changed; `undefined` where all were marked */
  mark(range: ByteRange): ByteRange | undefined {
    const units = this.#whole(range);
    if (this.dirty.covers(units.offset, units.length)) return undefined;
    this.dirty.add(units.offset, units.length);
    return this.#set(units, this.#dirtyBit);
  }

  /** Lets go of the regions that lie whole in a range. @returns the bytes of the bitmap that changed */
  release(range: ByteRange): ByteRange | undefined {
    const start = Math.ceil(range.offset / this.#region) * this.#region;
    const end =
      endOf(range) === this.#size ? this.#size : endOf(range) - (endOf(range) % this.#region);
    if (start >= end) return undefined;
    this.dirty.delete(start, end - start);
    return this.#set({ offset: start, length: end - start }, this.#dirtyBit === 1 ? 0 : 1);
  }

  #whole(range: ByteRange): ByteRange {
    const { offset, length } = alignOut(range, this.#region);
    return { offset, length: Math.min(length, this.#size - offset) };
  }

  #set(units: ByteRange, value: 0 | 1): ByteRange {
    const from = units.offset / this.#region;
    const to = Math.ceil(endOf(units) / this.#region);
    for (let index = from; index < to; index += 1) {
      const at = index >>> 3;
      const bit = 1 << (index & 7);
      const byte = this.#bytes[at] as number;
      this.#bytes[at] = value === 1 ? byte | bit : byte & ~bit;
    }
    return { offset: from >>> 3, length: ((to - 1) >>> 3) + 1 - (from >>> 3) };
  }
}
