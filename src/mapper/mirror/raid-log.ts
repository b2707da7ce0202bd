/**
 * RaidLog: what dm-raid keeps of a raid1 set on its metadata devices: a superblock and a bitmap each (raid-superblock.ts, raid-bitmap.ts), read by
 * raid-assemble.ts.
 *
 * What is written, and when: the bitmap, durably, before the first byte of a write; the superblocks, with one more event, at the first write of a
 * session, when a leg fails, and when a resync made all alike. While a session writes, the superblocks say that nothing is in sync: else Linux would
 * not look at the bits after a crash (seen on 6.1); closing says that all is. Bitmaps go before superblocks: one whose events are below the
 * superblock's is of no use. Bits stay while a leg is missing, because they say what it missed.
 */
import { SECTOR, StorageError, type ByteRange, type MaybePromise } from "../../base/index.ts";
import type { Area } from "../target.ts";
import type { Copies, MirrorLeg } from "./copies.ts";
import { releaseFresh } from "./disk-log.ts";
import { MetaArea } from "./meta-area.ts";
import { assembleRaid, type RaidMeta, type RaidOptions, type RaidSet } from "./raid-assemble.ts";
import { BITMAP_OFFSET, RaidBitmap } from "./raid-bitmap.ts";
import type { RegionLog } from "./region-log.ts";

/** The log of a raid1 set. */
export class RaidLog implements RegionLog {
  readonly #options: RaidOptions;
  #copies: Copies | undefined;
  #set: RaidSet | undefined;
  #events = 0n;
  /** Whether the set on disk knows of this session. */
  #isStarted = false;
  /** Whether there is nothing to tell the superblocks of legs that came back. */
  #isAlike = false;
  /** A note that is on its way to the disks. */
  #noting: Promise<void> | undefined;

  constructor(options: RaidOptions) {
    this.#options = options;
  }

  /** What it uses of its devices: all of them. */
  get areas(): Area[] {
    return Array.from(this.#options.metas.values(), (device) => ({
      device,
      offset: 0,
      length: device.size,
    }));
  }

  async load(copies: Copies): Promise<void> {
    this.#copies = copies;
    this.#set = await assembleRaid(copies, this.#options);
    this.#events = this.#set.events;
    this.#isAlike = copies.uniform;
  }

  begin(range: ByteRange): MaybePromise<void> {
    if (this.#noting !== undefined) return this.#noting.then(() => this.begin(range));
    const changed = this.#set?.bitmap.bits.mark(range);
    if (changed === undefined && this.#isStarted) return undefined;
    const noted = this.#note(changed);
    const over = (): void => {
      this.#noting = undefined;
    };
    this.#noting = noted.then(over, over);
    return noted;
  }

  async #note(changed: ByteRange | undefined): Promise<void> {
    try {
      if (!this.#isStarted || changed === undefined) await this.#writeAll();
      else {
        await this.#writeBits(changed);
        await this.#flush();
      }
    } catch (error) {
      // the disks may not know: all of it is written again
      this.#isStarted = false;
      throw error;
    }
  }

  /** Metadata of legs that are of use. */
  #live(): RaidMeta[] {
    return (this.#set?.metas ?? []).filter(({ leg }) => this.#copies?.isGone(leg) !== true);
  }

  async #writeBits({ offset, length }: ByteRange): Promise<void> {
    await this.#writeBitmaps({ offset: RaidBitmap.start + offset, length });
  }

  async #writeBitmaps(range: ByteRange, live: readonly RaidMeta[] = this.#live()): Promise<void> {
    const bytes = this.#set?.bitmap.bytes ?? new Uint8Array(0);
    for (const { area } of live) await new MetaArea(area.device, BITMAP_OFFSET, bytes).write(range);
  }

  async #flush(live: readonly RaidMeta[] = this.#live()): Promise<void> {
    for (const { area } of live) await area.device.flush();
  }

  /** One more event, on every leg that is of use; the others are called failed. */
  async #writeAll(live: readonly RaidMeta[] = this.#live()): Promise<void> {
    const set = this.#set;
    if (set === undefined) return;
    this.#events += 1n;
    const { devices } = this.#options;
    set.bitmap.setEvents(this.#events, live.length === devices);
    await this.#writeBitmaps({ offset: 0, length: set.bitmap.bytes.length }, live);
    await this.#flush(live);
    const present = new Set(live.map(({ leg }) => leg.index));
    const failed = Array.from({ length: devices }, (_, index) => index).filter(
      (index) => !present.has(index),
    );
    for (const meta of live) this.#update(meta, failed);
    for (const { area } of live) await area.write({ offset: 0, length: SECTOR });
    await this.#flush(live);
    this.#isStarted = true;
  }

  #update({ leg, superblock }: RaidMeta, failed: readonly number[]): void {
    const { devices, size } = this.#options;
    if (!superblock.isThere) superblock.create({ devices, position: leg.index, size });
    superblock.inSync = 0;
    superblock.events = this.#events;
    superblock.setFailed(failed);
    const stale = this.#copies?.staleOf(leg).first(0, size);
    const isBehind = this.#set?.behind.has(leg) === true && stale !== undefined;
    superblock.recovered = isBehind ? stale.offset : Infinity;
  }

  async settle(): Promise<void> {
    const { bitmap } = this.#set as RaidSet;
    const copies = this.#copies as Copies;
    if (bitmap.bits.dirty.size === 0 && this.#isAlike === copies.uniform) return;
    const isWhole = this.#live().length === this.#options.devices;
    const changed = isWhole ? releaseFresh(bitmap.bits, copies) : [];
    const cameBack = copies.uniform && !this.#isAlike;
    if (cameBack) this.#isAlike = true;
    if (cameBack || (changed.length > 0 && !this.#isStarted)) await this.#writeAll();
    else for (const range of changed) await this.#writeBits(range);
  }

  /** The other legs' superblocks call it failed. */
  async drop(leg: MirrorLeg): Promise<boolean> {
    const others = this.#live().filter((meta) => meta.leg !== leg);
    if (others.length === 0) return false;
    try {
      // a set that is new is made whole first: a device without superblock beside others that have one is a stranger
      if (this.#events === 0n) await this.#writeAll();
      this.#set?.behind.add(leg);
      this.#isAlike = false;
      await this.#writeAll(others);
      return true;
    } catch (error) {
      if (!(error instanceof StorageError)) throw error;
      this.#isStarted = false;
      return false;
    }
  }

  /** Says that all is in sync, where it is. */
  async close(): Promise<void> {
    if (!this.#isStarted) return;
    await this.#flush();
    if ((this.#set as RaidSet).bitmap.bits.dirty.size > 0) return;
    const live = this.#live();
    for (const { superblock, area } of live) {
      superblock.inSync = Infinity;
      await area.write({ offset: 0, length: SECTOR });
    }
    await this.#flush(live);
  }
}
