/**
 * md-lists: two lists that md keeps beside a superblock: blocks that a member could not read or write, and the bitmap of where writes were under
 * way (drivers/md/md.c, super_1_load; drivers/md/md-bitmap.c, struct bitmap_super_s).
 */
import { SECTOR } from "../../base/index.ts";
import type { Device } from "../../device/index.ts";
import { readDisk } from "../disk-reader.ts";
import type { MdSuperblock } from "./md-member.ts";
import type { SectorRange } from "./md-rows.ts";

const BITMAP_MAGIC = 0x6d746962;
const BITMAP_HEADER = 256;
/** Bytes of bits that are read at most; mdadm's own bitmaps are far smaller. */
const BITS_MAX = 4 * 1024 * 1024;
/** Ranges that become rows at most; with more the whole array counts as one. */
const RANGES_MAX = 4096;
/** Bytes of a list of bad blocks that are read at most: md reserves 4 KiB. */
const BAD_BLOCKS_MAX = 64 * 1024;
const STALE = 2;
const END_OF_LIST = 0xffff_ffff_ffff_ffffn;

/**
 * What md's list of a member names, in sectors of its data; on the disk it counts from the start of the device.
 *
 * @returns `undefined` where the list cannot be read
 */
export async function readBadBlocks(
  device: Device,
  { badBlocks, dataOffset }: MdSuperblock,
): Promise<readonly SectorRange[] | undefined> {
  if (badBlocks === undefined) return [];
  const { offset, length, shift } = badBlocks;
  if (offset < 0 || length > BAD_BLOCKS_MAX || offset + length > device.size || shift > 40)
    return undefined;
  const list = await readDisk(device, offset, length);
  const ranges: SectorRange[] = [];
  for (let at = 0; at + 8 <= length; at += 8) {
    if (!list.has(at, 8)) return undefined;
    const entry = list.view.getBigUint64(at, true);
    if (entry === END_OF_LIST) break;
    const start = Number(entry >> 10n) * 2 ** shift - dataOffset;
    const sectors = Number(entry & 0x3ffn) * 2 ** shift;
    if (sectors > 0 && Number.isSafeInteger(start)) ranges.push({ start, end: start + sectors });
  }
  return ranges;
}

/**
 * Where an array's members may differ after a crash, by the bitmap of one of them, or from the superblock's own mark on where there is none.
 *
 * @param bitmap `undefined` where it cannot be used
 */
export function unsyncedRanges(
  superblock: MdSuperblock,
  bitmap: readonly SectorRange[] | undefined,
): readonly SectorRange[] {
  const start = superblock.resyncOffset;
  if (start === Number.POSITIVE_INFINITY) return [];
  const all = [{ start, end: Number.POSITIVE_INFINITY }];
  return bitmap === undefined || bitmap.length > RANGES_MAX ? all : bitmap;
}

/** The ranges that a member's bitmap marks, in sectors of its array; `undefined` where there is none, or one that cannot be used. */
export async function readBitmap(
  device: Device,
  superblock: MdSuperblock,
): Promise<readonly SectorRange[] | undefined> {
  const { bitmapOffset: offset, events, uuid } = superblock;
  if (offset === undefined || offset < 0 || offset + BITMAP_HEADER > device.size) return undefined;
  const head = await readDisk(device, offset, BITMAP_HEADER);
  if (!head.has(0, BITMAP_HEADER) || head.view.getUint32(0, true) !== BITMAP_MAGIC)
    return undefined;
  const chunk = head.view.getUint32(52, true);
  const isOfArray = Buffer.from(head.bytes.subarray(8, 24)).toString("hex") === uuid;
  const isStale = (head.view.getUint32(48, true) & STALE) !== 0 || head.lba(24) < events;
  // version 4 is little-endian; 3 is of the machine's order, 5 of a cluster
  if (!isOfArray || isStale || chunk < SECTOR || head.view.getUint32(4, true) !== 4)
    return undefined;
  const chunkSectors = chunk / SECTOR;
  const bits = Math.ceil(head.lba(40) / chunkSectors);
  const length = Math.ceil(bits / 8);
  if (!(length <= BITS_MAX) || chunk % SECTOR !== 0) return undefined;
  const map = await readDisk(device, offset + BITMAP_HEADER, length);
  if (!map.has(0, length)) return undefined;
  return rangesOf(map.bytes, bits, chunkSectors);
}

function rangesOf(map: Uint8Array, bits: number, chunkSectors: number): SectorRange[] {
  const ranges: SectorRange[] = [];
  let start = -1;
  for (let bit = 0; bit <= bits && ranges.length <= RANGES_MAX; bit += 1) {
    const isSet = bit < bits && ((map[bit >> 3] ?? 0) & (1 << (bit & 7))) !== 0;
    if (isSet && start < 0) start = bit;
    if (isSet || start < 0) continue;
    ranges.push({ start: start * chunkSectors, end: bit * chunkSectors });
    start = -1;
  }
  return ranges;
}
