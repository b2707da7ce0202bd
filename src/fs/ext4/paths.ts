/**
 * Paths: one pass over all directories that finds the names of wanted inodes, and of every directory on the way to them.
 *
 * Blocks are read in order of block number. Checksums are computed only of blocks that hold a wanted name or one of a directory. A
 * block that is poisoned, or whose checksum is wrong, hides its names and no others.
 */
import { isPromise } from "../../base/index.ts";
import { isBad } from "./block-reader.ts";
import {
  directoryChecksumOk,
  inlineEntryRegions,
  isDotName,
  mayMatter,
  readEntries,
  type DirectoryEntry,
  type EntryRules,
} from "./directory.ts";
import type { DirectoryRecord } from "./directory-record.ts";
import { hasFeature } from "./features.ts";
import { INODE_FLAGS, inodeSeed } from "./inode.ts";
import { isHostileName } from "./names.ts";
import { NameTable } from "./name-table.ts";
import { Turns } from "./turns.ts";
import type { BlockRead, Ext4Volume } from "./volume.ts";
import { wordsOf } from "./words.ts";

/** Which names are collected: of these inodes, or of all. Directories' names always are. */
export type WantedNames = ReadonlySet<number> | "all";

interface PendingRun {
  readonly directory: DirectoryRecord;
  readonly block: number;
  readonly count: number;
}

/** The longest read that stays on this thread and in the processor's cache, and whose buffer is used again. */
const READ_BYTES_MAX = 128 * 1024;
const GAP_BLOCKS = 8;
const NO_WORDS = new Uint32Array(0);

/** Collects names from all directories of a scan. */
export async function collectNames(
  volume: Ext4Volume,
  directories: readonly DirectoryRecord[],
  wanted: WantedNames,
): Promise<NameTable> {
  const pass = new NamePass(volume, directories, wanted);
  await pass.readAll();
  return pass.table;
}

/** Where the runs end that are read together with run `first`: the block behind them, and the next run's index. */
function spanFrom(
  pending: readonly PendingRun[],
  first: number,
  limit: number,
): { readonly end: number; readonly next: number } {
  const from = pending[first]!.block;
  let end = from + pending[first]!.count;
  let next = first + 1;
  for (; next < pending.length; next += 1) {
    const { block, count } = pending[next]!;
    if (block > end + GAP_BLOCKS || block - from >= limit) break;
    end = Math.max(end, block + count);
  }
  return { end, next };
}

class NamePass {
  readonly table = new NameTable();
  readonly #volume: Ext4Volume;
  readonly #directories: readonly DirectoryRecord[];
  readonly #checksums: boolean;
  readonly #rules: EntryRules;
  readonly #found: DirectoryEntry[] = [];
  readonly #seeds = new Map<number, number>();
  readonly #distrusted = new Set<number>();
  /** A block belongs to one directory: more steps than this are the work of hostile directories that share blocks. */
  #stepsLeft: number;

