/**
 * DiskLog: dm-mirror's log on a device (drivers/md/dm-log.c, "disk"), byte for byte.
 *
 *     0     u32 magic "MiRr" 0x4D695272, u32 version 2, u64 regions; little-endian, the rest of two sectors unused
 *     1024  a bit for each region, from the lowest; 1: the legs are alike
 *
 * The size of a region is in no place but the table. What is read as "may differ": a log of no magic, of another number of regions, and each
 * region whose bit cannot be read. `sync` says that nothing is alike, whatever the log says. `nosync` says that all is alike where there is no log
 * yet; one that is there is believed, unlike in the kernel: the table is a file here, and says `nosync` after a crash too.
 */
import {
  difference,
  isPromise,
  RangeSet,
  roundUp,
  SECTOR,
  StorageError,
  union,
  type ByteRange,
  type MaybePromise,
} from "../../base/index.ts";
import type { Device } from "../../device/index.ts";
import { after, caught } from "../after.ts";
import { inTurn } from "../in-turn.ts";
import type { Area, TargetRow } from "../target.ts";
import type { Copies, MirrorLeg } from "./copies.ts";
import { MetaArea } from "./meta-area.ts";
import { RegionBits } from "./region-bits.ts";
import { trustFirstLeg, type RegionLog } from "./region-log.ts";

const MAGIC = 0x4d695272;
const VERSION = 2;
/** Where the bits begin. */
const BITS = 2 * SECTOR;

/** What a log is made with. */
export interface DiskLogOptions {
  readonly device: Device;
  /** Bytes of the mirror. */
  readonly size: number;
  /** Bytes of a region; a power of two. */
  readonly region: number;
  /** What the table says of the log. @default it is believed */
  readonly sync?: "sync" | "nosync" | undefined;
  /** What refuses the row. */
  readonly row: Pick<TargetRow, "fail">;
}

/** Bytes that the log of so many regions takes. */
export function diskLogSize(regions: number): number {
  return BITS + roundUp(Math.ceil(regions / 8), SECTOR);
}

/** A log on a device. */
export class DiskLog implements RegionLog {
  readonly #options: DiskLogOptions;
  readonly #regions: number;
  readonly #area: MetaArea;
  #bits: RegionBits | undefined;
  #copies: Copies | undefined;
  /** Whether the log on disk is one of this mirror: it is made by the first write. */
  #made = false;
  /** A note that is on its way to the disk. */
  #noting: Promise<void> | undefined;

  constructor(options: DiskLogOptions) {
    this.#options = options;
    this.#regions = Math.ceil(options.size / options.region);
    this.#area = new MetaArea(options.device, 0, new Uint8Array(diskLogSize(this.#regions)));
  }

  /** What it uses of its device. */
  get area(): Area {
    return { device: this.#area.device, offset: 0, length: this.#area.bytes.length };
  }

  load(copies: Copies): MaybePromise<void> {
    this.#copies = copies;
    return after(this.#area.read(), (holes) => this.#take(copies, holes));
  }

  #take(copies: Copies, holes: readonly ByteRange[]): void {
    const { bytes } = this.#area;
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    const isThere = holes.every(({ offset }) => offset >= 16) && view.getUint32(0, true) === MAGIC;
    const { size, region, sync, row } = this.#options;
    const version = view.getUint32(4, true);
    if (isThere && version !== 1 && version !== VERSION)
      row.fail(`incompatible disk log version: want ${VERSION}: got ${version}`);
    this.#made = isThere && view.getBigUint64(8, true) === BigInt(this.#regions);
    if (!this.#made || sync === "sync") bytes.fill(sync === "nosync" ? 0xff : 0, BITS);
    // bits past the last region are clear, as the kernel leaves them
    clearBits(bytes.subarray(BITS), this.#regions);
    this.#made &&= sync !== "sync" && version === VERSION && holes.length === 0;
    this.#bits = new RegionBits({ size, region, dirtyBit: 0, bytes: bytes.subarray(BITS) });
    for (const range of this.#bits.dirty) trustFirstLeg(copies, range);
  }

  begin(range: ByteRange): MaybePromise<void> {
    // what another write noted counts only once it is durable
    if (this.#noting !== undefined) return this.#noting.then(() => this.begin(range));
    const changed = this.#bits?.mark(range);
    if (changed === undefined && this.#made) return undefined;
    const back = (error: StorageError | undefined): void => {
      if (error === undefined) return;
      // the disk may not know: all of it is written again
      this.#made = false;
      throw error;
    };
    const noted = caught(() => this.#note(changed), back);
    if (!isPromise(noted)) return undefined;
    const over = (): void => {
      this.#noting = undefined;
    };
    this.#noting = noted.then(over, over);
    return noted;
  }

  #note(changed: ByteRange | undefined): MaybePromise<void> {
    const written = this.#made && changed !== undefined ? this.#write(changed) : this.#make();
    return after(written, () => this.#area.device.flush());
  }

  /** Writes all of it. */
  #make(): MaybePromise<void> {
    const { bytes } = this.#area;
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    view.setUint32(0, MAGIC, true);
    view.setUint32(4, VERSION, true);
    view.setBigUint64(8, BigInt(this.#regions), true);
    return after(this.#area.write({ offset: 0, length: bytes.length }), () => {
      this.#made = true;
    });
  }

  #write({ offset, length }: ByteRange): MaybePromise<void> {
    return this.#area.write({ offset: BITS + offset, length });
  }

  settle(): MaybePromise<void> {
    const [bits, copies] = [this.#bits, this.#copies];
    if (bits === undefined || copies === undefined || bits.dirty.size === 0) return undefined;
    const changed = releaseFresh(bits, copies);
    if (changed.length > 0 && !this.#made) return this.#make();
    return inTurn(changed, (range) => this.#write(range));
  }

  /** Any other leg than the first: what it misses stays noted, and the first is right there. */
  drop(leg: MirrorLeg): boolean {
    return leg !== this.#copies?.authority;
  }

  close(): MaybePromise<void> {
    return this.#made ? this.#area.device.flush() : undefined;
  }
}

/** Lets go of every region that is fresh in all legs. @returns the bytes of the bitmap that changed */
export function releaseFresh(bits: RegionBits, copies: Copies): ByteRange[] {
  const stale = copies.legs.reduce((sum, leg) => union(sum, copies.staleOf(leg)), new RangeSet());
  return [...difference(bits.dirty, stale)].flatMap((range) => bits.release(range) ?? []);
}

function clearBits(bits: Uint8Array, from: number): void {
  const end = Math.min(bits.length, roundUp(from, 32) / 8);
  for (let index = from; index < end * 8; index += 1) {
    const at = index >>> 3;
    bits[at] = (bits[at] as number) & ~(1 << (index & 7));
  }
  bits.fill(0, end);
}
