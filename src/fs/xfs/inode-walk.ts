/**
 * Inode walk: all inodes of a volume, chunk by chunk as the inode trees tell them.
 *
 * Where an inode tree is broken, and there is a reverse map, that one tells where inodes stand; which are in use is then known only by themselves.
 */
import { walkAgTree } from "./ag-tree.ts";
import { readFreeSpaceHeader, readInodeHeader } from "./ag-headers.ts";
import { inAg, inodeNumber } from "./geometry.ts";
import { decodeInode, type Inode } from "./inode.ts";
import { OWNERS, walkReverseMap } from "./reverse-map.ts";
import type { XfsVolume } from "./volume.ts";

/** Reasons of one AG that are kept. */
const REASONS_MAX = 64;

/** Inodes of one record. */
export const CHUNK_INODES = 64;

/** Up to 64 inodes that stand one behind the other. */
export interface InodeChunk {
  readonly ag: number;
  /** Number of the first, in the AG. */
  readonly first: number;
  readonly count: number;
  /** A bit for each inode that is free, low and high word; `undefined` where the inode tree does not tell. */
  readonly free: readonly [number, number] | undefined;
}

/** Whether inode `index` of a chunk is free; `undefined` where nobody tells. */
export function isFree({ free }: InodeChunk, index: number): boolean | undefined {
  if (free === undefined) return undefined;
  return (((index < 32 ? free[0] : free[1]) >>> (index % 32)) & 1) === 1;
}

/** Inode chunks of an AG, as runs without the holes of sparse ones; and what hides others, in sentences. */
export async function inodeChunks(
  volume: XfsVolume,
  ag: number,
): Promise<{ readonly chunks: readonly InodeChunk[]; readonly hidden: readonly string[] }> {
  const hidden: string[] = [];
  const hide = (why: string): void => {
    if (hidden.length < REASONS_MAX) hidden.push(why);
  };
  const chunks: InodeChunk[] = [];
  const found = await readInodeHeader(volume, ag);
  if (found.header === undefined) hide(found.why);
  else {
    const tree = { ag, kind: "inodes", root: found.header.inodes } as const;
    await walkAgTree(volume, tree, {
      record: (view, at) => {
        const why = chunksOf(volume, { ag, view, at }, chunks);
        if (why !== undefined) hide(why);
      },
      hidden: hide,
    });
  }
  if (hidden.length > 0) await chunksByReverseMap(volume, ag, chunks);
  return { chunks, hidden };
}

/** Adds the chunks of a record of an inode tree. @returns what is wrong with it */
function chunksOf(
  volume: XfsVolume,
  { ag, view, at }: { readonly ag: number; readonly view: DataView; readonly at: number },
  chunks: InodeChunk[],
): string | undefined {
  const { features } = volume.superblock;
  const first = view.getUint32(at);
  const holes = features.sparseInodes ? view.getUint16(at + 4) : 0;
  const masks = [view.getUint32(at + 12), view.getUint32(at + 8)] as const;
  for (let index = 0; index < 16; index += 1) {
    if (((holes >>> index) & 1) !== 0) continue;
    let end = index + 1;
    while (end < 16 && ((holes >>> end) & 1) === 0) end += 1;
    const run = {
      ag,
      first: first + index * 4,
      count: (end - index) * 4,
      free: shifted(masks, index * 4),
    };
    // Records ascend: one that does not would be looked at again and again.
    const last = chunks.at(-1);
    if (last !== undefined && run.first < last.first + last.count)
      return `The inode tree of AG ${ag} tells inodes at ${first} out of order`;
    if (!isInside(volume, run))
      return `The inode tree of AG ${ag} has inodes at ${first}, which are outside it`;
    chunks.push(run);
    index = end;
  }
  return undefined;
}

/** 64 bits, `by` of them shifted out at the low end. */
function shifted([low, high]: readonly [number, number], by: number): readonly [number, number] {
  if (by === 0) return [low, high];
  if (by >= 32) return [high >>> (by - 32), 0];
  return [((low >>> by) | (high << (32 - by))) >>> 0, high >>> by];
}

