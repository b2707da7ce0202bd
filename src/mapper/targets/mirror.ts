/**
 * mirror: several copies of a range (drivers/md/dm-raid1.c, dm-log.c): `mirror LOG #LOGARGS LOGARGS... #LEGS [DEVICE START]... [#FEATURES FEATURES...]`.
 *
 *     core 1 REGION | core 2 REGION sync|nosync          nothing on disk: without nosync only the first leg gives data
 *     disk 2 DEVICE REGION | disk 3 DEVICE REGION sync|nosync   a log on a device of its own
 *
 * Features are `handle_errors` and `keep_log`; errors are handled here with or without. What the device does is mirror/mirror-device.ts.
 */
import { isPowerOfTwo, SECTOR } from "../../base/index.ts";
import type { ManagedDevice } from "../../device/index.ts";
import type { MirrorLeg } from "../mirror/copies.ts";
import { DiskLog, diskLogSize } from "../mirror/disk-log.ts";
import { mirrorTarget } from "../mirror/mirror-target.ts";
import { NoLog } from "../mirror/region-log.ts";
import { sectorNumber } from "../table-text.ts";
import type { Area, DeviceTarget, TargetRow, TargetType } from "../target.ts";
import { areaAt } from "./linear.ts";

/** `DM_KCOPYD_MAX_REGIONS` + 1. */
const LEGS_MAX = 9;
/** Largest number that the kernel reads into its `uint32_t`. */
const UINT_MAX = 2 ** 32 - 1;
/** Most regions of a log: 64 MiB of bits in memory. */
const REGIONS_MAX = 2 ** 29;

/** `mirror LOG #LOGARGS LOGARGS... #LEGS [DEVICE START]... [#FEATURES FEATURES...]` */
export const mirror: TargetType = {
  name: "mirror",
  construct(row): DeviceTarget {
    const log = logWords(row);
    const rest = row.args.slice(2 + log.args.length);
    const count = numberOf(rest[0]);
    if (count === undefined || count < 2 || count > LEGS_MAX)
      return row.fail(
        `Invalid number of mirrors: want 2 to ${LEGS_MAX}: got "${rest[0] ?? "nothing"}"`,
      );
    if (rest.length < 1 + count * 2)
      return row.fail(
        `Too few mirror arguments: want DEVICE START ${count} times: got ${rest.length - 1} words`,
      );
    checkFeatures(rest.slice(1 + count * 2), row);
    const areas = Array.from({ length: count }, (_, index) => {
      const [word = "", start = ""] = rest.slice(1 + index * 2);
      if (sectorNumber(start) === undefined)
        return row.fail(`Invalid offset: want sectors of 512 bytes: got "${start}"`);
      return areaAt({ word, start, length: row.length }, row);
    });
    const legs = areas.map((area, index) => legOf(area, index, row));
    const { log: made, areas: used } = logOf(log, row);
    return mirrorTarget({ type: "mirror", legs, size: row.length, log: made, areas: used });
  },
};

/** A leg of a mirror. @throws {StorageError} EBADMSG if its device keeps no list */
export function legOf(area: Area, index: number, row: Pick<TargetRow, "fail">): MirrorLeg {
  const { device, offset } = area;
  if (!("heal" in device))
    return row.fail(`want legs that can be healed: got ${device.identity.name}`);
  return { index, device: device as ManagedDevice, offset };
}

function numberOf(word: string | undefined): number | undefined {
  const value = sectorNumber(word ?? "");
  return value !== undefined && value <= UINT_MAX ? value : undefined;
}

/** The words of a log. */
interface LogWords {
  readonly type: "core" | "disk";
  readonly args: readonly string[];
}

function logWords(row: TargetRow): LogWords {
  const { args } = row;
  const [type, word] = args;
  if (type === undefined || word === undefined)
    return row.fail(
      `Insufficient mirror log arguments: want LOG #LOGARGS: got ${args.length} words`,
    );
  const count = numberOf(word);
  if (count === undefined)
    return row.fail(`Invalid mirror log argument count: want a number: got "${word}"`);
  if (args.length < 2 + count)
    return row.fail(`Insufficient mirror log arguments: want ${count}: got ${args.length - 2}`);
  if (type !== "core" && type !== "disk")
    return row.fail(`Error creating mirror dirty log: want core or disk: got "${type}"`);
  return { type, args: args.slice(2, 2 + count) };
}

function logOf(
  { type, args }: LogWords,
  row: TargetRow,
): { readonly log: NoLog | DiskLog; readonly areas: readonly Area[] } {
  const { length: size } = row;
  const wanted = type === "disk" ? "2 or 3" : "1 or 2";
  const [word, region, mode, ...more] = type === "disk" ? args : ["", ...args];
  if (word === undefined || region === undefined || more.length > 0)
    return row.fail(
      `wrong number of arguments to ${type === "disk" ? "disk " : ""}dirty region log: want ${wanted}: got ${args.length}`,
    );
  const bytes = regionBytes(region, row);
  if (mode !== undefined && mode !== "sync" && mode !== "nosync")
    return row.fail(
      `unrecognised sync argument to dirty region log: want sync or nosync: got "${mode}"`,
    );
  if (type === "core")
    return { log: new NoLog(mode === "nosync" ? "in sync" : "first leg"), areas: [] };
  const device = row.lookup(word);
  const needed = diskLogSize(Math.ceil(size / bytes));
  if (needed > device.size)
    return row.fail(
      `log device ${device.identity.name} too small: need ${needed} bytes: got ${device.size}`,
    );
  const log = new DiskLog({ device, size, region: bytes, sync: mode, row });
  return { log, areas: [log.area] };
}

function regionBytes(word: string, row: TargetRow): number {
  const sectors = numberOf(word);
  const most = row.length / SECTOR;
  if (sectors === undefined || sectors < 2 || sectors > most || !isPowerOfTwo(sectors))
    return row.fail(
      `invalid region size ${word}: want a power of two from 2 to ${most} sectors: got "${word}"`,
    );
  if (most / sectors > REGIONS_MAX)
    return row.fail(`invalid region size ${word}: want at most ${REGIONS_MAX} regions`);
  return sectors * SECTOR;
}

function checkFeatures(words: readonly string[], row: TargetRow): void {
  const [first, ...features] = words;
  if (first === undefined) return;
  const count = numberOf(first);
  if (count === undefined)
    return row.fail(`Invalid number of features: want a number: got "${first}"`);
  if (features.length < count)
    return row.fail(
      `Not enough arguments to support feature count: want ${count}: got ${features.length}`,
    );
  if (features.length > count)
    return row.fail(`Too many mirror arguments: want none behind ${count} features`);
  for (const feature of features) {
    if (feature !== "handle_errors" && feature !== "keep_log")
      return row.fail(
        `Unrecognised feature requested: want handle_errors or keep_log: got "${feature}"`,
      );
  }
  if (features.includes("keep_log") && !features.includes("handle_errors"))
    return row.fail("keep_log feature requires the handle_errors feature");
}
