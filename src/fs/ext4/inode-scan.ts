/**
 * Inode scan: one pass over all inode tables in big reads, calling a visitor for every slot that is in use or might be.
 *
 * No object is made for a slot: the visitor gets the words of the chunk and where the slot begins. What cannot be read is told as
 * a run of hidden inodes. Unused tails (`bg_itable_unused`) are trusted only where descriptors carry a checksum.
 */
import { hasDescriptorChecksums } from "./features.ts";
import { CORE_LENGTH } from "./inode.ts";
import type { BlockRead, Ext4Volume, GroupDescriptor } from "./volume.ts";
import { wordsOf } from "./words.ts";

/** Slots of one read. The words are valid during the call alone. */
export interface SlotChunk {
  readonly words: Uint32Array;
  readonly bytes: Uint8Array;
  /** Words of a slot. */
  readonly stride: number;
  /** Inodes of which only what is behind the first 128 bytes cannot be read, so that no checksum can be computed. */
  readonly partial: ReadonlySet<number>;
}

/** Inodes whose slots cannot be read. */
export interface HiddenInodes {
  readonly first: number;
  readonly last: number;
  readonly why: string;
}

/** Who is called by a scan. */
export interface InodeVisitor {
  /** A slot that is not all empty; `at` is its first word. */
  slot(inode: number, chunk: SlotChunk, at: number): void;
  hidden(inodes: HiddenInodes): void;
  /** After each chunk: the place to wait for reads of its own. */
  afterChunk(): Promise<void>;
}

const CHUNK_BYTES = 2 * 1024 * 1024;

/** Slots of a group that can be in use. */
export function slotsInUse(volume: Ext4Volume, group: GroupDescriptor): number {
  const { inodesPerGroup } = volume.superblock;
  if (!hasDescriptorChecksums(volume.superblock)) return inodesPerGroup;
  if (group.inodeUninit) return 0;
  return Math.max(0, inodesPerGroup - Math.min(inodesPerGroup, group.unusedInodes));
}

/** Scans all tables, by ascending inode. */
export async function scanInodes(volume: Ext4Volume, visitor: InodeVisitor): Promise<void> {
  const { inodesPerGroup, groupCount, inodeCount } = volume.superblock;
  for (let number = 0; number < volume.groups.length; number += 1) {
    const group = volume.groups[number] as GroupDescriptor;
    const first = number * inodesPerGroup + 1;
    if (group.source === "unknown") {
      const why = `The descriptor of group ${number} is unreadable, so inodes ${first}-${first + inodesPerGroup - 1} are hidden`;
      visitor.hidden({ first, last: first + inodesPerGroup - 1, why });
    } else await scanGroup(volume, visitor, { group, first, count: slotsInUse(volume, group) });
  }
  if (volume.groups.length < groupCount) {
    const first = volume.groups.length * inodesPerGroup + 1;
    visitor.hidden({ first, last: inodeCount, why: `The volume is cut off, so inodes ${first}-${inodeCount} are hidden` });
  }
}

interface GroupSlots {
  readonly group: GroupDescriptor;
  /** Number of the first inode. */
  readonly first: number;
  readonly count: number;
}

async function scanGroup(volume: Ext4Volume, visitor: InodeVisitor, slots: GroupSlots): Promise<void> {
  const { blockSize, inodeSize } = volume.superblock;
  const perBlock = blockSize / inodeSize;
  const chunkBlocks = Math.max(1, Math.floor(CHUNK_BYTES / blockSize));
  const blocks = Math.ceil(slots.count / perBlock);
  for (let at = 0; at < blocks; at += chunkBlocks) {
    const block = slots.group.inodeTable + at;
    const count = Math.min(chunkBlocks, blocks - at);
    const first = slots.first + at * perBlock;
    const inodes = Math.min(count * perBlock, slots.count - at * perBlock);
    const read = await volume.readBlocks(block, count);
    if (read === undefined || read.bytes.length < count * blockSize) {
      const why = `Inode table blocks ${block}-${block + count - 1} are past the end of the volume`;
      visitor.hidden({ first, last: first + inodes - 1, why: `${why}, so inodes ${first}-${first + inodes - 1} are hidden` });
      continue;
    }
    scanChunk(visitor, read, { first, inodes, block, blockSize, inodeSize });
    await visitor.afterChunk();
  }
}

interface ChunkPlace {
  readonly first: number;
  readonly inodes: number;
  readonly block: number;
  readonly blockSize: number;
  readonly inodeSize: number;
}

function scanChunk(visitor: InodeVisitor, read: BlockRead, place: ChunkPlace): void {
  const hidden = hiddenSlots(visitor, read, place);
  const words = wordsOf(read.bytes);
  const stride = place.inodeSize >>> 2;
  const chunk: SlotChunk = { words, bytes: read.bytes, stride, partial: hidden.partial };
  for (let index = 0, at = 0; index < place.inodes; index += 1, at += stride) {
    // Mode, links and flags tell an empty slot; inode 1 (bad blocks) has neither mode nor links.
    if (((words[at]! & 0xffff) | (words[at + 6]! >>> 16)) === 0 && place.first + index > 10) continue;
    if (hidden.whole.size > 0 && hidden.whole.has(index)) continue;
    visitor.slot(place.first + index, chunk, at);
  }
}

const NO_SLOTS: ReadonlySet<number> = new Set();

/** Slots (from 0) of which the first 128 bytes are not all readable, told to the visitor as runs; and inodes of which only the rest is not. */
function hiddenSlots(
  visitor: InodeVisitor,
  read: BlockRead,
  place: ChunkPlace,
): { readonly whole: ReadonlySet<number>; readonly partial: ReadonlySet<number> } {
  if (read.bad.length === 0) return { whole: NO_SLOTS, partial: NO_SLOTS };
  const whole = new Set<number>();
  const partial = new Set<number>();
  for (const bad of read.bad) {
    const first = Math.floor(bad.offset / place.inodeSize);
    const last = Math.min(place.inodes - 1, Math.floor((bad.offset + bad.length - 1) / place.inodeSize));
    for (let index = first; index <= last; index += 1) {
      if (index * place.inodeSize + CORE_LENGTH > bad.offset) whole.add(index);
      else partial.add(place.first + index);
    }
  }
  tellRuns(visitor, whole, place);
  return { whole, partial };
}

function tellRuns(visitor: InodeVisitor, slots: ReadonlySet<number>, place: ChunkPlace): void {
  const indexes = [...slots].sort((one, other) => one - other);
  for (let from = 0; from < indexes.length; ) {
    let to = from;
    while (to + 1 < indexes.length && indexes[to + 1] === indexes[to]! + 1) to += 1;
    const first = place.first + indexes[from]!;
    const last = place.first + indexes[to]!;
    const table = place.block + Math.floor((indexes[from]! * place.inodeSize) / place.blockSize);
    const inodes = first === last ? `inode ${first} is` : `inodes ${first}-${last} are`;
    visitor.hidden({ first, last, why: `Inode table block ${table} cannot be read, so ${inodes} hidden` });
    from = to + 1;
  }
}
