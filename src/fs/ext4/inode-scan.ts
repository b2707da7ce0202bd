/**
 * Inode scan: one pass over all inode tables in big reads, calling a visitor for every slot that is in use or might be.
 *
 * No object is made for a slot: the visitor gets the words of the chunk and where the slot begins. What cannot be read is told as
 * a run of hidden inodes. Unused tails (`bg_itable_unused`) are trusted only where descriptors carry a checksum.
 */
import { isPromise } from "../../base/index.ts";
import { hasDescriptorChecksums } from "./features.ts";
import { CORE_LENGTH, decodeInode, isInUse, type Inode } from "./inode.ts";
import { partialInode } from "./partial-slot.ts";
import type { SlotFilter } from "./slot-filter.ts";
import { Turns } from "../turns.ts";
import type { BlockRead, Ext4Volume, GroupDescriptor } from "./volume.ts";
import { wordsOf } from "../words.ts";

/** Slots of one read. The words are valid during the call alone. */
export interface SlotChunk {
  readonly words: Uint32Array;
  readonly bytes: Uint8Array;
  /** Words of a slot. */
  readonly stride: number;
  /** Inodes of which only bytes behind the first 128 cannot be read, and how many can before them (partial-slot.ts). The others are zero. */
  readonly partial: ReadonlyMap<number, number>;
}

/** Inodes whose slots cannot be read. */
export interface HiddenInodes {
  readonly first: number;
  readonly last: number;
  readonly why: string;
}

/** Who is called by a scan. */
export interface InodeVisitor {
  /** Passes over slots that need no call. @default all slots that are not empty are shown */
  readonly filter?: SlotFilter | undefined;
  /** A slot that is not all empty; `at` is its first word. */
  slot(inode: number, chunk: SlotChunk, at: number): void;
  hidden(inodes: HiddenInodes): void;
  /** Whether the rest of the tables need not be read. */
  readonly enough?: boolean;
  /** After each chunk: the place to wait for reads of its own; `undefined` where there are none. */
  afterChunk(): Promise<void> | undefined;
}

/** Inodes with a use of their own stand before this one. */
const RESERVED_INODES = 10;

/** The longest read that stays on this thread and in the processor's cache, and whose buffer is used again. */
const CHUNK_BYTES = 128 * 1024;

/** Slots of a group that can be in use. */
export function slotsInUse(volume: Ext4Volume, group: GroupDescriptor): number {
  const { inodesPerGroup } = volume.superblock;
  if (!hasDescriptorChecksums(volume.superblock)) return inodesPerGroup;
  if (group.inodeUninit) return 0;
  return Math.max(0, inodesPerGroup - Math.min(inodesPerGroup, group.unusedInodes));
}

/** A piece of an inode table that is read at once. */
export interface ChunkPlace {
  /** Number of the first inode. */
  readonly first: number;
  readonly inodes: number;
  readonly block: number;
  readonly blocks: number;
}

/** The pieces of all inode tables, ascending; of tables whose place is unknown nothing. */
export function* slotChunks(volume: Ext4Volume): Generator<ChunkPlace> {
  const { blockSize, inodeSize, inodesPerGroup } = volume.superblock;
  const perBlock = blockSize / inodeSize;
  const chunkBlocks = Math.max(1, Math.floor(CHUNK_BYTES / blockSize));
  for (const group of volume.groups) {
    if (group.source === "unknown") continue;
    const slots = slotsInUse(volume, group);
    const blocks = Math.ceil(slots / perBlock);
    for (let at = 0; at < blocks; at += chunkBlocks) {
      const count = Math.min(chunkBlocks, blocks - at);
      const inodes = Math.min(count * perBlock, slots - at * perBlock);
      yield {
        first: group.group * inodesPerGroup + 1 + at * perBlock,
        inodes,
        block: group.inodeTable + at,
        blocks: count,
      };
    }
  }
}

