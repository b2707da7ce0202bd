/**
 * cache-format: dm-writecache's cache on the disk (drivers/md/dm-writecache.c), little endian, from the start sector of the cache device:
 *
 *     0   magic u32 · 4 version u32 · 8 block size u32 · 12 zero · 16 blocks u64 · 24 sequence u64 · 32 zeros to 64
 *     64  an entry of 16 bytes for each block: the sector of the origin u64, sequence u64; both all ones where the block is free
 *     then, from the next multiple of the block size on, the blocks
 *
 * An entry whose sequence is below the superblock's is *committed*: its block is the origin's newest data. Any other is not there.
 */

/** First bytes of a cache. */
export const MAGIC = 0x2348_9321;
/** The only version there is. */
export const VERSION = 1;
/** Bytes of a superblock. */
export const SUPERBLOCK_BYTES = 64;
/** Bytes of a superblock that say something; the rest is zeros that nobody reads. */
export const SUPERBLOCK_USED_BYTES = 32;
/** Bytes of an entry. */
export const ENTRY_BYTES = 16;
/** Entries that a cache can have here: their table in memory is 17 bytes for each. */
export const BLOCKS_MAX = 67_108_864;

const WORD = 2 ** 32;

/** What a superblock says. Numbers past 2^53 are Infinity. */
export interface Superblock {
  readonly magic: number;
  readonly version: number;
  /** Bytes. */
  readonly blockSize: number;
  /** Entries, and blocks. */
  readonly blocks: number;
  /** What the next commit's entries carry. */
  readonly sequence: number;
}

/** A number of 64 bits; Infinity where it is not exact, all ones among them. */
export function readU64(view: DataView, at: number): number {
  const value = view.getUint32(at + 4, true) * WORD + view.getUint32(at, true);
  return value <= Number.MAX_SAFE_INTEGER ? value : Infinity;
}

/** Infinity is all ones. */
export function writeU64(view: DataView, at: number, value: number): void {
  view.setUint32(at, value === Infinity ? WORD - 1 : value % WORD, true);
  view.setUint32(at + 4, value === Infinity ? WORD - 1 : Math.floor(value / WORD), true);
}

/** Reads a superblock. @param bytes at least 32 */
export function decodeSuperblock(bytes: Uint8Array): Superblock {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return {
    magic: view.getUint32(0, true),
    version: view.getUint32(4, true),
    blockSize: view.getUint32(8, true),
    blocks: readU64(view, 16),
    sequence: readU64(view, 24),
  };
}

/** A superblock as it is stored: 64 bytes. */
export function encodeSuperblock(superblock: Omit<Superblock, "magic" | "version">): Uint8Array {
  const bytes = new Uint8Array(SUPERBLOCK_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, MAGIC, true);
  view.setUint32(4, VERSION, true);
  view.setUint32(8, superblock.blockSize, true);
  writeU64(view, 16, superblock.blocks);
  writeU64(view, 24, superblock.sequence);
  return bytes;
}

/** Bytes before the first block. */
export function metadataBytes(blocks: number, blockSize: number): number {
  return Math.ceil((SUPERBLOCK_BYTES + blocks * ENTRY_BYTES) / blockSize) * blockSize;
}

/** Blocks that a cache of `size` bytes is made with: the most that fit beside their entries; 0 where none does. */
export function blocksFor(size: number, blockSize: number): number {
  let blocks = Math.floor(size / (blockSize + ENTRY_BYTES));
  while (blocks > 0 && metadataBytes(blocks, blockSize) + blocks * blockSize > size) blocks -= 1;
  return blocks;
}
