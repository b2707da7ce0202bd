/**
 * assembleRaid(): what the metadata of a raid1 set says of its legs, as dm-raid puts a set together (analyse_superblocks). Reads only.
 *
 * The superblock with most events is right. A leg that it calls failed, that is behind it, that has none, or that the table says to rebuild gives
 * no data at all; one that was being recovered gives what it has. Where the bitmap has a bit, the first leg is right. What cannot be read is taken for
 * the worst that it could say.
 *
 * The place up to which the superblock says the set is in sync adds nothing: md goes by the bits from there on, and a bit before it is doubt here too.
 */
import { endOf, SECTOR, type ByteRange } from "../../base/index.ts";
import type { Device } from "../../device/index.ts";
import type { TargetRow } from "../target.ts";
import type { Copies, MirrorLeg } from "./copies.ts";
import { MetaArea } from "./meta-area.ts";
import { BITMAP_OFFSET, bitmapSize, RaidBitmap, regionOf } from "./raid-bitmap.ts";
import { RaidSuperblock } from "./raid-superblock.ts";
import { trustFirstLeg } from "./region-log.ts";

/** What a set is made of, by its table. */
export interface RaidOptions {
  /** Metadata device of each leg that has one, by the leg's index. */
  readonly metas: ReadonlyMap<number, Device>;
  /** Devices of the set, missing ones too. */
  readonly devices: number;
  /** Bytes of the array. */
  readonly size: number;
  /** Bytes of a region of a new bitmap; a power of two. */
  readonly region: number;
  readonly sync?: "sync" | "nosync" | undefined;
  /** Legs that the table says to rebuild. */
  readonly rebuild: ReadonlySet<number>;
  /** What refuses the row. */
  readonly row: Pick<TargetRow, "fail">;
}

/** The metadata of one leg. */
export interface RaidMeta {
  readonly leg: MirrorLeg;
  readonly area: MetaArea;
  readonly superblock: RaidSuperblock;
  /** Whether the device gave it. */
  readonly isReadable: boolean;
}

/** A set that was put together. */
export interface RaidSet {
  readonly metas: readonly RaidMeta[];
  readonly bitmap: RaidBitmap;
  /** Of the superblock that is right; 0 of a new set. */
  readonly events: bigint;
  /** Legs that have not all of what the set has. */
  readonly behind: Set<MirrorLeg>;
}

/** Reads the metadata, and tells the copies what of them is stale. @throws {StorageError} EBADMSG by `fail` */
export async function assembleRaid(copies: Copies, options: RaidOptions): Promise<RaidSet> {
  const metas = await readMetas(copies, options);
  const freshest = options.sync === "sync" ? undefined : freshestOf(metas, options);
  return freshest === undefined
    ? newSet(copies, metas, options)
    : knownSet(copies, { metas, freshest }, options);
}

async function readMetas(copies: Copies, options: RaidOptions): Promise<RaidMeta[]> {
  const metas: RaidMeta[] = [];
  for (const leg of copies.legs) {
    const device = options.metas.get(leg.index);
    if (device === undefined) continue;
    const area = new MetaArea(device, 0, new Uint8Array(SECTOR));
    const holes = await area.read();
    const isReadable = holes.every(({ offset }) => offset >= RaidSuperblock.length);
    metas.push({ leg, area, superblock: new RaidSuperblock(area.bytes), isReadable });
  }
  return metas;
}

function freshestOf(metas: readonly RaidMeta[], { rebuild }: RaidOptions): RaidMeta | undefined {
  return metas
    .filter(({ leg, superblock }) => superblock.isThere && !rebuild.has(leg.index))
    .reduce<RaidMeta | undefined>(
      (best, meta) =>
        best === undefined || meta.superblock.events > best.superblock.events ? meta : best,
      undefined,
    );
}

