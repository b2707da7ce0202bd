/**
 * Group descriptors: the table that says where each group's bitmaps and inode table stand, 32 or 64 bytes a group.
 *
 * Each descriptor is trusted only by itself: whole, its checksum right (where there is one), its pointers inside the volume and not
 * on superblocks or descriptors. Where the primary one is not, backups are asked; they give positions, but their flags, counts and bitmap
 * checksums are as old as the backup (the kernel never rewrites them), so nothing is concluded from those.
 */
import { crc16, crc32c, crc32cWord, type MaybePromise } from "../../base/index.ts";
import type { Problem } from "../file-map.ts";
import { isBad } from "../block-reader.ts";
import { littleEndian } from "./checksums.ts";
import { hasDescriptorChecksums, hasFeature } from "./features.ts";
import type { Geometry } from "./geometry.ts";
import type { BlockRead, GroupDescriptor } from "./volume.ts";

const INODE_UNINIT = 1;
const BLOCK_UNINIT = 2;
const INODE_ZEROED = 4;
const UNKNOWN = 0;
const PRIMARY = 1;
const BACKUP = 2;
/** What stands for a checksum's own two bytes while it is computed. */
const NO_CHECKSUM = new Uint8Array(2);
const SOURCES = ["unknown", "primary", "backup"] as const;

/** Reads blocks of the volume, as `Ext4Volume.readBlocks` does. */
export type ReadBlocks = (block: number, count: number) => MaybePromise<BlockRead | undefined>;

/** Where the loader gets its blocks from, and whom it tells. */
export interface DescriptorInput {
  readonly readBlocks: ReadBlocks;
  readonly report: (problem: Problem) => void;
  /** Groups to load, from the first: those of a cut-off volume whose structures can be there. */
  readonly groups: number;
}

/** All descriptors of a volume, as one run of bytes. */
export class DescriptorTable {
  readonly geometry: Geometry;
  readonly groups: readonly GroupDescriptor[];
  readonly #view: DataView;
  readonly #bytes: Uint8Array;
  readonly #sources: Uint8Array;
  readonly #seed16: number;
  readonly #flexible: boolean;
  readonly #checksummed: boolean;
  readonly #metadataChecksums: boolean;

  constructor(geometry: Geometry, groups: number) {
    this.geometry = geometry;
    this.#bytes = new Uint8Array(groups * geometry.superblock.descriptorSize);
    this.#view = new DataView(this.#bytes.buffer);
    this.#sources = new Uint8Array(groups);
    this.#seed16 = crc16(uuidBytes(geometry.superblock.uuid), 0xffff);
    this.#flexible = hasFeature(geometry.superblock, "flex_bg");
    this.#checksummed = hasDescriptorChecksums(geometry.superblock);
    this.#metadataChecksums = hasFeature(geometry.superblock, "metadata_csum");
    this.groups = Array.from({ length: groups }, (_, group) => new TableDescriptor(this, group));
  }

