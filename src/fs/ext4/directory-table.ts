/**
 * Directory table: what a scan keeps of each directory: few numbers, in columns, and a copy of its slot, decoded when somebody asks.
 *
 * A volume has directories by the million, and only those that hold a wanted name are ever decoded: an object for each would cost more
 * in garbage collection than finding them.
 */
import {
  coreOnly,
  decodeInode,
  INODE_FLAGS,
  inodeChecksumOk,
  inodeSeed,
  MAP_OFFSET,
  type Inode,
} from "./inode.ts";
import { SlotArena } from "./slot-arena.ts";
import type { Ext4Volume } from "./volume.ts";

/** What a scan sees of a directory. */
export interface DirectoryFields {
  readonly number: number;
  /** The chunk of an inode table that holds its slot, and the slot's first word in it. */
  readonly words: Uint32Array;
  readonly at: number;
  /** Whether only the first 128 bytes of the slot could be read. */
  readonly partial: boolean;
  /** Bytes (kernel: ext4_isize). */
  readonly size: number;
}

/** Numbers of one run in `DirectoryTable.runs`. */
export const RUN_FIELDS = 4;

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
  readonly #partial = new Set<number>();
  readonly #slots: SlotArena;
  readonly #volume: Ext4Volume;

  constructor(volume: Ext4Volume) {
    this.#volume = volume;
    this.#slots = new SlotArena(volume.superblock.inodeSize);
  }

  /** Adds a directory; its slot is copied. @returns its index */
  add({ number, words, at, partial, size }: DirectoryFields): number {
    const index = this.#slots.add(words, at);
    const flags = words[at + 8]!;
    this.numbers.push(number);
    this.sizes.push(size);
    if ((flags & INODE_FLAGS.inlineData) !== 0) this.inline.push(index);
    if (partial) this.#partial.add(index);
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

  /** Whether its names are encrypted. */
  isEncrypted(index: number): boolean {
    return (this.#slots.word(index, 8) & INODE_FLAGS.encrypt) !== 0;
  }

  /** Seed of the checksums of its blocks. */
  seed(index: number): number {
    return inodeSeed(this.#volume.superblock, this.numbers[index]!, this.#slots.word(index, 25));
  }

  /** Whether its slot's checksum is right, or there is none to compute. */
  isTrusted(index: number): boolean {
    if (this.#partial.has(index)) return true;
    const { superblock } = this.#volume;
    return inodeChecksumOk(superblock, this.numbers[index]!, this.#slots.slot(index)) !== false;
  }

  /** The inode, decoded at each call. */
  inode(index: number): Inode {
    const inode = decodeInode(this.#volume, this.numbers[index]!, this.#slots.slot(index));
    return this.#partial.has(index) ? coreOnly(inode) : inode;
  }
}