/** A set without superblocks: alike where the table says so, else the first leg is right. */
function newSet(copies: Copies, metas: readonly RaidMeta[], options: RaidOptions): RaidSet {
  const { sync, size, region, rebuild, row } = options;
  if (sync !== "sync" && metas.some(({ isReadable }) => !isReadable))
    row.fail("Unable to assemble array: Invalid superblocks: want one that can be read");
  const whole = { offset: 0, length: size };
  const bitmap = new RaidBitmap({ size, region });
  const behind = new Set(copies.legs.filter((leg) => rebuild.has(leg.index)));
  for (const leg of behind) copies.setStale(leg, whole);
  if (sync === "nosync") bitmap.bits.release(whole);
  else trustFirstLeg(copies, whole);
  return { metas, bitmap, events: 0n, behind };
}

async function knownSet(
  copies: Copies,
  found: { readonly metas: readonly RaidMeta[]; readonly freshest: RaidMeta },
  options: RaidOptions,
): Promise<RaidSet> {
  const { metas, freshest } = found;
  const { size, row } = options;
  checkSet(found, options);
  const behind = new Set<MirrorLeg>();
  for (const leg of copies.legs) {
    const from = recoveredOf(leg, found, options);
    if (from >= size) continue;
    behind.add(leg);
    copies.setStale(leg, { offset: from, length: size - from });
  }
  if (copies.legs.every((leg) => copies.isGone(leg)))
    row.fail(
      "Insufficient redundancy to activate array: want a device that has all of it: got none",
    );
  const { events, arrayBytes } = freshest.superblock;
  const bitmap = await readBitmap(copies, metas, { ...options, events });
  if (arrayBytes < size) bitmap.bits.mark({ offset: arrayBytes, length: size - arrayBytes });
  for (const range of bitmap.bits.dirty) trustFirstLeg(copies, range);
  return { metas, bitmap, events, behind };
}

function checkSet(
  found: { readonly metas: readonly RaidMeta[]; readonly freshest: RaidMeta },
  { devices, rebuild, row }: RaidOptions,
): void {
  const problem = found.freshest.superblock.problem(devices);
  if (problem !== undefined) row.fail(problem);
  for (const { leg, isReadable, superblock } of found.metas) {
    if (isReadable && !superblock.isThere && !rebuild.has(leg.index))
      row.fail(
        "New device injected into existing raid set without 'delta_disks' or 'rebuild' parameter specified",
      );
  }
}

/** Up to where a leg has what the set has. */
function recoveredOf(
  leg: MirrorLeg,
  found: { readonly metas: readonly RaidMeta[]; readonly freshest: RaidMeta },
  { rebuild }: RaidOptions,
): number {
  const meta = found.metas.find((one) => one.leg === leg);
  if (meta === undefined || !meta.superblock.isThere || rebuild.has(leg.index)) return 0;
  const { position, events, recovered } = meta.superblock;
  const right = found.freshest.superblock;
  // a crash between the writes of two superblocks leaves them one event apart
  return events + 1n < right.events || right.hasFailed(position) ? 0 : recovered;
}

/** The bitmap of the leg that is right; one that is of no use says that all may differ. */
async function readBitmap(
  copies: Copies,
  metas: readonly RaidMeta[],
  options: RaidOptions & { readonly events: bigint },
): Promise<RaidBitmap> {
  const { size, region, events } = options;
  const none = (): RaidBitmap => new RaidBitmap({ size, region });
  const device = metas.find(({ leg }) => leg === copies.authority)?.area.device;
  if (device === undefined || device.size < BITMAP_OFFSET + SECTOR) return none();
  const first = new MetaArea(device, BITMAP_OFFSET, new Uint8Array(SECTOR));
  const isReadable = (await first.read()).every(({ offset }) => offset >= RaidBitmap.start);
  const own = isReadable ? regionOf(first.bytes, events) : undefined;
  if (own === undefined || BITMAP_OFFSET + bitmapSize(size, own) > device.size) return none();
  const area = new MetaArea(device, BITMAP_OFFSET, new Uint8Array(bitmapSize(size, own)));
  noteHoles(area.bytes, await area.read());
  return new RaidBitmap({ size, region: own, bytes: area.bytes });
}

/** A bit that cannot be read may be set. */
function noteHoles(bytes: Uint8Array, holes: readonly ByteRange[]): void {
  for (const hole of holes) bytes.fill(0xff, Math.max(hole.offset, RaidBitmap.start), endOf(hole));
}
