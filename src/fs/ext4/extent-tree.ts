/**
 * Extent tree: one node of it, checked and read (kernel: fs/ext4/extents.c, __ext4_ext_check).
 *
 * A node is a header and up to (bytes - 12) / 12 entries. It is refused whole, as the kernel does, when anything in it is
 * wrong, because a wrong entry says that something else wrote here; the refusal hides the node's part of the file and no more.
 * Nodes are read as 32-bit words, which is what makes a scan of hundreds of thousands of inodes cheap.
 */
import { crc32c } from "../../base/index.ts";

/** Deepest tree that the kernel makes or accepts. */
export const EXTENT_DEPTH_MAX = 5;
/** Longest written extent in blocks; a longer length is unwritten (kernel: EXT_INIT_MAX_LEN). */
export const WRITTEN_LENGTH_MAX = 32768;
/** First logical block past every file (32-bit block numbers). */
export const LOGICAL_END: number = 2 ** 32;

/** First 16 bits of a node. */
export const EXTENT_MAGIC = 0xf30a;

/** Words of a node: a header of 3, then entries of 3. `at` is the first word, `capacity` how many words there are. */
export interface NodeWords {
  readonly words: Uint32Array;
  readonly at: number;
  readonly capacity: number;
}

/** Depth that a node claims. */
export function nodeDepth(node: NodeWords): number {
  return (node.words[node.at + 1] as number) >>> 16;
}

/** Entries that a node claims. */
export function nodeEntries(node: NodeWords): number {
  return (node.words[node.at] as number) >>> 16;
}

/** What a node must fit into. */
export interface NodeBounds {
  /** Depth that it must have; -1 in an inode, where any up to 5 is right. */
  readonly depth: number;
  /** First logical block it may name, and the first after. */
  readonly start: number;
  readonly end: number;
  /** Whether blocks `[block, block + count)` may belong to a file: inside the volume and on no static metadata. */
  mayOwn(block: number, count: number): boolean;
}

/** First logical block of an entry. */
export function entryLogical(node: NodeWords, entry: number): number {
  return node.words[node.at + 3 + entry * 3] as number;
}

/** Length field of a leaf entry, as it is stored. */
export function entryLength(node: NodeWords, entry: number): number {
  return (node.words[node.at + 4 + entry * 3] as number) & 0xffff;
}

/** Physical block of a leaf entry. */
export function entryBlock(node: NodeWords, entry: number): number {
  return (
    (node.words[node.at + 5 + entry * 3] as number) +
    ((node.words[node.at + 4 + entry * 3] as number) >>> 16) * 2 ** 32
  );
}

/** Physical block that an index entry points to. */
export function entryChild(node: NodeWords, entry: number): number {
  return (
    (node.words[node.at + 4 + entry * 3] as number) +
    ((node.words[node.at + 5 + entry * 3] as number) & 0xffff) * 2 ** 32
  );
}

/** Why a node is wrong, or `undefined` where it is right. */
export function whyNodeWrong(node: NodeWords, bounds: NodeBounds): string | undefined {
  const magic = (node.words[node.at] as number) & 0xffff;
  if (magic !== EXTENT_MAGIC) return `has magic 0x${magic.toString(16)} instead of 0xf30a`;
  const depth = nodeDepth(node);
  if (depth > EXTENT_DEPTH_MAX) return `has depth ${depth}, above ${EXTENT_DEPTH_MAX}`;
  if (bounds.depth >= 0 && depth !== bounds.depth)
    return `has depth ${depth} where ${bounds.depth} is due`;
  const max = (node.words[node.at + 1] as number) & 0xffff;
  const entries = nodeEntries(node);
  if (max === 0 || max > Math.floor((node.capacity - 3) / 3))
    return `has room for ${max} entries, which do not fit`;
  if (entries > max) return `has ${entries} entries in room for ${max}`;
  if (entries === 0 && depth > 0) return "has no entries";
  return depth === 0 ? whyLeafWrong(node, bounds) : whyIndexWrong(node, bounds);
}

function whyLeafWrong(node: NodeWords, bounds: NodeBounds): string | undefined {
  const entries = nodeEntries(node);
  let next = bounds.start;
  for (let entry = 0; entry < entries; entry += 1) {
    const logical = entryLogical(node, entry);
    const raw = entryLength(node, entry);
    const length = raw > WRITTEN_LENGTH_MAX ? raw - WRITTEN_LENGTH_MAX : raw;
    if (length === 0) return `has an empty extent at entry ${entry}`;
    if (logical < next || logical + length > bounds.end)
      return `has extents out of order at entry ${entry}`;
    if (!bounds.mayOwn(entryBlock(node, entry), length))
      return `points at blocks that no file may own, at entry ${entry}`;
    next = logical + length;
  }
  return undefined;
}

function whyIndexWrong(node: NodeWords, bounds: NodeBounds): string | undefined {
  const entries = nodeEntries(node);
  let next = bounds.start;
  for (let entry = 0; entry < entries; entry += 1) {
    const logical = entryLogical(node, entry);
    if (logical < next || logical >= bounds.end)
      return `has index entries out of order at entry ${entry}`;
    if (!bounds.mayOwn(entryChild(node, entry), 1))
      return `points at a node where none may be, at entry ${entry}`;
    next = logical + 1;
  }
  return undefined;
}

/**
 * Whether the checksum in a block's extent tail is right (kernel: ext4_extent_block_csum): over header and room, from the inode's seed.
 *
 * @param block all bytes of the block
 * @param seed `inodeSeed` of the inode that owns it
 */
export function extentChecksumOk(block: Uint8Array, seed: number): boolean {
  const view = new DataView(block.buffer, block.byteOffset, block.byteLength);
  const tail = 12 + view.getUint16(4, true) * 12;
  if (tail + 4 > block.length) return false;
  return crc32c(block.subarray(0, tail), seed) === view.getUint32(tail, true);
}