  constructor(volume: Ext4Volume, directories: readonly DirectoryRecord[], wanted: WantedNames) {
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
    const { blockSize } = this.#volume.superblock;
    const pending: PendingRun[] = [];
    for (const directory of this.#directories) {
      if (directory.inline) this.#readInline(directory);
      const blocks = Math.ceil(directory.size / blockSize);
      const { runs } = directory;
      for (let at = 0; at < runs.length; at += 3) {
        // Blocks past the size hold no names (kernel: ext4_readdir ends at i_size).
        const count = Math.min(runs[at + 2]!, blocks - runs[at]!);
        if (count > 0) pending.push({ directory, block: runs[at + 1]!, count });
      }
    }
    pending.sort((one, other) => one.block - other.block);
    const limit = Math.max(1, Math.floor(READ_BYTES_MAX / blockSize));
    const turns = new Turns();
    for (let first = 0; first < pending.length;) {
      const { end, next } = spanFrom(pending, first, limit);
      for (let at = pending[first]!.block; at < end; at += limit) {
        const count = Math.min(limit, end - at);
        const found = this.#volume.readBlocks(at, count, true);
        const read = isPromise(found) ? await found : found;
        for (let index = first; index < next; index += 1)
          this.#readRun(pending[index]!, read, { from: at, end: at + count });
      }
      if ((first ^ next) >= 64) await turns.take();
      first = next;
      if (this.#stepsLeft <= 0) {
        this.#volume.report({
          message:
            "Directories share more blocks than the volume has: the rest of the names is hidden",
        });
        return;
      }
    }
  }

  /** Reads the blocks of a run that lie in what was read. */
  #readRun(
    run: PendingRun,
    read: BlockRead | undefined,
    span: { readonly from: number; readonly end: number },
  ): void {
    const { blockSize } = this.#volume.superblock;
    this.#stepsLeft -= 1;
    const start = Math.max(span.from, run.block);
    const end = Math.min(span.end, run.block + run.count);
    if (start >= end) return;
    const words = read === undefined ? NO_WORDS : wordsOf(read.bytes);
    for (let block = start; block < end && this.#stepsLeft > 0; block += 1) {
      this.#stepsLeft -= 1;
      const offset = (block - span.from) * blockSize;
      if (read === undefined || (read.bad.length > 0 && isBad(read, offset, blockSize)))
        this.#reportUnreadable(run.directory, block);
      else if (mayMatter(words, { at: offset >>> 2, size: blockSize }, this.#rules))
        this.#readBlock(run.directory, block, read.bytes.subarray(offset, offset + blockSize));
    }
  }

  #reportUnreadable(directory: DirectoryRecord, block: number): void {
    const { number } = directory;
    const { blockSize } = this.#volume.superblock;
    this.#volume.report({
      range: { offset: block * blockSize, length: blockSize },
      inode: number,
      message: `Directory block ${block} of inode ${number} cannot be read: its names are hidden`,
    });
  }

  #readBlock(directory: DirectoryRecord, block: number, bytes: Uint8Array): void {
    const why = this.#readRegion(bytes);
    if (this.#found.length === 0 && why === undefined) return;
    if (!this.#isTrusted(directory)) {
      this.#found.length = 0;
      return;
    }
    const { number } = directory;
    const range = { offset: block * bytes.length, length: bytes.length };
    if (this.#checksums && !directoryChecksumOk(bytes, this.#seed(directory))) {
      this.#found.length = 0;
      this.#volume.report({
        range,
        inode: number,
        message: `Directory block ${block} of inode ${number} has a wrong checksum: its names are hidden`,
      });
      return;
    }
    if (why !== undefined) {
      this.#volume.report({
        range,
        inode: number,
        message: `Directory block ${block} of inode ${number} is wrong: ${why}; names behind it are hidden`,
      });
    }
    this.#keepFound(directory, bytes);
  }

  #isTrusted(directory: DirectoryRecord): boolean {
    const { number } = directory;
    if (directory.inode.checksumOk !== false) return true;
    const message = `Inode ${number}, a directory, has a wrong checksum, so its names are hidden`;
    if (!this.#distrusted.has(number)) this.#volume.report({ inode: number, message });
    this.#distrusted.add(number);
    return false;
  }

  #readInline(directory: DirectoryRecord): void {
    if (!this.#isTrusted(directory)) return;
    for (const region of inlineEntryRegions(directory.inode)) {
      const why = this.#readRegion(region);
      if (why !== undefined) {
        const { number } = directory.inode;
        this.#volume.report({
          inode: number,
          message: `Inline directory ${number} is wrong: ${why}; names behind it are hidden`,
        });
      }
      this.#keepFound(directory, region);
    }
  }

  #readRegion(bytes: Uint8Array): string | undefined {
    return readEntries(bytes, this.#rules, (entry) => {
      if (isDotName(bytes, entry.nameStart, entry.nameLength)) return;
      this.#found.push({ ...entry });
    });
  }

  #keepFound(directory: DirectoryRecord, bytes: Uint8Array): void {
    const { number, flags } = directory.inode;
    const encrypted = (flags & INODE_FLAGS.encrypt) !== 0;
    for (const entry of this.#found.splice(0)) {
      const name = bytes.subarray(entry.nameStart, entry.nameStart + entry.nameLength);
      if (!encrypted && isHostileName(name)) {
        this.#volume.report({
          inode: entry.inode,
          message: `A name in directory ${number} holds "/" or NUL: it is not believed`,
        });
      } else this.table.add({ child: entry.inode, parent: number, bytes: name, encrypted });
    }
  }

  #seed(directory: DirectoryRecord): number {
    const { number, generation } = directory.inode;
    let seed = this.#seeds.get(number);
    if (seed === undefined) {
      seed = inodeSeed(this.#volume.superblock, number, generation);
      this.#seeds.set(number, seed);
    }
    return seed;
  }
}

/** A bit for each wanted inode, and for each directory, because it may be on the way to one. At most 512 MiB, of 2^32 inodes. */
function bitsOf(
  inodeCount: number,
  directories: readonly DirectoryRecord[],
  wanted: ReadonlySet<number>,
): Uint8Array {
  const bits = new Uint8Array((inodeCount >>> 3) + 1);
  const set = (inode: number): void => {
    if (inode <= inodeCount) bits[inode >>> 3]! |= 1 << (inode & 7);
  };
  for (const { number } of directories) set(number);
  for (const inode of wanted) set(inode);
  return bits;
}
