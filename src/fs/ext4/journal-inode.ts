/**
 * Journal inode: where the blocks of an internal journal stand, before anything else of the volume can be trusted.
 *
 * Read straight from the inode table, because nothing is replayed yet; where that inode is bad, from the copy of its map in the superblock
 * (s_jnl_blocks, which mke2fs and e2fsck keep).
 */
import type { MaybePromise } from "../../base/index.ts";
import { isBad, type BlockReader } from "../block-reader.ts";
import { extentChecksumOk } from "./extent-tree.ts";
import { hasFeature } from "./features.ts";
import { inodeChecksumOk, inodeSeed } from "./inode.ts";
import type { Superblock } from "./superblock.ts";
import type { BlockRead, GroupDescriptor } from "./volume.ts";

/** Largest journal that is read, in blocks; mke2fs makes at most ten million. */
const MAX_BLOCKS = 2 ** 24;
const EXTENTS = 0x80000;
const EXTENT_MAGIC = 0xf30a;
const MAX_DEPTH = 5;

/** Consecutive blocks of the journal. */
interface Run {
  readonly logical: number;
  readonly block: number;
  readonly count: number;
}

/** Where the blocks of a journal stand. */
export class JournalMap {
  readonly #runs: readonly Run[];
  /** Blocks of the journal, by its inode's size. */
  readonly blocks: number;

  constructor(runs: readonly Run[], blocks: number) {
    this.#runs = [...runs].sort((one, other) => one.logical - other.logical);
    this.blocks = blocks;
  }

  /** Block of the volume that holds a block of the journal; `undefined` in a hole. */
  physical(logical: number): number | undefined {
    let low = 0;
    let high = this.#runs.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#runs[middle] as Run).logical <= logical) low = middle + 1;
      else high = middle;
    }
    const run = this.#runs[low - 1];
    return run !== undefined && logical < run.logical + run.count
      ? run.block + logical - run.logical
      : undefined;
  }
}

/** What the search needs of a volume that is not open yet. */
export interface JournalInodeInput {
  readonly superblock: Superblock;
  readonly groups: readonly GroupDescriptor[];
  readonly reader: BlockReader;
}

/** Where the journal stands, or why nobody knows. */
export type JournalMapResult =
  | { readonly map: JournalMap; readonly why?: string }
  | { readonly map?: undefined; readonly why: string };

/** Finds the blocks of the internal journal. `why` beside a map: the inode is bad, and the superblock's copy served. */
export async function findJournal(input: JournalInodeInput): Promise<JournalMapResult> {
  const own = await readSlot(input);
  const result = typeof own === "string" ? own : await mapOf(input, own);
  if (typeof result !== "string") return { map: result };
  const { journalBackup } = input.superblock;
  if (journalBackup.length === 0) return { why: result };
  const copy = await mapOf(input, slotOfBackup(journalBackup));
  return typeof copy === "string"
    ? { why: `${result}; its copy in the superblock: ${copy}` }
    : { map: copy, why: result };
}

interface Slot {
  readonly map: Uint8Array;
  readonly extents: boolean;
  readonly size: number;
  /** Seed of its blocks' checksums; `undefined` where they cannot be checked. */
  readonly seed: number | undefined;
}

async function readSlot(input: JournalInodeInput): Promise<Slot | string> {
  const { superblock, groups, reader } = input;
  const inode = superblock.journalInode;
  const group = Math.floor((inode - 1) / superblock.inodesPerGroup);
  const descriptor = groups[group];
  if (descriptor === undefined || descriptor.source === "unknown")
    return `the inode table that holds inode ${inode} is unknown`;
  const offset =
    descriptor.inodeTable * superblock.blockSize +
    ((inode - 1) % superblock.inodesPerGroup) * superblock.inodeSize;
  const read = await reader.readBytes(offset, superblock.inodeSize);
  if (read.bad.length > 0) return `inode ${inode} is unreadable`;
  const slot = read.bytes.slice();
  if (inodeChecksumOk(superblock, inode, slot) === false)
    return `inode ${inode} has a wrong checksum`;
  const view = new DataView(slot.buffer);
  if ((view.getUint16(0, true) & 0xf000) !== 0x8000 || view.getUint16(26, true) === 0)
    return `inode ${inode} is no file in use`;
  return {
    map: slot.subarray(40, 100),
    extents: (view.getUint32(32, true) & EXTENTS) !== 0,
    size: view.getUint32(4, true) + view.getUint32(108, true) * 2 ** 32,
    seed: hasFeature(superblock, "metadata_csum")
      ? inodeSeed(superblock, inode, view.getUint32(100, true))
      : undefined,
  };
}

function slotOfBackup(words: readonly number[]): Slot {
  const map = new Uint8Array(60);
  const view = new DataView(map.buffer);
  for (let index = 0; index < 15; index += 1) view.setUint32(index * 4, words[index] ?? 0, true);
  const extents = view.getUint16(0, true) === EXTENT_MAGIC;
  return { map, extents, size: (words[16] ?? 0) + (words[15] ?? 0) * 2 ** 32, seed: undefined };
}

