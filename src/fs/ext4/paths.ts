/**
 * Paths: one pass over all directories that finds the names of wanted inodes, and of every directory on the way to them.
 *
 * Blocks are read in order of block number. Checksums are computed only of blocks that hold a wanted name or one of a directory. A
 * block that is poisoned, or whose checksum is wrong, hides its names and no others.
 */
import { isBad } from "../block-reader.ts";
import {
  directoryChecksumOk,
  glance,
  inlineEntryRegions,
  isDotName,
  readEntries,
  type DirectoryEntry,
  type EntryRules,
  type Glance,
} from "./directory.ts";
import { readRuns, type BlockRuns, type ReadSpan } from "../block-runs.ts";
import type { DirectoryTable } from "./directory-table.ts";
import { hasFeature } from "./features.ts";
import { ROOT_INODE } from "./inode.ts";
import { NameTable } from "../name-table.ts";
import type { Ext4Volume } from "./volume.ts";
import { wordsOf } from "../words.ts";

/** Which names are collected: of these inodes, or of all. Directories' names always are. */
export type WantedNames = ReadonlySet<number> | "all";

/** Collects names from all directories of a scan. */
export async function collectNames(
  volume: Ext4Volume,
  directories: DirectoryTable,
  wanted: WantedNames,
): Promise<NameTable> {
  const pass = new NamePass(volume, directories, wanted);
  await pass.readAll();
  return pass.table;
}

class NamePass {
  readonly table = new NameTable(ROOT_INODE);
  readonly #volume: Ext4Volume;
  readonly #directories: DirectoryTable;
  readonly #checksums: boolean;
  readonly #rules: EntryRules;
  readonly #distrusted = new Set<number>();
  /** The directory that was judged last: its blocks come together. */
  #last: Judged = { directory: -1, distrust: undefined, seed: 0 };
  /** A block belongs to one directory: more steps than this are the work of hostile directories that share blocks. */
  #stepsLeft: number;
  /** What is read now: the directory, its number, the bytes. */
  #directory = -1;
  #parent = 0;
  #encrypted = false;
  #bytes: Uint8Array = new Uint8Array(0);
  /** Words of the bytes that were read last: of one buffer again and again, and a view costs more than a small block. */
  #words: Uint32Array = new Uint32Array(0);
  #wordsBytes: Uint8Array | undefined;

