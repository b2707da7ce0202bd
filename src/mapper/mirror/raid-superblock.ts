/**
 * RaidSuperblock: what dm-raid keeps at the start of a metadata device (drivers/md/dm-raid.c, struct dm_raid_superblock), one logical block,
 * little-endian:
 *
 *     0   u32 magic "DmRd"           4   u32 compatible features: 1
 *     8   u32 devices                12  u32 position of this one
 *     16  u64 events                 24  u64 failed devices, a bit each
 *     32  u64 recovered up to        40  u64 in sync up to; sectors, all ones: to the end
 *     48  u32 level, layout, stripe sectors; u32 flags
 *     64  u64 reshape position       72  u32 new level, layout, stripe sectors; i32 more devices
 *     88  u64 sectors of the array   96  u64 data offset, new data offset, sectors used of the device
 *     120 3 * u64 more failed devices
 *     144 u32 incompatible features: 0
 */
import { SECTOR } from "../../base/index.ts";

const MAGIC = 0x64526d44;
/** A number of sectors that means "to the end". */
const TO_THE_END = 2n ** 64n - 1n;
/** Bytes that are used. */
const LENGTH = 148;

/** A superblock in its sector. */
export class RaidSuperblock {
  readonly bytes: Uint8Array;
  readonly #view: DataView;

  /** @param bytes a sector, which it changes */
  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, LENGTH);
  }

  /** Bytes that must be read for it to say anything. */
  static readonly length: number = LENGTH;

  get isThere(): boolean {
    return this.#u32(0) === MAGIC;
  }

  get devices(): number {
    return this.#u32(8);
  }

  get position(): number {
    return this.#u32(12);
  }

  /** Counts changes; the largest of a set is the one that is right. */
  get events(): bigint {
    return this.#u64(16);
  }

  set events(value: bigint) {
    this.#view.setBigUint64(16, value, true);
  }

  /** Whether a device of the set failed. */
  hasFailed(index: number): boolean {
    if (index < 64) return ((this.#u64(24) >> BigInt(index)) & 1n) === 1n;
    if (!this.#isExtended || index >= 256) return false;
    const word = this.#u64(112 + 8 * Math.floor(index / 64));
    return ((word >> BigInt(index % 64)) & 1n) === 1n;
  }

  /** Notes which devices of the set have failed, and no other. */
  setFailed(indexes: readonly number[]): void {
    const words = [0n, 0n, 0n, 0n];
    for (const index of indexes) {
      const word = Math.floor(index / 64);
      words[word] = (words[word] ?? 0n) | (1n << BigInt(index % 64));
    }
    for (const [word, value] of words.entries())
      this.#view.setBigUint64(word === 0 ? 24 : 112 + 8 * word, value, true);
  }

  /** Bytes of this device that are the array's; Infinity where all are. */
  get recovered(): number {
    return bytesOf(this.#u64(32));
  }

  set recovered(bytes: number) {
    this.#view.setBigUint64(32, sectorsOf(bytes), true);
  }

  /** Bytes of the array that are alike in all devices; Infinity where all are. Behind them md goes by its bitmap. */
  set inSync(bytes: number) {
    this.#view.setBigUint64(40, sectorsOf(bytes), true);
  }

  /** Bytes of the array; Infinity where an old form does not say. */
  get arrayBytes(): number {
    return this.#isExtended ? bytesOf(this.#u64(88)) : Infinity;
  }

  get #isExtended(): boolean {
    return (this.#u32(4) & 1) === 1;
  }

  /** Makes it one of a new set. */
  create(set: {
    readonly devices: number;
    readonly position: number;
    readonly size: number;
  }): void {
    this.bytes.fill(0);
    const view = this.#view;
    const sectors = BigInt(set.size / SECTOR);
    view.setUint32(0, MAGIC, true);
    view.setUint32(4, 1, true);
    view.setUint32(8, set.devices, true);
    view.setUint32(12, set.position, true);
    view.setUint32(48, 1, true);
    view.setBigUint64(64, TO_THE_END, true);
    view.setUint32(72, 1, true);
    view.setBigUint64(88, sectors, true);
    view.setBigUint64(112, sectors, true);
    this.recovered = Infinity;
    this.inSync = Infinity;
  }

  /** Why the set cannot be used; `undefined` where it can. @param devices number of them in the table */
  problem(devices: number): string | undefined {
    const features = this.#u32(4);
    if (features > 1)
      return `Unable to assemble array: Unknown flag(s) in compatible feature flags: got ${features}`;
    if (this.#u32(144) !== 0)
      return "Unable to assemble array: No incompatible feature flags supported yet";
    const level = this.#u32(48);
    if (level !== 1) return `Takeover not supported: want level 1: got ${level}`;
    if (this.devices !== devices)
      return `Reshape not supported: want ${this.devices} devices as the superblock says: got ${devices}`;
    if (!this.#isExtended) return undefined;
    if ((this.#u32(60) & 1) === 1) return "Reshape not supported: want an array at rest";
    if (this.#u32(72) !== 1 || this.#u32(84) !== 0)
      return "Takeover not supported: want an array at rest";
    const [start, next] = [this.#u64(96), this.#u64(104)];
    return start === 0n && next === 0n
      ? undefined
      : `Out-of-place space not supported: want data_offset 0: got ${start}`;
  }

  #u32(at: number): number {
    return this.#view.getUint32(at, true);
  }

  #u64(at: number): bigint {
    return this.#view.getBigUint64(at, true);
  }
}

function bytesOf(sectors: bigint): number {
  const bytes = sectors * BigInt(SECTOR);
  return bytes > BigInt(Number.MAX_SAFE_INTEGER) ? Infinity : Number(bytes);
}

function sectorsOf(bytes: number): bigint {
  return bytes === Infinity ? TO_THE_END : BigInt(Math.floor(bytes / SECTOR));
}
