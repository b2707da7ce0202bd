/**
 * Inode: one slot of an inode table, decoded (kernel: struct ext4_inode; 128 bytes, and what `i_extra_isize` adds).
 *
 * The hot scan reads slots as 32-bit words and decodes only those that matter, so the places of the fields are here too.
 */
import { crc32c, crc32cWord } from "../../base/index.ts";
import { hasFeature } from "./features.ts";
import type { Superblock } from "./superblock.ts";
import type { Ext4Volume } from "./volume.ts";

/** Inode flags (kernel: EXT4_*_FL). */
export const INODE_FLAGS = {
  encrypt: 0x800,
  index: 0x1000,
  hugeFile: 0x40000,
  extents: 0x80000,
  verity: 0x100000,
  eaInode: 0x200000,
  inlineData: 0x10000000,
  casefold: 0x40000000,
} as const;

/** Type bits of a mode (POSIX S_IFMT and its values). */
export const MODE = {
  mask: 0xf000,
  fifo: 0x1000,
  character: 0x2000,
  directory: 0x4000,
  block: 0x6000,
  file: 0x8000,
  symlink: 0xa000,
  socket: 0xc000,
} as const;

/** Bytes from the start of a slot: the block map or extent root, and its length. */
export const MAP_OFFSET = 40;
/** Bytes of the block map in a slot: 15 words. */
export const MAP_LENGTH = 60;
/** Bytes of the part of a slot that every inode has. */
export const CORE_LENGTH = 128;

/** Reserved inodes with a use of their own. */
export const BAD_BLOCKS_INODE = 1;
/** The root directory. */
export const ROOT_INODE = 2;
/** Holds the descriptor blocks reserved for growth. */
export const RESIZE_INODE = 7;