  constructor(volume: Ext4Volume, directories: DirectoryTable, wanted: WantedNames) {
    const { superblock } = volume;
    this.#volume = volume;
    this.#stepsLeft = 2 * superblock.blockCount + 65536;
    this.#directories = directories;
    this.#checksums = hasFeature(superblock, "metadata_csum");
    this.#rules = {
      inodeCount: superblock.inodeCount,
      filetype: hasFeature(superblock, "filetype"),
      only: wanted === "all" ? undefined : bitsOf(superblock.inodeCount, directories, wanted),
    };
  }

  async readAll(): Promise<void> {
    for (const directory of this.#directories.inline) this.#readInline(directory);
    const runs = this.#directories.nameRuns();
    await readRuns(this.#volume, runs, (index, span) => {
      this.#readRun(runs, index, span);
      return this.#stepsLeft > 0;
    });
    if (this.#stepsLeft <= 0) {
      this.#volume.report({
        message:
          "Directories share more blocks than the volume has: the rest of the names is hidden",
      });
    }
  }

  /** Reads the blocks of a run that lie in what was read. */
  #readRun(runs: BlockRuns, index: number, span: ReadSpan): void {
    const { blockSize } = this.#volume.superblock;
    const { read } = span;
    const first = runs.blocks[index]!;
    this.#stepsLeft -= 1;
    const start = Math.max(span.from, first);
    const end = Math.min(span.end, first + runs.counts[index]!);
    if (start >= end) return;
    const words = read === undefined ? this.#words : this.#wordsOf(read.bytes);
    for (let block = start; block < end && this.#stepsLeft > 0; block += 1) {
      this.#stepsLeft -= 1;
      const offset = (block - span.from) * blockSize;
      if (read === undefined || (read.bad.length > 0 && isBad(read, offset, blockSize)))
        this.#reportUnreadable(runs.directories[index]!, block);
      else {
        const seen = glance(words, { at: offset >>> 2, size: blockSize }, this.#rules);
        if (seen === "nothing") continue;
        const { bytes } = read;
        const whole = offset === 0 && bytes.length === blockSize;
        this.#enter(
          runs.directories[index]!,
          whole ? bytes : bytes.subarray(offset, offset + blockSize),
        );
        this.#readBlock(block, seen);
      }
    }
  }

  #wordsOf(bytes: Uint8Array): Uint32Array {
    if (bytes !== this.#wordsBytes) {
      this.#words = wordsOf(bytes);
      this.#wordsBytes = bytes;
    }
    return this.#words;
  }

  #reportUnreadable(directory: number, block: number): void {
    const { blockSize } = this.#volume.superblock;
    const number = this.#directories.numbers[directory]!;
    this.#volume.report({
      range: { offset: block * blockSize, length: blockSize },
      inode: number,
      message: `Directory block ${block} of inode ${number} cannot be read: its names are hidden`,
    });
  }

  /** Makes a piece of a directory what is read now. */
  #enter(directory: number, bytes: Uint8Array): void {
    this.#directory = directory;
    this.#parent = this.#directories.numbers[directory]!;
    this.#encrypted = this.#directories.isEncrypted(directory);
    this.#bytes = bytes;
  }

  #readBlock(block: number, seen: Glance): void {
    const bytes = this.#bytes;
    if (seen === "unclear" && !this.#holdsAny(bytes)) return;
    if (!this.#isTrusted()) return;
    const report = (message: string): void => {
      const range = { offset: block * bytes.length, length: bytes.length };
      const inode = this.#parent;
      const where = `Directory block ${block} of inode ${inode}`;
      this.#volume.report({ range, inode, message: `${where} ${message}` });
    };
    if (this.#checksums && !directoryChecksumOk(bytes, this.#last.seed))
      return report("has a wrong checksum: its names are hidden");
    const why = readEntries(bytes, this.#rules, this.#keep);
    if (why !== undefined) report(`is wrong: ${why}; names behind it are hidden`);
  }

  /** Whether a block holds a name that matters, or is wrong. */
  #holdsAny(bytes: Uint8Array): boolean {
    let names = 0;
    const why = readEntries(bytes, this.#rules, ({ nameStart, nameLength }) => {
      if (!isDotName(bytes, nameStart, nameLength)) names += 1;
    });
    return names > 0 || why !== undefined;
  }

  /** Whether the directory that is read now may be believed. */
  #isTrusted(): boolean {
    const number = this.#parent;
    if (this.#last.directory !== this.#directory) {
      const directory = this.#directory;
      this.#last = {
        directory,
        distrust: this.#directories.whyDistrusted(directory),
        seed: this.#directories.seed(directory),
      };
    }
    const { distrust } = this.#last;
    if (distrust === undefined) return true;
    const message = `Inode ${number} is a directory whose names are hidden: ${distrust}`;
    if (!this.#distrusted.has(number)) this.#volume.report({ inode: number, message });
    this.#distrusted.add(number);
    return false;
  }

  #readInline(directory: number): void {
    this.#enter(directory, this.#bytes);
    if (!this.#isTrusted()) return;
    const number = this.#parent;
    const inode = this.#directories.inode(directory);
    if (inode.partial) {
      const message = `A part of the slot of inode ${number}, an inline directory, cannot be read: names in it are hidden`;
      this.#volume.report({ inode: number, message });
    }
    for (const region of inlineEntryRegions(inode)) {
      this.#bytes = region;
      const why = readEntries(region, this.#rules, this.#keep);
      if (why !== undefined) {
        this.#volume.report({
          inode: number,
          message: `Inline directory ${number} is wrong: ${why}; names behind it are hidden`,
        });
      }
    }
  }

  readonly #keep = ({ inode, nameStart, nameLength }: Readonly<DirectoryEntry>): void => {
    const bytes = this.#bytes;
    if (isDotName(bytes, nameStart, nameLength)) return;
    const parent = this.#parent;
    const end = nameStart + nameLength;
    const record = {
      child: inode,
      parent,
      bytes,
      start: nameStart,
      end,
      encrypted: this.#encrypted,
    };
    if (this.table.add(record)) return;
    this.#volume.report({
      inode,
      message: `A name in directory ${parent} holds "/" or NUL: it is not believed`,
    });
  };
}

/** What is known of the directory that was judged last. */
interface Judged {
  readonly directory: number;
  /** Why it is not believed. */
  readonly distrust: string | undefined;
  readonly seed: number;
}

/** A bit for each wanted inode, and for each directory, because it may be on the way to one. At most 512 MiB, of 2^32 inodes. */
function bitsOf(
  inodeCount: number,
  directories: DirectoryTable,
  wanted: ReadonlySet<number>,
): Uint8Array {
  const bits = new Uint8Array((inodeCount >>> 3) + 1);
  const set = (inode: number): void => {
    if (inode <= inodeCount) bits[inode >>> 3]! |= 1 << (inode & 7);
  };
  for (const number of directories.numbers) set(number);
  for (const inode of wanted) set(inode);
  return bits;
}
