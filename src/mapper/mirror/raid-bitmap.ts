/**
 * RaidBitmap: md's write-intent bitmap as dm-raid keeps it, at byte 4096 of a metadata device (drivers/md/md-bitmap.h, struct bitmap_super_s):
 *
 *     0   u32 magic "bitm" 0x6d746962, u32 version 4, 16 bytes UUID (zeros: dm-raid has none)
 *     24  u64 events                  32  u64 events when last a bit was cleared
 *     40  u64 sectors of the array    48  u32 state: 2 is stale
 *     52  u32 bytes of a region       56  u32 seconds between sweeps
 *     256 a bit for each region, from the lowest; 1: the devices may differ
 */
import { isPowerOfTwo, roundUp, SECTOR } from "../../base/index.ts";
import { RegionBits } from "./region-bits.ts";

const MAGIC = 0x6d746962;
const VERSION = 4;
const STALE = 2;
/** Where the bits begin. */
const BITS = 256;
/** What md takes where nobody says. */
const SLEEP_SECONDS = 5;

/** Where a bitmap stands on its device. */
export const BITMAP_OFFSET = 4096;

/** Bytes of the bitmap of an array, whole sectors. */
export function bitmapSize(size: number, region: number): number {
  return roundUp(BITS + Math.ceil(Math.ceil(size / region) / 8), SECTOR);
}

/** Bytes of a region as the first sector of a bitmap says; `undefined` where it is none of an array of that size, or says that it is stale. */
export function regionOf(sector: Uint8Array, events: bigint): number | undefined {
  const view = new DataView(sector.buffer, sector.byteOffset);
  const version = view.getUint32(4, true);
  const region = view.getUint32(52, true);
  const isGood =
    view.getUint32(0, true) === MAGIC &&
    (version === VERSION || version === VERSION - 1) &&
    isPowerOfTwo(region) &&
    region >= SECTOR &&
    (view.getUint32(48, true) & STALE) === 0 &&
    view.getBigUint64(24, true) >= events;
  return isGood ? region : undefined;
}

/** A bitmap in memory; every device of the set has the same. */
export class RaidBitmap {
  readonly bytes: Uint8Array;
  readonly bits: RegionBits;
  readonly #view: DataView;

  /** @param options bytes: as on disk, `bitmapSize` of them; without them a new one, all of it noted */
  constructor(options: {
    readonly size: number;
    readonly region: number;
    readonly bytes?: Uint8Array;
  }) {
    const { size, region } = options;
    this.bytes = options.bytes ?? new Uint8Array(bitmapSize(size, region)).fill(0xff, BITS);
    this.#view = new DataView(this.bytes.buffer, this.bytes.byteOffset);
    if (options.bytes === undefined) {
      const view = this.#view;
      view.setUint32(0, MAGIC, true);
      view.setUint32(4, VERSION, true);
      view.setBigUint64(40, BigInt(size / SECTOR), true);
      view.setUint32(52, region, true);
      view.setUint32(56, SLEEP_SECONDS, true);
      clearPast(this.bytes.subarray(BITS), Math.ceil(size / region));
    }
    this.bits = new RegionBits({ size, region, dirtyBit: 1, bytes: this.bytes.subarray(BITS) });
  }

  /** Where a byte of the bits stands. */
  static readonly start: number = BITS;

  /** @param cleared whether bits were cleared since: only where no device is missing */
  setEvents(events: bigint, cleared: boolean): void {
    this.#view.setBigUint64(24, events, true);
    if (cleared) this.#view.setBigUint64(32, events, true);
  }
}

function clearPast(bits: Uint8Array, from: number): void {
  const at = from >>> 3;
  if (at >= bits.length) return;
  bits[at] = (bits[at] as number) & ((1 << (from & 7)) - 1);
  bits.fill(0, at + 1);
}
