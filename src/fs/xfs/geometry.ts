/**
 * Geometry: where blocks and inodes stand. A block's number in this map is plain: AG times blocks of an AG, plus the block in it;
 * on the media the AG's number stands above a power of two.
 */
import type { Superblock } from "./superblock.ts";

/** Blocks of one AG: the last one may be shorter. */
export function agLength(superblock: Superblock, ag: number): number {
  return Math.min(superblock.agBlocks, superblock.blockCount - ag * superblock.agBlocks);
}

/** Blocks at the start of every AG that hold its four header sectors. */
export function headerBlocks({ sectorSize, blockSize }: Superblock): number {
  return Math.ceil((4 * sectorSize) / blockSize);
}

/** The plain number of blocks `[start, start + count)` as media numbers them; `undefined` where they are not of one AG behind its headers. */
export function plainBlock(
  superblock: Superblock,
  start: number,
  count: number,
): number | undefined {
  const unit = 2 ** superblock.agBlockBits;
  const ag = Math.floor(start / unit);
  const within = start - ag * unit;
  return inAg(superblock, { ag, block: within, count })
    ? ag * superblock.agBlocks + within
    : undefined;
}

/** Whether blocks of an AG can be owned: they are in it, and behind its headers. */
export function inAg(
  superblock: Superblock,
  place: { readonly ag: number; readonly block: number; readonly count: number },
): boolean {
  const { ag, block, count } = place;
  return (
    ag < superblock.agCount &&
    count > 0 &&
    block >= headerBlocks(superblock) &&
    block + count <= agLength(superblock, ag)
  );
}

/** Where an inode's slot is, in bytes of the volume. */
export interface InodePlace {
  readonly ag: number;
  /** Number in the AG. */
  readonly within: number;
  readonly offset: number;
}

/** Where an inode stands; `undefined` where its number is of no block. */
export function inodePlace(superblock: Superblock, number: number): InodePlace | undefined {
  const unit = 2 ** (superblock.agBlockBits + superblock.inodesPerBlockBits);
  if (!Number.isSafeInteger(number) || number <= 0) return undefined;
  const ag = Math.floor(number / unit);
  const within = number - ag * unit;
  const block = Math.floor(within / superblock.inodesPerBlock);
  if (!inAg(superblock, { ag, block, count: 1 })) return undefined;
  const first = (ag * superblock.agBlocks + block) * superblock.blockSize;
  return {
    ag,
    within,
    offset: first + (within % superblock.inodesPerBlock) * superblock.inodeSize,
  };
}

/** The number of inode `within` of an AG. */
export function inodeNumber(superblock: Superblock, ag: number, within: number): number {
  return ag * 2 ** (superblock.agBlockBits + superblock.inodesPerBlockBits) + within;
}
