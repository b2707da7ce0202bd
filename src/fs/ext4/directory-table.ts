/**
 * Directory table: what a scan keeps of each directory: few numbers, in columns, and a copy of its slot, decoded when somebody asks.
 *
 * A volume has directories by the million, and only those that hold a wanted name are ever decoded: an object for each would cost more
 * in garbage collection than finding them.
 */
import { decodeInode, INODE_FLAGS, inodeSeed, MAP_OFFSET, mapKindOf, type Inode } from "./inode.ts";
import { partialInode, whyUnbelieved } from "./partial-slot.ts";
import { sortedRuns, type BlockRuns } from "../block-runs.ts";
import { SlotArena } from "./slot-arena.ts";
import type { Ext4Volume } from "./volume.ts";

/** What a scan sees of a directory. */
export interface DirectoryFields {
  readonly number: number;
  /** The chunk of an inode table that holds its slot, and the slot's first word in it. */
  readonly words: Uint32Array;
  readonly at: number;
  /** Bytes that can be read of a slot that cannot be read whole (partial-slot.ts); `undefined` where it can. */
  readonly readable: number | undefined;
  /** Bytes (kernel: ext4_isize). */
  readonly size: number;
}

/** Numbers of one run in `DirectoryTable.runs`. */
const RUN_FIELDS = 4;

/** All directories of a scan, by the order in which they came. */
export class DirectoryTable {
  /** Inode numbers. */
  readonly numbers: number[] = [];
  /** Bytes of each directory. */
  readonly sizes: number[] = [];
  /** `RUN_FIELDS` numbers for each run: index of the directory, first logical block, first block of the volume, number of blocks. */
  readonly runs: number[] = [];
  /** Indexes of those whose names are in the inode itself. */
  readonly inline: number[] = [];
  /** Indexes of partial ones, and the bytes that can be read of them. */
  readonly #partial = new Map<number, number>();
  readonly #slots: SlotArena;
  readonly #volume: Ext4Volume;

  constructor(volume: Ext4Volume) {
    this.#volume = volume;
    this.#slots = new SlotArena(volume.superblock.inodeSize);
  }

  /** Adds a directory; its slot is copied. @returns its index */
  add({ number, words, at, readable, size }: DirectoryFields): number {
    const index = this.#slots.add(words, at);
    const flags = words[at + 8]!;
    this.numbers.push(number);
    this.sizes.push(size);
    if ((flags & INODE_FLAGS.inlineData) !== 0) this.inline.push(index);
    if (readable !== undefined) this.#partial.set(index, readable);
    return index;
  }

  /** Adds a run of blocks that holds names. */
  addRun(index: number, run: { readonly logical: number; block: number; count: number }): void {
    this.runs.push(index, run.logical, run.block, run.count);
  }

  /** Adds the runs of a directory whose map is one leaf in its inode, all of it written; the slot begins at word `at`. */
  addRootRuns(index: number, words: Uint32Array, at: number): void {
    const map = at + MAP_OFFSET / 4;
    for (let entry = map + 3, end = entry + (words[map]! >>> 16) * 3; entry < end; entry += 3)
      this.runs.push(index, words[entry]!, words[entry + 2]!, words[entry + 1]!);
  }

  /** The runs that hold names, sorted. Blocks past the size of a directory hold none (kernel: ext4_readdir ends at i_size). */
  nameRuns(): BlockRuns {
    const { runs, sizes } = this;
    const { blockSize } = this.#volume.superblock;
    const directories: number[] = [];
    const blocks: number[] = [];
    const counts: number[] = [];
    for (let at = 0; at < runs.length; at += RUN_FIELDS) {
      const directory = runs[at]!;
      const inside = Math.ceil(sizes[directory]! / blockSize) - runs[at + 1]!;
      const count = Math.min(runs[at + 3]!, inside);
      if (count <= 0) continue;
      directories.push(directory);
      blocks.push(runs[at + 2]!);
      counts.push(count);
    }
    return sortedRuns({ directories, blocks, counts });
  }

  /** Whether its names are encrypted. */
  isEncrypted(index: number): boolean {
    return (this.#slots.word(index, 8) & INODE_FLAGS.encrypt) !== 0;
  }

  /** Seed of the checksums of its blocks. */
  seed(index: number): number {
    return inodeSeed(this.#volume.superblock, this.numbers[index]!, this.#slots.word(index, 25));
  }

  /** Why its names are not believed, as the rest of a sentence; `undefined` where they are. */
  whyDistrusted(index: number): string | undefined {
    const inode = this.inode(index);
    if (inode.checksumOk !== false) return undefined;
    // The checksum of each block is seeded by the number and generation, so a block whose sum is right is the directory's, whatever its slot says.
    return inode.partial && mapKindOf(inode) !== "inline" ? undefined : whyUnbelieved(inode);
  }

  /** The inode, decoded at each call. */
  inode(index: number): Inode {
    const inode = decodeInode(this.#volume, this.numbers[index]!, this.#slots.slot(index));
    const readable = this.#partial.get(index);
    return readable === undefined ? inode : partialInode(this.#volume.superblock, inode, readable);
  }
}
