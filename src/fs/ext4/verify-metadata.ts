/**
 * verifyMetadata: whether the checksums over a piece of metadata are right now. What the piece is comes from its owners.
 *
 * A checksum proves that bytes are whole, not that they are current (design, "Donors and grades").
 */
import type { ByteRange } from "../../base/index.ts";
import type { OwnedRange, Owner } from "../file-map.ts";
import { isBad } from "../block-reader.ts";
import { directoryChecksumOk } from "./directory.ts";
import { extentChecksumOk } from "./extent-tree.ts";
import { hasFeature } from "./features.ts";
import { inodeChecksumOk, inodeSeed } from "./inode.ts";
import { readInode } from "./read-inode.ts";
import { decodeSuperblock, SUPERBLOCK_OFFSET, SUPERBLOCK_SIZE } from "./superblock.ts";
import type { Ext4Volume } from "./volume.ts";
import { xattrChecksumOk } from "./xattr.ts";

/** What is verified with its neighbours, or holds nothing: it says neither yes nor no. */
const SILENT: ReadonlySet<string> = new Set([
  "padding",
  "free-inode",
  "free-space",
  "inline-data",
  "inline-directory",
  "symlink-target",
  "boot-block",
]);

/** Blocks with a checksum of their own, seeded by their inode or their place. */
const TREE_BLOCKS: ReadonlySet<string> = new Set([
  "extent-tree",
  "directory-block",
  "directory-index",
  "xattr-block",
]);

/**
 * Whether every checksum over a range is right.
 *
 * @param owned the owners of the range
 * @returns `undefined` where a part of it, or all, is covered by none; false where one is wrong or cannot be computed
 */
export async function checksumsOk(
  volume: Ext4Volume,
  owned: readonly OwnedRange[],
): Promise<boolean | undefined> {
  if (!hasFeature(volume.superblock, "metadata_csum")) return undefined;
  let covered = false;
  let uncovered = false;
  for (const range of owned) {
    for (const owner of range.owners) {
      if (SILENT.has(owner.what)) continue;
      const right = await checkOwner(volume, owner, range);
      if (right === false) return false;
      if (right === true) covered = true;
      else uncovered = true;
    }
  }
  return covered && !uncovered ? true : undefined;
}

async function checkOwner(
  volume: Ext4Volume,
  owner: Owner,
  range: ByteRange,
): Promise<boolean | undefined> {
  const { blockSize } = volume.superblock;
  const first = Math.floor(range.offset / blockSize);
  const last = Math.floor((range.offset + range.length - 1) / blockSize);
  const { what } = owner;
  if (what === "superblock") return superblockOk(volume, SUPERBLOCK_OFFSET);
  if (what === "superblock-backup") return superblockOk(volume, first * blockSize);
  if (what === "block-bitmap" || what === "inode-bitmap")
    return bitmapsOk(volume, what, { first, last });
  if (what === "group-descriptors") return descriptorsOk(volume, { first, last });
  if (owner.inode === undefined) return undefined;
  if (what === "inode" || what === "reserved-inode") return slotOk(volume, owner.inode, range);
  return TREE_BLOCKS.has(what) ? blocksOk(volume, owner, { first, last }) : undefined;
}

async function readWhole(volume: Ext4Volume, block: number): Promise<Uint8Array | undefined> {
  const read = await volume.readBlocks(block, 1);
  return read === undefined || isBad(read, 0, read.bytes.length) ? undefined : read.bytes;
}

async function superblockOk(volume: Ext4Volume, offset: number): Promise<boolean> {
  const { blockSize } = volume.superblock;
  const read = await volume.readBlocks(Math.floor(offset / blockSize), 1);
  const at = offset % blockSize;
  if (read === undefined || isBad(read, at, SUPERBLOCK_SIZE)) return false;
  const result = decodeSuperblock(read.bytes.subarray(at, at + SUPERBLOCK_SIZE), "primary");
  return result.superblock !== undefined && result.checksumOk === true;
}

async function slotOk(volume: Ext4Volume, number: number, range: ByteRange): Promise<boolean> {
  const { blockSize, inodeSize } = volume.superblock;
  const start = range.offset - (range.offset % inodeSize);
  const read = await volume.readBlocks(Math.floor(start / blockSize), 1);
  if (read === undefined || isBad(read, start % blockSize, inodeSize)) return false;
  const slot = read.bytes.subarray(start % blockSize, (start % blockSize) + inodeSize);
  return (
    inodeChecksumOk(volume.superblock, number, slot) === true || slot.every((byte) => byte === 0)
  );
}

interface Blocks {
  readonly first: number;
  readonly last: number;
}

async function bitmapsOk(
  volume: Ext4Volume,
  what: "block-bitmap" | "inode-bitmap",
  blocks: Blocks,
): Promise<boolean> {
  for (const run of volume.staticUses(blocks.first, blocks.last - blocks.first + 1)) {
    if (run.use !== what) continue;
    if (what === "inode-bitmap") {
      if (
        (await volume.inodeAllocated(run.group * volume.superblock.inodesPerGroup + 1)) ===
        undefined
      )
        return false;
    } else {
      const states = await volume.allocated(volume.groupBlocks(run.group).block, 1);
      if (states.some(({ known }) => !known)) return false;
    }
  }
  return true;
}

/** Each descriptor has its own checksum; one that was wrong was replaced by a backup when the volume was opened. */
function descriptorsOk(volume: Ext4Volume, blocks: Blocks): boolean | undefined {
  const { superblock } = volume;
  if (hasFeature(superblock, "meta_bg")) return undefined;
  const perBlock = Math.floor(superblock.blockSize / superblock.descriptorSize);
  const firstBlock = superblock.blockSize === 1024 ? 2 : 1;
  const from = (blocks.first - firstBlock) * perBlock;
  const to = Math.min(volume.groups.length, (blocks.last - firstBlock + 1) * perBlock);
  for (let group = Math.max(0, from); group < to; group += 1)
    if (volume.groups[group]?.source !== "primary") return false;
  return true;
}

async function blocksOk(
  volume: Ext4Volume,
  owner: Owner,
  blocks: Blocks,
): Promise<boolean | undefined> {
  if (owner.inode === undefined) return undefined;
  const { inode } = await readInode(volume, owner.inode);
  if (inode === undefined) return undefined;
  const seed = inodeSeed(volume.superblock, inode.number, inode.generation);
  for (let block = blocks.first; block <= blocks.last; block += 1) {
    const bytes = await readWhole(volume, block);
    if (bytes === undefined) return false;
    if (owner.what === "extent-tree" && !extentChecksumOk(bytes, seed)) return false;
    if (owner.what === "xattr-block" && !xattrChecksumOk(volume.superblock, block, bytes))
      return false;
    if (owner.what.startsWith("directory") && !directoryChecksumOk(bytes, seed)) return false;
  }
  return true;
}