/** One inode in use, decoded. */
export interface Inode {
  readonly number: number;
  /** A copy of its slot. */
  readonly slot: Uint8Array;
  /** First byte of the slot on the volume. */
  readonly device: number;
  readonly mode: number;
  readonly flags: number;
  /** Bytes. */
  readonly size: number;
  readonly links: number;
  readonly deletedTime: number;
  readonly generation: number;
  readonly xattrBlock: number;
  /** Bytes of the extra fields; 0 where a slot has 128 bytes or the field is nonsense. */
  readonly extraSize: number;
  /** Whether its checksum is right; `undefined` where nothing covers it. Of a partial inode false. */
  readonly checksumOk: boolean | undefined;
  /** Whether a part of the slot behind its first 128 bytes cannot be read (partial-slot.ts): then there are no attributes to see. */
  readonly partial: boolean;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Seed of every checksum of what an inode owns: the file system's, its number, its generation (kernel: i_csum_seed). */
export function inodeSeed(superblock: Superblock, number: number, generation: number): number {
  return crc32cWord(generation, crc32cWord(number, superblock.checksumSeed));
}

/** The slot that is summed: a copy, so that its checksum can be zeroed and one call sums it all. */
let summed = new Uint8Array(256);

/** Whether a slot's checksum is right (kernel: ext4_inode_csum); `undefined` without metadata_csum. */
export function inodeChecksumOk(
  superblock: Superblock,
  number: number,
  slot: Uint8Array,
): boolean | undefined {
  if (!rulesOf(superblock).checksums) return undefined;
  if (summed.length !== slot.length) summed = new Uint8Array(slot.length);
  const bytes = summed;
  bytes.set(slot);
  const generation = bytes[100]! | (bytes[101]! << 8) | (bytes[102]! << 16) | (bytes[103]! << 24);
  const low = bytes[124]! | (bytes[125]! << 8);
  bytes.fill(0, 124, 126);
  const hasHigh = bytes.length > 128 && (bytes[128]! | (bytes[129]! << 8)) >= 4;
  const high = hasHigh ? bytes[130]! | (bytes[131]! << 8) : 0;
  if (hasHigh) bytes.fill(0, 130, 132);
  const sum = crc32c(bytes, inodeSeed(superblock, number, generation));
  return low + high * 0x10000 === (hasHigh ? sum : sum & 0xffff);
}

/** Where a slot is; `undefined` where the number is none, or its group is unknown. */
export function inodeLocation(
  volume: Ext4Volume,
  number: number,
): { readonly block: number; readonly offset: number } | undefined {
  const { inodesPerGroup, inodeSize, blockSize, inodeCount } = volume.superblock;
  if (!Number.isInteger(number) || number < 1 || number > inodeCount) return undefined;
  const descriptor = volume.groups[Math.floor((number - 1) / inodesPerGroup)];
  if (descriptor === undefined || descriptor.source === "unknown") return undefined;
  const byte = ((number - 1) % inodesPerGroup) * inodeSize;
  return { block: descriptor.inodeTable + Math.floor(byte / blockSize), offset: byte % blockSize };
}

/** First byte of a slot on the volume, or -1 where it is unknown. */
export function slotDevice(volume: Ext4Volume, number: number): number {
  const place = inodeLocation(volume, number);
  return place === undefined ? -1 : place.block * volume.superblock.blockSize + place.offset;
}

/** A little-endian field. A scan decodes thousands of slots, and a view of one costs more than reading it. */
function shortAt(slot: Uint8Array, at: number): number {
  return slot[at]! | (slot[at + 1]! << 8);
}

function longAt(slot: Uint8Array, at: number): number {
  return (shortAt(slot, at) | (shortAt(slot, at + 2) << 16)) >>> 0;
}

/** Size of a file (kernel: ext4_isize): 64 bits for files, and for directories with large_dir. */
function sizeOf(rules: InodeRules, slot: Uint8Array, mode: number): number {
  const low = longAt(slot, 4);
  const type = mode & MODE.mask;
  const wide =
    type === MODE.file || type === 0 || (type === MODE.directory && rules.largeDirectories);
  const size = wide ? low + longAt(slot, 108) * 2 ** 32 : low;
  return Math.min(size, Number.MAX_SAFE_INTEGER);
}

/** What decoding asks of a superblock for every inode, asked once. */
interface InodeRules {
  readonly checksums: boolean;
  readonly wide: boolean;
  readonly largeDirectories: boolean;
}

const RULES = new WeakMap<Superblock, InodeRules>();

function rulesOf(superblock: Superblock): InodeRules {
  const known = RULES.get(superblock);
  if (known !== undefined) return known;
  const rules: InodeRules = {
    checksums: hasFeature(superblock, "metadata_csum"),
    wide: hasFeature(superblock, "64bit"),
    largeDirectories: hasFeature(superblock, "large_dir"),
  };
  RULES.set(superblock, rules);
  return rules;
}

/** A decoded slot. Its checksum is computed when somebody asks: a scan decodes every directory, and few of them matter. */
class SlotInode implements Inode {
  readonly number: number;
  readonly slot: Uint8Array;
  readonly mode: number;
  readonly flags: number;
  readonly size: number;
  readonly links: number;
  readonly deletedTime: number;
  readonly generation: number;
  readonly xattrBlock: number;
  readonly extraSize: number;
  readonly partial = false;
  readonly #volume: Ext4Volume;
  #checksumOk: boolean | undefined;
  #checked = false;

  constructor(volume: Ext4Volume, number: number, slot: Uint8Array) {
    const extra = slot.length > CORE_LENGTH ? shortAt(slot, 128) : 0;
    const rules = rulesOf(volume.superblock);
    const high = rules.wide ? shortAt(slot, 118) * 2 ** 32 : 0;
    this.#volume = volume;
    this.number = number;
    this.slot = slot;
    this.mode = shortAt(slot, 0);
    this.flags = longAt(slot, 32);
    this.size = sizeOf(rules, slot, this.mode);
    this.links = shortAt(slot, 26);
    this.deletedTime = longAt(slot, 20);
    this.generation = longAt(slot, 100);
    this.xattrBlock = longAt(slot, 104) + high;
    this.extraSize = extra % 4 === 0 && CORE_LENGTH + extra <= slot.length ? extra : 0;
  }

