/**
 * lvm-label: what an LVM2 physical volume says of itself: label, header, and where its copies of the volume group's text are (lvm2:
 * lib/format_text/layout.h, lib/label/label.h, lib/format_text/format-text.c).
 *
 * The label stands in one of the first four sectors and has no copy. It leads to the metadata areas, of which there may be none, one or two; each has a
 * header and a ring of texts, of which one is committed. Everything has a checksum. Sizes are bounded before they are believed.
 */
import { SECTOR, type ByteRange } from "../../base/index.ts";
import type { Device } from "../../device/index.ts";
import { crc32 } from "../../os/index.ts";
import { readDisk, type DiskBytes } from "../disk-reader.ts";
import { describeRange } from "./volume-error.ts";

/** Sectors that may hold the label. */
const LABEL_SECTORS = 4;
/** Areas of a header that are read at most: LVM writes one or two of each kind. */
const AREAS_MAX = 16;
/** Bytes of a metadata area's header. */
const AREA_HEADER = 512;
/** Bytes of a text that are read at most. */
const TEXT_MAX = 16 * 1024 * 1024;
const AREA_MAGIC = " LVM2 x[5A%r0N*>";
const IGNORED = 1;

/** A physical volume. */
export interface PhysicalVolume {
  /** 32 letters and digits, without hyphens. */
  readonly uuid: string;
  /** Committed texts that are whole, one for each metadata area in use. */
  readonly texts: readonly string[];
  /** What of the metadata areas cannot be used, and why. */
  readonly problems: readonly string[];
}

/** What the first sectors of a device say. */
export type LabelAnswer =
  | { readonly kind: "volume"; readonly volume: PhysicalVolume }
  | { readonly kind: "none" }
  /** Whether there is a label cannot be told, or it is wrong: a sentence without its subject. */
  | { readonly kind: "unknown"; readonly reason: string };

/** LVM's checksum of bytes: the polynomial of zlib's, another start, not inverted at the end. */
export function lvmChecksum(data: Uint8Array, before = 0xf597a6cf): number {
  return ~crc32(data, ~before >>> 0) >>> 0;
}

/**
 * Reads what a physical volume says of itself.
 *
 * @throws {StorageError} if the device itself fails; bytes that cannot be read are told as reasons and problems
 */
export async function readPhysicalVolume(device: Device): Promise<LabelAnswer> {
  const head = await readDisk(device, 0, LABEL_SECTORS * SECTOR);
  let reason: string | undefined;
  for (let at = 0; at + SECTOR <= head.bytes.length; at += SECTOR) {
    const range = describeRange({ offset: at, length: SECTOR });
    if (!head.has(at, SECTOR)) {
      reason ??= `${range} cannot be read, where the label may be: want them healed`;
      continue;
    }
    if (head.text(at, 8) !== "LABELONE" || head.text(at + 24, 8) !== "LVM2 001") continue;
    const isWhole =
      lvmChecksum(head.bytes.subarray(at + 20, at + SECTOR)) === head.view.getUint32(at + 16, true);
    if (isWhole && head.lba(at + 8) === at / SECTOR) return readHeader(device, head, at);
    reason ??= `${range} hold a label whose checksum or place is wrong: want the one that LVM wrote`;
  }
  return reason === undefined ? { kind: "none" } : { kind: "unknown", reason };
}

async function readHeader(device: Device, head: DiskBytes, label: number): Promise<LabelAnswer> {
  const start = label + head.view.getUint32(label + 20, true);
  const end = label + SECTOR;
  const data = areasAt(head, start + 40, end);
  const metadata = data === undefined ? undefined : areasAt(head, data.next, end);
  if (start < label + 32 || data === undefined || metadata === undefined) {
    const range = describeRange({ offset: label, length: SECTOR });
    return { kind: "unknown", reason: `${range} hold a header whose lists of areas do not end` };
  }
  const texts: string[] = [];
  const problems: string[] = [];
  for (const area of metadata.areas) {
    const found = await readArea(device, area);
    if (found?.text !== undefined) texts.push(found.text);
    if (found?.problem !== undefined) problems.push(found.problem);
  }
  return { kind: "volume", volume: { uuid: head.text(start, 32), texts, problems } };
}

/** A list of areas that ends with a zero; `undefined` where it does not end in the sector. */
function areasAt(
  head: DiskBytes,
  from: number,
  end: number,
): { readonly areas: ByteRange[]; readonly next: number } | undefined {
  const areas: ByteRange[] = [];
  for (let at = from; at + 16 <= end && areas.length <= AREAS_MAX; at += 16) {
    const offset = head.lba(at);
    if (offset === 0) return { areas, next: at + 16 };
    areas.push({ offset, length: head.lba(at + 8) });
  }
  return undefined;
}

interface AreaAnswer {
  readonly text?: string;
  readonly problem?: string;
}

/** The committed text of a metadata area; nothing where there is none. */
async function readArea(device: Device, area: ByteRange): Promise<AreaAnswer | undefined> {
  const where = { offset: area.offset, length: AREA_HEADER };
  if (area.offset + AREA_HEADER > device.size)
    return { problem: `The metadata area at ${area.offset} lies past the end at ${device.size}` };
  const head = await readDisk(device, area.offset, AREA_HEADER);
  if (!head.has(0, AREA_HEADER))
    return { problem: `${describeRange(where)} cannot be read, the header of a metadata area` };
  const isWhole = lvmChecksum(head.bytes.subarray(4)) === head.view.getUint32(0, true);
  if (!isWhole || head.text(4, 16) !== AREA_MAGIC || head.view.getUint32(20, true) !== 1)
    return {
      problem: `${describeRange(where)} hold no whole header of a metadata area: its checksum, magic or version is wrong`,
    };
  const offset = head.lba(40);
  const length = head.lba(48);
  const isIgnored = (head.view.getUint32(60, true) & IGNORED) !== 0;
  // an ignored area is not kept up to date
  if (offset === 0 || length === 0 || isIgnored) return undefined;
  // the header says where it is and how long the ring is; the label's length may be 0 ("to the end")
  const ring = { offset: head.lba(24), length: head.lba(32) };
  const checksum = head.view.getUint32(56, true);
  return readRing(device, ring, { offset, length, checksum });
}

/** Reads a text out of the ring behind an area's header. */
async function readRing(
  device: Device,
  ring: ByteRange,
  text: ByteRange & { readonly checksum: number },
): Promise<AreaAnswer> {
  const end = ring.offset + ring.length;
  const isInside =
    end <= device.size &&
    text.offset >= AREA_HEADER &&
    text.offset < ring.length &&
    text.length <= ring.length - AREA_HEADER;
  if (!isInside || text.length > TEXT_MAX)
    return {
      problem: `The metadata area at ${ring.offset} names a text of ${text.length} bytes at ${text.offset}, which does not lie in its ${ring.length} bytes`,
    };
  const first = Math.min(text.length, ring.length - text.offset);
  const parts = [
    await readDisk(device, ring.offset + text.offset, first),
    await readDisk(device, ring.offset + AREA_HEADER, text.length - first),
  ];
  const hole = parts.flatMap(({ missing }) => missing)[0];
  if (hole !== undefined)
    return { problem: `${describeRange(hole)} cannot be read, in the text of a metadata area` };
  const bytes = Buffer.concat(parts.map((part) => part.bytes));
  if (lvmChecksum(bytes) !== text.checksum)
    return {
      problem: `The checksum of the text at ${ring.offset + text.offset} is wrong: want ${text.checksum}: got ${lvmChecksum(bytes)}`,
    };
  return { text: bytes.toString("latin1") };
}