async function mapOf(input: JournalInodeInput, slot: Slot): Promise<JournalMap | string> {
  const blocks = Math.floor(slot.size / input.superblock.blockSize);
  if (blocks < 2 || blocks > MAX_BLOCKS) return `a size of ${slot.size} bytes is no journal's`;
  const walk = new MapWalk(input, slot, blocks);
  const why = await (slot.extents ? walk.extents(slot.map, -1) : walk.pointers(slot.map));
  return why ?? new JournalMap(walk.runs, blocks);
}

/** Walks one block map or extent tree. Every walk is bounded by the blocks that it may still read. */
class MapWalk {
  readonly runs: Run[] = [];
  readonly #input: JournalInodeInput;
  readonly #slot: Slot;
  readonly #blocks: number;
  #budget: number;

  constructor(input: JournalInodeInput, slot: Slot, blocks: number) {
    this.#input = input;
    this.#slot = slot;
    this.#blocks = blocks;
    this.#budget = 64 + Math.ceil(blocks / 64);
  }

  /** Takes all extents below a node. @returns why it cannot be read */
  async extents(node: Uint8Array, depth: number): Promise<string | undefined> {
    const view = new DataView(node.buffer, node.byteOffset, node.byteLength);
    const entries = view.getUint16(2, true);
    const own = view.getUint16(6, true);
    if (view.getUint16(0, true) !== EXTENT_MAGIC || entries > Math.floor((node.length - 12) / 12))
      return "its extent tree is nonsense";
    if (own > MAX_DEPTH || (depth >= 0 && own !== depth)) return `its extent tree has depth ${own}`;
    for (let at = 12; at < 12 + entries * 12; at += 12) {
      const why = own === 0 ? this.#extent(view, at) : await this.#below(view, at, own - 1);
      if (why !== undefined) return why;
    }
    return undefined;
  }

  #extent(view: DataView, at: number): string | undefined {
    const count = view.getUint16(at + 4, true);
    const block = view.getUint32(at + 8, true) + view.getUint16(at + 6, true) * 2 ** 32;
    // A longer length is an unwritten extent, which no journal has (EXT_INIT_MAX_LEN).
    if (count === 0 || count > 32768) return "its extent tree holds an unwritten extent";
    return this.#add({ logical: view.getUint32(at, true), block, count });
  }

  async #below(view: DataView, at: number, depth: number): Promise<string | undefined> {
    const node = await this.#node(
      view.getUint32(at + 4, true) + view.getUint16(at + 8, true) * 2 ** 32,
    );
    if (typeof node === "string") return node;
    if (this.#slot.seed !== undefined && !extentChecksumOk(node, this.#slot.seed))
      return "a block of its extent tree has a wrong checksum";
    return this.extents(node, depth);
  }

  /** Takes the blocks of the twelve direct and three indirect pointers. */
  async pointers(map: Uint8Array): Promise<string | undefined> {
    const view = new DataView(map.buffer, map.byteOffset, map.byteLength);
    const perBlock = this.#input.superblock.blockSize / 4;
    let logical = 0;
    for (let index = 0; index < 15 && logical < this.#blocks; index += 1) {
      const level = Math.max(0, index - 11);
      const why = await this.#pointer(view.getUint32(index * 4, true), level, logical);
      if (why !== undefined) return why;
      logical += perBlock ** level;
    }
    return undefined;
  }

  async #pointer(block: number, level: number, logical: number): Promise<string | undefined> {
    if (block === 0 || logical >= this.#blocks) return undefined;
    if (level === 0) return this.#add({ logical, block, count: 1 });
    const node = await this.#node(block);
    if (typeof node === "string") return node;
    const view = new DataView(node.buffer);
    const below = (node.length / 4) ** (level - 1);
    for (let index = 0; index < node.length / 4; index += 1) {
      const why = await this.#pointer(
        view.getUint32(index * 4, true),
        level - 1,
        logical + index * below,
      );
      if (why !== undefined) return why;
    }
    return undefined;
  }

  async #node(block: number): Promise<Uint8Array | string> {
    const { superblock, reader } = this.#input;
    this.#budget -= 1;
    if (this.#budget < 0) return "its map has more blocks than a journal of its size can have";
    if (block === 0 || block >= superblock.blockCount)
      return `its map points at block ${block}, outside the volume`;
    const read: MaybePromise<BlockRead> = reader.readBytes(
      block * superblock.blockSize,
      superblock.blockSize,
    );
    const { bytes, bad } = await read;
    return isBad({ bytes, bad }, 0, bytes.length)
      ? `block ${block} of its map is unreadable`
      : bytes.slice();
  }

  #add(run: Run): string | undefined {
    const { superblock } = this.#input;
    const last = this.runs.at(-1);
    if (run.block < 1 || run.block + run.count > superblock.blockCount)
      return `its map points at block ${run.block}, outside the volume`;
    if (last !== undefined && run.logical < last.logical + last.count)
      return "its map is out of order";
    if (
      last !== undefined &&
      last.logical + last.count === run.logical &&
      last.block + last.count === run.block
    ) {
      this.runs[this.runs.length - 1] = { ...last, count: last.count + run.count };
    } else this.runs.push(run);
    return undefined;
  }
}
