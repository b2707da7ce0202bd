/**
 * md-superblock-0: the superblock of md's format 0.90, at the end of a member (include/uapi/linux/raid/md_p.h, struct mdp_superblock_s;
 * drivers/md/md.c, super_90_load). It is in the byte order of the machine that made it; little-endian ones are read.
 */
import { SECTOR } from "../../base/index.ts";
import type { DiskBytes } from "../disk-reader.ts";
import type { MdFound, MdRole, MdSuperblock } from "./md-member.ts";
import { describeRange } from "./volume-error.ts";

const MAGIC = 0xa92b4efc;
/** Bytes at the end that are the superblock's, whose start is a multiple of them. */
const RESERVED = 65_536;
const SIZE = 4096;
const MEMBERS = 27;
/** Bits of a member's state. */
const FAULTY = 1;
const SYNC = 4;
/** Bits of the array's state. */
const CLEAN = 1;
const BITMAP = 256;

/** Where it stands; `undefined` where the device is too small. Bytes. */
export function superblock0Offset(deviceBytes: number): number | undefined {
  const offset = deviceBytes - (deviceBytes % RESERVED) - RESERVED;
  return offset < 0 ? undefined : offset;
}

/** The checksum: the sum of all words, folded once to 32 bits, without the checksum itself. */
export function superblock0Checksum(bytes: Uint8Array): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, SIZE);
  let sum = 0;
  for (let at = 0; at < SIZE; at += 4) if (at !== 152) sum += view.getUint32(at, true);
  return ((sum % 2 ** 32) + Math.floor(sum / 2 ** 32)) % 2 ** 32;
}

/** Folded to 16 bits, as the kernel compares it: machines differed in the first folding. */
function folded(checksum: number): number {
  const once = (checksum & 0xffff) + (checksum >>> 16);
  return (once & 0xffff) + (once >>> 16);
}

/** Reads a superblock. @param bytes 4096 of them, from where it should stand */
export function readSuperblock0(bytes: DiskBytes): MdFound {
  const { view, offset } = bytes;
  const place = describeRange({ offset, length: SIZE });
  if (!bytes.has(0, SIZE))
    return { reason: `${place} cannot be read, where a superblock of md 0.90 may be` };
  if (view.getUint32(0, false) === MAGIC)
    return {
      reason: `${place} hold a superblock of md 0.90 of a big-endian machine: want little-endian`,
    };
  if (view.getUint32(0, true) !== MAGIC || view.getUint32(4, true) !== 0) return undefined;
  const checksum = superblock0Checksum(bytes.bytes);
  const stored = view.getUint32(152, true);
  if (folded(checksum) !== folded(stored))
    return {
      reason: `${place} hold a superblock of md 0.90 whose checksum is wrong: want ${checksum}: got ${stored}`,
    };
  return { superblock: fieldsOf(bytes) };
}

function fieldsOf({ bytes, view, offset }: DiskBytes): MdSuperblock {
  const word = (index: number): number => view.getUint32(4 * index, true);
  const level = view.getInt32(28, true);
  const state = word(33);
  const isCheckpointed = word(39) === word(41) && word(40) === word(42);
  const resyncOffset = isCheckpointed ? word(43) : 0;
  const uuid = [5, 13, 14, 15].map((index) => bytes.subarray(4 * index, 4 * index + 4));
  return {
    version: "0.90",
    uuid: Buffer.concat(uuid).toString("hex"),
    name: "",
    level,
    layout: level === 0 ? undefined : word(64),
    chunk: Math.floor(word(65) / SECTOR),
    raidDisks: word(10),
    componentSectors: 2 * word(8),
    createdAt: word(6),
    number: word(992),
    roles: Array.from({ length: MEMBERS }, (_, at) =>
      roleOf(word(128 + 32 * at + 4), word(128 + 32 * at + 3)),
    ),
    events: word(39) + word(40) * 2 ** 32,
    dataOffset: 0,
    dataSectors: offset / SECTOR,
    resyncOffset: (state & CLEAN) === 0 ? resyncOffset : Number.POSITIVE_INFINITY,
    recoveryOffset: Number.POSITIVE_INFINITY,
    refusal: word(2) === 90 ? "" : `minor version ${word(2)}`,
    badBlocks: undefined,
    bitmapOffset: (state & BITMAP) === 0 ? undefined : offset + SIZE,
  };
}

function roleOf(state: number, slot: number): MdRole {
  if ((state & FAULTY) !== 0) return "faulty";
  return (state & SYNC) === 0 ? "spare" : slot;
}