/** Scans all tables, by ascending inode. */
export async function scanInodes(volume: Ext4Volume, visitor: InodeVisitor): Promise<void> {
  tellUnknownGroups(volume, visitor);
  const turns = new Turns();
  const runs = new HiddenRuns(visitor);
  for (const place of slotChunks(volume)) {
    if (visitor.enough === true) break;
    const { first, inodes, block, blocks } = place;
    const found = volume.readBlocks(block, blocks);
    const read = isPromise(found) ? await found : found;
    if (read === undefined || read.bytes.length < blocks * volume.superblock.blockSize) {
      const why = `Inode table blocks ${block}-${block + blocks - 1} are past the end of the volume`;
      visitor.hidden({
        first,
        last: first + inodes - 1,
        why: `${why}, so inodes ${first}-${first + inodes - 1} are hidden`,
      });
      continue;
    }
    scanChunk({ visitor, runs }, read, {
      ...place,
      blockSize: volume.superblock.blockSize,
      inodeSize: volume.superblock.inodeSize,
    });
    const after = visitor.afterChunk();
    if (after !== undefined) await after;
    await turns.take();
  }
  runs.flush();
}

/** Inodes in use of a piece, decoded, by ascending number; what cannot be read or is not believed is left out. */
export async function inodesOf(volume: Ext4Volume, place: ChunkPlace): Promise<readonly Inode[]> {
  const { blockSize, inodeSize } = volume.superblock;
  const read = await volume.readBlocks(place.block, place.blocks);
  if (read === undefined || read.bytes.length < place.blocks * blockSize) return [];
  const found: Inode[] = [];
  const visitor: InodeVisitor = {
    slot: (number, chunk, at) => {
      const inode = decodeInode(volume, number, chunk.bytes.slice(at * 4, (at + chunk.stride) * 4));
      const readable = chunk.partial.get(number);
      const told =
        readable === undefined ? inode : partialInode(volume.superblock, inode, readable);
      if (told.checksumOk !== false) found.push(told);
    },
    hidden: () => undefined,
    afterChunk: () => undefined,
  };
  scanChunk({ visitor, runs: new HiddenRuns(visitor) }, read, { ...place, blockSize, inodeSize });
  const used: Inode[] = [];
  for (const inode of found) if (await isInUse(volume, inode)) used.push(inode);
  return used;
}

function tellUnknownGroups(volume: Ext4Volume, visitor: InodeVisitor): void {
  const { inodesPerGroup, groupCount, inodeCount } = volume.superblock;
  for (const group of volume.groups) {
    if (group.source !== "unknown") continue;
    const first = group.group * inodesPerGroup + 1;
    const last = first + inodesPerGroup - 1;
    visitor.hidden({
      first,
      last,
      why: `The descriptor of group ${group.group} is unreadable, so inodes ${first}-${last} are hidden`,
    });
  }
  if (volume.groups.length < groupCount) {
    const first = volume.groups.length * inodesPerGroup + 1;
    visitor.hidden({
      first,
      last: inodeCount,
      why: `The volume is cut off, so inodes ${first}-${inodeCount} are hidden`,
    });
  }
}

interface SizedPlace extends ChunkPlace {
  readonly blockSize: number;
  readonly inodeSize: number;
}

interface Told {
  readonly visitor: InodeVisitor;
  readonly runs: HiddenRuns;
}

function scanChunk({ visitor, runs }: Told, read: BlockRead, place: SizedPlace): void {
  const hidden = hiddenSlots(runs, read, place);
  const words = wordsOf(read.bytes);
  const stride = place.inodeSize >>> 2;
  const chunk: SlotChunk = { words, bytes: read.bytes, stride, partial: hidden.partial };
  const end = place.inodes * stride;
  // Inode 1 (bad blocks) has neither mode nor links.
  let at = place.first === 1 ? showReserved(visitor, chunk, { end, hidden: hidden.whole }) : 0;
  for (at = nextSlot(visitor, chunk, { at, end }); at < end;) {
    const index = at / stride;
    if (hidden.whole.size === 0 || !hidden.whole.has(index))
      visitor.slot(place.first + index, chunk, at);
    at = nextSlot(visitor, chunk, { at: at + stride, end });
  }
}

