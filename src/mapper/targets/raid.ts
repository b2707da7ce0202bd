/**
 * raid: md's raid1 as device-mapper has it (drivers/md/dm-raid.c): `raid raid1 #PARAMS CHUNK [PARAM]... #DEVICES [META DATA]...`, `-` for none. LVM makes
 * its raid1 volumes so. Where there are metadata devices, what they say counts (mirror/raid-assemble.ts); without any, all devices are taken to be
 * in sync, as in the kernel, unless the row says `sync` or `rebuild`.
 *
 * Other types (raid0, raid4, raid5, raid6, raid10) are refused, and so is what changes the shape of a set.
 */
import { isPowerOfTwo, SECTOR } from "../../base/index.ts";
import type { Device } from "../../device/index.ts";
import type { MirrorLeg } from "../mirror/copies.ts";
import { mirrorTarget } from "../mirror/mirror-target.ts";
import type { RaidOptions } from "../mirror/raid-assemble.ts";
import { BITMAP_OFFSET, bitmapSize } from "../mirror/raid-bitmap.ts";
import { RaidLog } from "../mirror/raid-log.ts";
import { NoLog } from "../mirror/region-log.ts";
import type { Area, DeviceTarget, TargetRow, TargetType } from "../target.ts";
import { legOf } from "./mirror.ts";
import { raidParams, type RaidParams } from "./raid-params.ts";

/** md's limit, as dm-raid has it. */
const DEVICES_MAX = 253;
/** Types that the kernel knows beside raid1. */
const OTHER_TYPES =
  /^raid(0|4|10(_far|_offset|_near)?|5_(n|ls|rs|la|ra)|6_(zr|nr|nc|n_6|ls_6|rs_6|la_6|ra_6))$/i;
/** Most regions of a bitmap, and the region that is taken where nobody says: sectors. */
const REGIONS_MAX = 2 ** 21;
const REGION_DEFAULT = 2 ** 13;

/** `raid raid1 #PARAMS CHUNK [PARAM]... #DEVICES [META DATA]...` */
export const raid: TargetType = {
  name: "raid",
  construct(row): DeviceTarget {
    const { args, length: size } = row;
    const [type, word] = args;
    if (type === undefined) return row.fail("No arguments: want raid1 #PARAMS CHUNK: got none");
    if (OTHER_TYPES.test(type))
      return row.fail(`raid_type not supported: want raid1: got "${type}"`);
    if (type.toLowerCase() !== "raid1")
      return row.fail(`Unrecognised raid_type: want raid1: got "${type}"`);
    const count = countOf(word, args.length - 2);
    if (count === undefined)
      return row.fail(
        `Cannot understand number of raid parameters: want a number up to ${args.length - 2}: got "${word ?? "nothing"}"`,
      );
    const rest = args.slice(2 + count);
    const devices = countOf(rest[0], Math.min(DEVICES_MAX, Math.floor((rest.length - 1) / 2)));
    if (devices === undefined || devices === 0)
      return row.fail(
        `Cannot understand number of raid devices parameters: want META DATA for each: got "${rest[0] ?? "nothing"}" and ${Math.max(0, rest.length - 1)} words`,
      );
    if (rest.length !== 1 + devices * 2)
      return row.fail(`want ${devices} times META DATA: got ${rest.length - 1} words`);
    const params = raidParams(args.slice(2, 2 + count), { devices, row });
    const { legs, metas } = devicesOf(rest.slice(1), row);
    const region = regionBytes(params, row);
    const options = { ...params, metas, devices, size, region, row };
    const { log, areas } = metas.size > 0 ? withMetas(options) : withoutMetas(options, legs);
    const asked = legs.toSorted(
      (one, other) =>
        Number(params.writeMostly.has(one.index)) - Number(params.writeMostly.has(other.index)),
    );
    return mirrorTarget({ type: "raid1", legs: asked, size, log, areas });
  },
};

function countOf(word: string | undefined, most: number): number | undefined {
  const value = /^\d{1,9}$/.test(word ?? "") ? Number(word) : Number.NaN;
  return value <= most ? value : undefined;
}

function devicesOf(
  words: readonly string[],
  row: TargetRow,
): { readonly legs: readonly MirrorLeg[]; readonly metas: ReadonlyMap<number, Device> } {
  const { length } = row;
  const legs: MirrorLeg[] = [];
  const metas = new Map<number, Device>();
  for (let at = 0; at < words.length; at += 2) {
    const index = at / 2;
    const [meta = "-", data = "-"] = words.slice(at, at + 2);
    if (data === "-") {
      if (meta !== "-") row.fail("No data device supplied with metadata device: want META DATA");
      continue;
    }
    if (meta !== "-") metas.set(index, row.lookup(meta));
    legs.push(legOf({ device: row.lookup(data), offset: 0, length }, index, row));
  }
  if (legs.length === 0)
    row.fail("Insufficient number of devices: want one that is there: got none");
  return { legs, metas };
}

function regionBytes({ regionSectors: sectors }: RaidParams, row: TargetRow): number {
  const all = row.length / SECTOR;
  const least = Math.floor(all / REGIONS_MAX);
  if (sectors === undefined || sectors === 0) {
    let region = REGION_DEFAULT;
    while (region < least) region *= 2;
    return region * SECTOR;
  }
  if (sectors > all)
    row.fail(`Supplied region size is too large: want at most ${all} sectors: got ${sectors}`);
  if (sectors < least)
    row.fail(`Supplied region size is too small: want at least ${least} sectors: got ${sectors}`);
  if (!isPowerOfTwo(sectors)) row.fail(`Region size is not a power of 2: got ${sectors}`);
  return sectors * SECTOR;
}

function withMetas(options: RaidOptions): {
  readonly log: RaidLog;
  readonly areas: readonly Area[];
} {
  const { metas, size, region, row } = options;
  const needed = BITMAP_OFFSET + bitmapSize(size, region);
  for (const device of metas.values()) {
    if (device.size < needed)
      row.fail(
        `metadata device ${device.identity.name} too small: need ${needed} bytes: got ${device.size}`,
      );
  }
  const log = new RaidLog(options);
  return { log, areas: log.areas };
}

/** Nothing on disk: what the row says is all. */
function withoutMetas(
  { sync, rebuild, row }: RaidOptions,
  legs: readonly MirrorLeg[],
): { readonly log: NoLog; readonly areas: readonly Area[] } {
  if (legs.every(({ index }) => rebuild.has(index)))
    row.fail("Insufficient redundancy to activate array: want a device that is not rebuilt");
  return { log: new NoLog(sync === "sync" ? "first leg" : "in sync", rebuild), areas: [] };
}
