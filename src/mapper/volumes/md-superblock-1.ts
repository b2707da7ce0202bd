/**
 * md-superblock-1: the superblock of md's formats 1.0, 1.1 and 1.2, which differ in where it stands (include/uapi/linux/raid/md_p.h,
 * struct mdp_superblock_1; drivers/md/md.c, super_1_load).
 */
import { SECTOR } from "../../base/index.ts";
import type { DiskBytes } from "../disk-reader.ts";
import type { MdFound, MdRole } from "./md-member.ts";
import { describeRange } from "./volume-error.ts";

const MAGIC = 0xa92b4efc;
const HEADER = 256;
/** Members at most: what fits into 4096 bytes, as the kernel bounds it. */
const MEMBERS_MAX = 1920;
const FEATURE = {
  bitmap: 1,
  recoveryOffset: 2,
  reshape: 4,
  badBlocks: 8,
  replacement: 16,
  newOffset: 64,
  recoveryBitmap: 128,
  clustered: 256,
  journal: 512,
  ppl: 1024,
  multiplePpls: 2048,
  raid0Layout: 4096,
} as const;
/** All features that the kernel knows. */
const FEATURES_KNOWN = 0x1fff;

/** A format of the superblock, and where it stands on a device; `undefined` where the device is too small. Bytes. */
export interface Superblock1Place {
  readonly version: "1.0" | "1.1" | "1.2";
  readonly offsetOf: (deviceBytes: number) => number | undefined;
}

/** Where the formats stand, as `super_1_load` computes it. */
export const SUPERBLOCK1_PLACES: readonly Superblock1Place[] = [
  {
    version: "1.0",
    offsetOf: (deviceBytes) => {
      const sectors = Math.floor(deviceBytes / SECTOR) - 16;
      return sectors < 0 ? undefined : (sectors - (sectors % 8)) * SECTOR;
    },
  },
  { version: "1.1", offsetOf: (deviceBytes) => (deviceBytes < 4096 ? undefined : 0) },
  { version: "1.2", offsetOf: (deviceBytes) => (deviceBytes < 8192 ? undefined : 4096) },
];

/** The checksum: the sum of all words, folded, without the checksum itself. @param bytes header and roles */
export function superblock1Checksum(bytes: Uint8Array): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let sum = 0;
  let at = 0;
  for (; at + 4 <= bytes.length; at += 4) if (at !== 216) sum += view.getUint32(at, true);
  if (at + 2 <= bytes.length) sum += view.getUint16(at, true);
  return ((sum % 2 ** 32) + Math.floor(sum / 2 ** 32)) % 2 ** 32;
}

/** Reads a superblock. @param bytes 4096 of them, from where it should stand */
export function readSuperblock1(
  bytes: DiskBytes,
  options: { readonly version: Superblock1Place["version"]; readonly deviceBytes: number },
): MdFound {
  const { view, offset } = bytes;
  const place = describeRange({ offset, length: 4096 });
  if (!bytes.has(0, HEADER))
    return {
      reason: `${place} cannot be read, where a superblock of md ${options.version} may be`,
    };
  if (view.getUint32(0, true) !== MAGIC || view.getUint32(4, true) !== 1) return undefined;
  // a superblock of another format shows here too where a partition ends with its disk
  if (bytes.lba(144) * SECTOR !== offset) return undefined;
  const members = view.getUint32(220, true);
  const length = HEADER + 2 * members;
  if (members > MEMBERS_MAX || !bytes.has(0, length))
    return {
      reason: `${place} hold a superblock of md ${options.version} with ${members} members: want at most ${MEMBERS_MAX}, all to be read`,
    };
  const checksum = superblock1Checksum(bytes.bytes.subarray(0, length));
  if (checksum !== view.getUint32(216, true))
    return {
      reason: `${place} hold a superblock of md ${options.version} whose checksum is wrong: want ${checksum}: got ${view.getUint32(216, true)}`,
    };
  return { superblock: fieldsOf(bytes, members, options) };
}

function fieldsOf(
  bytes: DiskBytes,
  members: number,
  { version, deviceBytes }: { readonly version: string; readonly deviceBytes: number },
): Extract<MdFound, { superblock: unknown }>["superblock"] {
  const { view, offset } = bytes;
  const features = view.getUint32(8, true);
  const has = (feature: keyof typeof FEATURE): boolean => (features & FEATURE[feature]) !== 0;
  const level = view.getInt32(72, true);
  const dataOffset = bytes.lba(128);
  const isLayoutTold = level !== 0 || has("raid0Layout");
  const blocks = bytes.view.getUint16(186, true) * SECTOR;
  return {
    version,
    uuid: Buffer.from(bytes.bytes.subarray(16, 32)).toString("hex"),
    name: nameOf(bytes.bytes.subarray(32, 64)),
    level,
    layout: isLayoutTold ? view.getUint32(76, true) : undefined,
    chunk: view.getUint32(88, true),
    raidDisks: view.getUint32(92, true),
    componentSectors: bytes.lba(80),
    createdAt: Number(view.getBigUint64(64, true) & 0xff_ffff_ffffn),
    number: view.getUint32(160, true),
    roles: Array.from({ length: members }, (_, at) =>
      roleOf(view.getUint16(HEADER + 2 * at, true)),
    ),
    events: bytes.lba(200),
    dataOffset,
    dataSectors: Math.min(bytes.lba(136), Math.floor(deviceBytes / SECTOR) - dataOffset),
    resyncOffset: bytes.lba(208),
    recoveryOffset: has("recoveryOffset") ? bytes.lba(152) : Number.POSITIVE_INFINITY,
    refusal: refusalOf(features),
    badBlocks:
      has("badBlocks") && blocks > 0
        ? {
            offset: offset + view.getInt32(188, true) * SECTOR,
            length: blocks,
            shift: view.getUint8(185),
          }
        : undefined,
    bitmapOffset: has("bitmap") ? offset + view.getInt32(96, true) * SECTOR : undefined,
  };
}

function refusalOf(features: number): string {
  const list = Object.entries(FEATURE);
  const refused = ["reshape", "replacement", "newOffset", "clustered", "journal"].filter((name) =>
    list.some(([feature, bit]) => feature === name && (features & bit) !== 0),
  );
  if ((features & ~FEATURES_KNOWN) !== 0) refused.push(`feature map ${features}`);
  return refused.join(", ");
}

function roleOf(value: number): MdRole {
  if (value < 0xff00) return value;
  return ({ 0xfffe: "faulty", 0xfffd: "journal" }[value] as MdRole | undefined) ?? "spare";
}

function nameOf(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return Buffer.from(end < 0 ? bytes : bytes.subarray(0, end)).toString("latin1");
}