/** Slots of a chunk from one on. */
interface SlotSpan {
  readonly at: number;
  readonly end: number;
}

/** First word of the first slot that is shown to a visitor; `end` where none is. */
function nextSlot(
  visitor: InodeVisitor,
  { words, stride }: SlotChunk,
  { at, end }: SlotSpan,
): number {
  if (visitor.filter !== undefined) return visitor.filter.next(words, { at, end, stride });
  for (let slot = at; slot < end; slot += stride)
    if (((words[slot]! & 0xffff) | (words[slot + 6]! >>> 16)) !== 0) return slot;
  return end;
}

/** Shows the reserved inodes, empty ones too. @returns the word behind them */
function showReserved(
  visitor: InodeVisitor,
  chunk: SlotChunk,
  { end, hidden }: { readonly end: number; readonly hidden: ReadonlySet<number> },
): number {
  const behind = Math.min(end, RESERVED_INODES * chunk.stride);
  for (let at = 0; at < behind; at += chunk.stride) {
    const index = at / chunk.stride;
    if (!hidden.has(index)) visitor.slot(index + 1, chunk, at);
  }
  return behind;
}

const NO_SLOTS: ReadonlySet<number> = new Set();
const NO_PARTS: ReadonlyMap<number, number> = new Map();

/** Slots (from 0) of which the first 128 bytes are not all readable, told to the visitor as runs; and inodes of which only the rest is not, with the bytes before it. */
function hiddenSlots(
  runs: HiddenRuns,
  read: BlockRead,
  place: SizedPlace,
): { readonly whole: ReadonlySet<number>; readonly partial: ReadonlyMap<number, number> } {
  if (read.bad.length === 0) {
    runs.flush();
    return { whole: NO_SLOTS, partial: NO_PARTS };
  }
  const whole = new Set<number>();
  const partial = new Map<number, number>();
  for (const bad of read.bad) {
    const first = Math.floor(bad.offset / place.inodeSize);
    const last = Math.min(
      place.inodes - 1,
      Math.floor((bad.offset + bad.length - 1) / place.inodeSize),
    );
    for (let index = first; index <= last; index += 1) {
      const readable = bad.offset - index * place.inodeSize;
      const number = place.first + index;
      if (readable < CORE_LENGTH) whole.add(index);
      else partial.set(number, Math.min(readable, partial.get(number) ?? readable));
    }
  }
  tellRuns(runs, whole, place);
  return { whole, partial };
}

function tellRuns(runs: HiddenRuns, slots: ReadonlySet<number>, place: SizedPlace): void {
  for (const index of [...slots].sort((one, other) => one - other)) {
    const table = place.block + Math.floor((index * place.inodeSize) / place.blockSize);
    runs.add(place.first + index, table);
  }
  runs.flush(place.first + place.inodes - 1);
}

/** Runs of hidden inodes. One that reaches the end of a piece waits for the next piece, which may go on with it. */
class HiddenRuns {
  readonly #visitor: InodeVisitor;
  #first = 0;
  #last = -1;
  /** Block of the first one. */
  #table = 0;

  constructor(visitor: InodeVisitor) {
    this.#visitor = visitor;
  }

  /** Adds an inode, in order. */
  add(inode: number, table: number): void {
    if (inode !== this.#last + 1) {
      this.flush();
      this.#first = inode;
      this.#table = table;
    }
    this.#last = inode;
  }

  /** Tells the last run, unless it reaches inode `end`. */
  flush(end = 0): void {
    const [first, last] = [this.#first, this.#last];
    if (last < 0 || last === end) return;
    this.#last = -1;
    const inodes = first === last ? `inode ${first} is` : `inodes ${first}-${last} are`;
    this.#visitor.hidden({
      first,
      last,
      why: `Inode table block ${this.#table} cannot be read, so ${inodes} hidden`,
    });
  }
}