  get device(): number {
    return slotDevice(this.#volume, this.number);
  }

  get checksumOk(): boolean | undefined {
    if (!this.#checked) {
      this.#checksumOk = inodeChecksumOk(this.#volume.superblock, this.number, this.slot);
      this.#checked = true;
    }
    return this.#checksumOk;
  }
}

/** Decodes a slot. `slot` must last: a copy. */
export function decodeInode(volume: Ext4Volume, number: number, slot: Uint8Array): Inode {
  return new SlotInode(volume, number, slot);
}

/** Modification time in nanoseconds since 1970: 34 bits of seconds, 30 of nanoseconds (kernel: ext4_decode_extra_time). */
export function modifiedNs(inode: Inode): bigint {
  const view = viewOf(inode.slot);
  const seconds = BigInt(view.getInt32(16, true));
  if (inode.extraSize < 12) return seconds * 1_000_000_000n;
  const extra = view.getUint32(136, true);
  return (seconds + (BigInt(extra & 3) << 32n)) * 1_000_000_000n + BigInt(extra >>> 2);
}

/** What an inode is, in the words of `FileInfo`. */
export function kindOf(inode: Pick<Inode, "mode">): "file" | "directory" | "symlink" | "other" {
  const type = inode.mode & MODE.mask;
  if (type === MODE.file) return "file";
  if (type === MODE.directory) return "directory";
  return type === MODE.symlink ? "symlink" : "other";
}

/** Whether a symbolic link's target is in the inode (kernel: ext4_inode_is_fast_symlink). */
export function isFastSymlink(inode: Pick<Inode, "mode" | "flags" | "size">): boolean {
  if ((inode.mode & MODE.mask) !== MODE.symlink) return false;
  return (
    inode.size < MAP_LENGTH && (inode.flags & (INODE_FLAGS.inlineData | INODE_FLAGS.extents)) === 0
  );
}

/** What the 60 bytes of the map hold. */
export type MapKind = "extents" | "blocks" | "inline" | "none";

/** What the 60 bytes of an inode's map hold; "none" of devices, pipes and fast symlinks. Three numbers, because a scan has no object. */
export function mapKindOfFields(mode: number, flags: number, size: number): MapKind {
  const type = mode & MODE.mask;
  if (
    type === MODE.symlink &&
    size < MAP_LENGTH &&
    (flags & (INODE_FLAGS.inlineData | INODE_FLAGS.extents)) === 0
  )
    return "none";
  if (type !== MODE.file && type !== MODE.directory && type !== MODE.symlink && type !== 0)
    return "none";
  if ((flags & INODE_FLAGS.inlineData) !== 0) return "inline";
  return (flags & INODE_FLAGS.extents) === 0 ? "blocks" : "extents";
}

/** What the 60 bytes of an inode's map hold, by its mode, flags and size. */
export function mapKindOf(inode: Pick<Inode, "mode" | "flags" | "size">): MapKind {
  return mapKindOfFields(inode.mode, inode.flags, inode.size);
}

/** What the file's bytes in an inode are called; `undefined` where it holds none. */
export function inlineKind(
  inode: Inode,
): "inline-data" | "inline-directory" | "symlink-target" | undefined {
  if (isFastSymlink(inode)) return "symlink-target";
  if (mapKindOf(inode) !== "inline") return undefined;
  const kind = kindOf(inode);
  if (kind === "directory") return "inline-directory";
  return kind === "symlink" ? "symlink-target" : "inline-data";
}

/** Whether all bytes are zero: a slot that was never used. */
export function isZero(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === 0);
}

/** Whether a slot holds an inode in use: it has links, or is an orphan whose bit is set; reserved inodes always are. */
export async function isInUse(volume: Ext4Volume, inode: Inode): Promise<boolean> {
  if (inode.number === BAD_BLOCKS_INODE) return true;
  if (inode.mode === 0) return false;
  if (inode.number < volume.superblock.firstInode) return true;
  if (inode.links > 0) return true;
  if (inode.deletedTime > volume.superblock.inodeCount) return false;
  return (await volume.inodeAllocated(inode.number)) !== false;
}