function isInside({ superblock }: XfsVolume, { ag, first, count }: InodeChunk): boolean {
  const block = Math.floor(first / superblock.inodesPerBlock);
  const end = Math.ceil((first + count) / superblock.inodesPerBlock);
  return inAg(superblock, { ag, block, count: end - block });
}

/** Adds what the reverse map says are inodes, and no chunk holds yet. */
async function chunksByReverseMap(
  volume: XfsVolume,
  ag: number,
  chunks: InodeChunk[],
): Promise<void> {
  const found = await readFreeSpaceHeader(volume, ag);
  if (found.header?.reverseMap === undefined) return;
  const { inodesPerBlock } = volume.superblock;
  const known = new Set(chunks.map(({ first }) => Math.floor(first / inodesPerBlock)));
  await walkReverseMap(
    volume,
    { ag, root: found.header.reverseMap },
    {
      record: ({ owner, block, count }) => {
        if (owner !== OWNERS.inodes) return;
        for (let at = block; at < block + count; at += 1) {
          if (isKnown(chunks, known, { at, inodesPerBlock })) continue;
          known.add(at);
          for (
            let first = at * inodesPerBlock;
            first < (at + 1) * inodesPerBlock;
            first += CHUNK_INODES
          ) {
            const size = Math.min(CHUNK_INODES, (at + 1) * inodesPerBlock - first);
            chunks.push({ ag, first, count: size, free: undefined });
          }
        }
      },
    },
  );
}

/** Whether a block of inodes is in a chunk; blocks of chunks are added to `known` the first time one of them is asked for. */
function isKnown(
  chunks: readonly InodeChunk[],
  known: Set<number>,
  { at, inodesPerBlock }: { readonly at: number; readonly inodesPerBlock: number },
): boolean {
  if (!known.has(-1)) {
    known.add(-1);
    for (const { first, count } of chunks)
      for (let inode = first; inode < first + count; inode += inodesPerBlock)
        known.add(Math.floor(inode / inodesPerBlock));
  }
  return known.has(at);
}

/** What a walk over the inodes of a chunk tells. */
export interface InodeVisitor {
  /** An inode in use; `doubt` is set where it is not believed. Its slot is valid until the next read. */
  readonly inode: (inode: Inode) => void;
  readonly hidden: (why: string) => void;
}

/** Reads a chunk and tells its inodes in use. */
export async function visitChunk(
  volume: XfsVolume,
  chunk: InodeChunk,
  visitor: InodeVisitor,
): Promise<void> {
  const { inodeSize, inodesPerBlock, blockSize, agBlocks } = volume.superblock;
  const offset =
    (chunk.ag * agBlocks + Math.floor(chunk.first / inodesPerBlock)) * blockSize +
    (chunk.first % inodesPerBlock) * inodeSize;
  const read = await volume.readBytes(offset, chunk.count * inodeSize);
  // Bytes are valid until the next read only, and a visitor may read.
  const bytes = read.bytes.slice();
  for (let index = 0; index < chunk.count; index += 1) {
    const free = isFree(chunk, index);
    if (free === true) continue;
    const number = inodeNumber(volume.superblock, chunk.ag, chunk.first + index);
    const start = index * inodeSize;
    const end = start + inodeSize;
    const range = { offset: offset + start, length: inodeSize };
    if (read.bad.some((bad) => bad.offset < end && bad.offset + bad.length > start)) {
      const message = `Inode ${number} cannot be read`;
      volume.report({
        range,
        inode: number,
        message: `${message}: its blocks and names are hidden`,
      });
      visitor.hidden(message);
      continue;
    }
    const inode = decodeInode(volume, number, bytes.subarray(start, end));
    if (inode !== undefined && inode.mode !== 0 && inode.doubt === undefined) visitor.inode(inode);
    else if (free === false) {
      const what = inode === undefined ? "its place holds none" : (inode.doubt ?? "it has no mode");
      const message = `Inode ${number} is not believed: ${what}`;
      volume.report({
        range,
        inode: number,
        message: `${message}: its blocks and names are hidden`,
      });
      visitor.hidden(message);
      if (inode?.doubt !== undefined) visitor.inode(inode);
    }
  }
}