  /** Takes a descriptor from a block if it can be trusted there. @returns whether it was */
  accept(group: number, bytes: Uint8Array, source: "primary" | "backup"): boolean {
    const { descriptorSize } = this.geometry.superblock;
    const at = group * descriptorSize;
    this.#bytes.set(bytes, at);
    this.#sources[group] = source === "primary" ? PRIMARY : BACKUP;
    if (this.#checksumOk(group, bytes) && this.#sane(group)) return true;
    this.forget(group);
    return false;
  }

  /** Makes a descriptor unknown: two structures cannot be in one place. */
  forget(group: number): void {
    const { descriptorSize } = this.geometry.superblock;
    this.#bytes.fill(0, group * descriptorSize, (group + 1) * descriptorSize);
    this.#sources[group] = UNKNOWN;
  }

  /** Where a descriptor was read from. */
  source(group: number): GroupDescriptor["source"] {
    return SOURCES[this.#sources[group] as 0 | 1 | 2];
  }

  /** Flags as they are written; without descriptor checksums they mean nothing and are 0. */
  flags(group: number): number {
    return this.#checksummed ? this.short(group, 18) : 0;
  }

  /** A 16-bit field at `offset` of a descriptor. */
  short(group: number, offset: number): number {
    return this.#view.getUint16(group * this.geometry.superblock.descriptorSize + offset, true);
  }

  /** A number in two 16-bit halves; the high one is 0 in a descriptor of 32 bytes. */
  splitShort(group: number, low: number, high: number): number {
    const wide = this.geometry.superblock.descriptorSize > high;
    return this.short(group, low) + (wide ? this.short(group, high) * 2 ** 16 : 0);
  }

  /** A number in two 32-bit halves; the high one is 0 in a descriptor of 32 bytes. */
  splitLong(group: number, low: number, high: number): number {
    const at = group * this.geometry.superblock.descriptorSize;
    const wide = this.geometry.superblock.descriptorSize > high;
    return (
      this.#view.getUint32(at + low, true) +
      (wide ? this.#view.getUint32(at + high, true) * 2 ** 32 : 0)
    );
  }

  #checksumOk(group: number, bytes: Uint8Array): boolean {
    const { superblock } = this.geometry;
    if (!this.#checksummed) return true;
    const stored = this.short(group, 30);
    const rest = bytes.subarray(32, superblock.descriptorSize);
    if (this.#metadataChecksums) {
      const start = crc32c(bytes.subarray(0, 30), crc32cWord(group, superblock.checksumSeed));
      return (crc32c(rest, crc32c(NO_CHECKSUM, start)) & 0xffff) === stored;
    }
    return (
      crc16(rest, crc16(bytes.subarray(0, 30), crc16(littleEndian(group), this.#seed16))) === stored
    );
  }

  /** Kernel: ext4_check_descriptors, and no structure on the superblocks or descriptors of any group. */
  #sane(group: number): boolean {
    const { geometry } = this;
    const first = this.#flexible ? geometry.superblock.firstDataBlock : geometry.groupStart(group);
    const end = this.#flexible ? geometry.superblock.blockCount : geometry.groupEnd(group);
    const may = (block: number, count: number): boolean =>
      block >= first && block + count <= end && !onBaseMeta(geometry, block, count);
    const blocks = this.splitLong(group, 0, 32);
    const inodes = this.splitLong(group, 4, 36);
    const table = this.splitLong(group, 8, 40);
    const length = geometry.inodeTableBlocks;
    if (!may(blocks, 1) || !may(inodes, 1) || !may(table, length) || blocks === inodes)
      return false;
    return (
      (blocks < table || blocks >= table + length) && (inodes < table || inodes >= table + length)
    );
  }
}

function onBaseMeta(geometry: Geometry, block: number, count: number): boolean {
  const first = geometry.groupOf(block);
  // A table is never longer than a few groups; the limit is for hostile numbers.
  const last = Math.min(geometry.groupOf(block + count - 1), first + 64);
  for (let group = first; group <= last; group += 1) {
    const start = geometry.groupStart(group);
    if (Math.max(block, start) < Math.min(block + count, start + geometry.baseMetaBlocks(group)))
      return true;
  }
  return false;
}

function uuidBytes(uuid: string): Uint8Array {
  return Uint8Array.from(uuid.replaceAll("-", "").match(/../g) ?? [], (pair) =>
    Number.parseInt(pair, 16),
  );
}

/** One descriptor as a window on the table: two fields, because a large volume has a million of them. */
class TableDescriptor implements GroupDescriptor {
  readonly #table: DescriptorTable;
  readonly group: number;

  constructor(table: DescriptorTable, group: number) {
    this.#table = table;
    this.group = group;
  }

  get blockBitmap(): number {
    return this.#table.splitLong(this.group, 0, 32);
  }

  get inodeBitmap(): number {
    return this.#table.splitLong(this.group, 4, 36);
  }

  get inodeTable(): number {
    return this.#table.splitLong(this.group, 8, 40);
  }

  get freeBlocks(): number {
    return this.#table.splitShort(this.group, 12, 44);
  }

  /** 0 from a backup: how many were unused then says nothing now. */
  get unusedInodes(): number {
    if (this.source !== "primary" || !hasDescriptorChecksums(this.#table.geometry.superblock))
      return 0;
    return Math.min(
      this.#table.splitShort(this.group, 28, 50),
      this.#table.geometry.superblock.inodesPerGroup,
    );
  }

  get blockBitmapUninit(): boolean {
    return this.source === "primary" && (this.#table.flags(this.group) & BLOCK_UNINIT) !== 0;
  }

  get inodeUninit(): boolean {
    return this.source === "primary" && (this.#table.flags(this.group) & INODE_UNINIT) !== 0;
  }

  get inodeZeroed(): boolean {
    return (this.#table.flags(this.group) & INODE_ZEROED) !== 0;
  }

  get blockBitmapChecksum(): number {
    return this.#table.splitShort(this.group, 24, 56);
  }

  get inodeBitmapChecksum(): number {
    return this.#table.splitShort(this.group, 26, 58);
  }

  get source(): GroupDescriptor["source"] {
    return this.#table.source(this.group);
  }
}

/** Reads all descriptors, from backups where the primary ones are bad. Tells problems a block at a time, not a group. */
export async function loadDescriptors(
  geometry: Geometry,
  input: DescriptorInput,
): Promise<DescriptorTable> {
  const table = new DescriptorTable(geometry, input.groups);
  const blocks = Math.ceil(input.groups / geometry.descriptorsPerBlock);
  let index = 0;
  while (index < blocks) {
    const first = geometry.descriptorCopies(index, 1)[0] as number;
    const run = runLength(geometry, index, blocks);
    const read = await input.readBlocks(first, run);
    for (let at = 0; at < run; at += 1) {
      const bad =
        read === undefined
          ? allOf(table, index + at)
          : acceptBlock(table, { read, at, index: index + at, source: "primary" });
      if (bad.length > 0)
        await fromBackups(table, input, { index: index + at, block: first + at, groups: bad });
    }
    index += run;
  }
  return table;
}

/** Descriptor blocks from `index` on that stand one after the other, at most a MiB. */
function runLength(geometry: Geometry, index: number, blocks: number): number {
  if (index >= geometry.oldDescriptorBlocks) return 1;
  const largest = Math.max(1, 2 ** 20 / geometry.superblock.blockSize);
  return Math.min(blocks - index, geometry.oldDescriptorBlocks - index, largest);
}

function allOf(table: DescriptorTable, index: number): number[] {
  const perBlock = table.geometry.descriptorsPerBlock;
  const count = Math.min(perBlock, table.groups.length - index * perBlock);
  return Array.from({ length: count }, (_, place) => index * perBlock + place);
}

interface ReadCopy {
  readonly read: BlockRead;
  /** Which block of the read. */
  readonly at: number;
  /** Which descriptor block. */
  readonly index: number;
  readonly source: "primary" | "backup";
  /** Which groups to take. @default all of the block */
  readonly groups?: readonly number[];
}

/** Takes what can be trusted. @returns the groups that could not */
function acceptBlock(table: DescriptorTable, copy: ReadCopy): number[] {
  const { blockSize, descriptorSize } = table.geometry.superblock;
  const groups = copy.groups ?? allOf(table, copy.index);
  return groups.filter((group) => {
    const place = group - copy.index * table.geometry.descriptorsPerBlock;
    const offset = copy.at * blockSize + place * descriptorSize;
    if (isBad(copy.read, offset, descriptorSize)) return true;
    return !table.accept(
      group,
      copy.read.bytes.subarray(offset, offset + descriptorSize),
      copy.source,
    );
  });
}

interface BadBlock {
  readonly index: number;
  readonly block: number;
  readonly groups: readonly number[];
}

async function fromBackups(
  table: DescriptorTable,
  input: DescriptorInput,
  bad: BadBlock,
): Promise<void> {
  const { blockSize } = table.geometry.superblock;
  let left = bad.groups;
  for (const copy of table.geometry.descriptorCopies(bad.index).slice(1)) {
    if (left.length === 0) break;
    const read = await input.readBlocks(copy, 1);
    if (read === undefined) continue;
    left = acceptBlock(table, { read, at: 0, index: bad.index, source: "backup", groups: left });
  }
  const range = { offset: bad.block * blockSize, length: blockSize };
  const saved = bad.groups.length - left.length;
  if (saved > 0) {
    input.report({
      range,
      message: `Descriptors of ${saved} groups from group ${bad.groups[0]} on are bad; backups serve`,
    });
  }
  if (left.length > 0) {
    input.report({
      range,
      message: `Descriptors of ${left.length} groups from group ${left[0]} on are bad, and so are their backups: where their bitmaps and inode tables stand is unknown`,
    });
  }
}
