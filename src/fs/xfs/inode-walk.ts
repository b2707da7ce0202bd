/**
 * Inode walk: all inodes of a volume, chunk by chunk as the inode trees tell them.
 *
 * Where an inode tree is broken, and there is a reverse map, that one tells where inodes stand; which are in use is then known only by themselves.
 */
import { isPromise } from "../../base/index.ts";
import { isBad, type BlockRead } from "../block-reader.ts";
import { wordsOf } from "../words.ts";
import { walkAgTree } from "./ag-tree.ts";
import { readFreeSpaceHeader, readInodeHeader } from "./ag-headers.ts";
import { inAg, inodeNumber } from "./geometry.ts";
import { decodeInode, inodeDoubt, type Inode } from "./inode.ts";
import type { InodeFilter } from "./inode-filter.ts";
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
      matters: (_block, _count, owner) => owner === OWNERS.inodes,
      record: ({ block, count }) => {
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
  /** An inode in use; `doubt` is set where it is not believed. Its slot is valid during the call. */
  readonly inode: (inode: Inode) => void;
  readonly hidden: (why: string) => void;
  /** Passes over inodes that need no call, believed or not. @default all are told */
  readonly filter?: InodeFilter | undefined;
  /** Whether inodes that are not believed are told although the filter passes over them. @default false */
  readonly verify?: boolean;
}

/** Reads a chunk and tells its inodes in use. */
export async function visitChunk(
  volume: XfsVolume,
  chunk: InodeChunk,
  visitor: InodeVisitor,
): Promise<void> {
  const offset = chunkOffset(volume, chunk);
  const found = volume.readBytes(offset, chunk.count * volume.superblock.inodeSize, true);
  const read = isPromise(found) ? await found : found;
  const { filter } = visitor;
  const { inodeSize } = volume.superblock;
  const stride = inodeSize >>> 2;
  const words = filter === undefined ? undefined : wordsOf(read.bytes);
  const looksPassed = read.bad.length > 0 || visitor.verify === true;
  for (let from = 0; from < chunk.count;) {
    const index = words === undefined ? from : filter!.next(words, chunk, { from, stride });
    for (let passed = looksPassed ? from : index; passed < index; passed += 1) {
      const slot = { chunk, index: passed, offset, read };
      if (isFree(chunk, passed) !== true && isDoubtful(volume, slot))
        tellSlot(volume, slot, visitor);
    }
    if (index < chunk.count && isFree(chunk, index) !== true)
      tellSlot(volume, { chunk, index, offset, read }, visitor);
    from = index + 1;
  }
}

/** Whether a slot that a filter passed over cannot be read, or is not believed. */
function isDoubtful(volume: XfsVolume, { chunk, index, read }: ChunkSlot): boolean {
  const { inodeSize } = volume.superblock;
  const start = index * inodeSize;
  if (read.bad.length > 0 && isBad(read, start, inodeSize)) return true;
  const number = inodeNumber(volume.superblock, chunk.ag, chunk.first + index);
  return inodeDoubt(volume, number, read.bytes.subarray(start, start + inodeSize)) !== undefined;
}

function chunkOffset({ superblock }: XfsVolume, { ag, first }: InodeChunk): number {
  const { inodeSize, inodesPerBlock, blockSize, agBlocks } = superblock;
  return (
    (ag * agBlocks + Math.floor(first / inodesPerBlock)) * blockSize +
    (first % inodesPerBlock) * inodeSize
  );
}

/** One slot of a chunk that was read. */
interface ChunkSlot {
  readonly chunk: InodeChunk;
  readonly index: number;
  /** Of the chunk on the volume. */
  readonly offset: number;
  readonly read: BlockRead;
}

function tellSlot(
  volume: XfsVolume,
  { chunk, index, offset, read }: ChunkSlot,
  visitor: InodeVisitor,
): void {
  const { inodeSize } = volume.superblock;
  const number = inodeNumber(volume.superblock, chunk.ag, chunk.first + index);
  const start = index * inodeSize;
  const hidden = (message: string): void => {
    volume.report({
      range: { offset: offset + start, length: inodeSize },
      inode: number,
      message: `${message}: its blocks and names are hidden`,
    });
    visitor.hidden(message);
  };
  if (read.bad.length > 0 && isBad(read, start, inodeSize))
    return hidden(`Inode ${number} cannot be read`);
  const inode = decodeInode(volume, number, read.bytes.subarray(start, start + inodeSize));
  if (inode !== undefined && inode.mode !== 0 && inode.doubt === undefined)
    return visitor.inode(inode);
  if (isFree(chunk, index) !== false) return;
  const what = inode === undefined ? "its place holds none" : (inode.doubt ?? "it has no mode");
  hidden(`Inode ${number} is not believed: ${what}`);
  if (inode?.doubt !== undefined) visitor.inode(inode);
}
