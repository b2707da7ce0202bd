/**
 * Paths: one pass over all directories that finds the names of wanted inodes, and of every directory on the way to them.
 *
 * Blocks are read in order of block number. Checksums are computed only of blocks that hold a wanted name or one of a directory. A
 * block that is poisoned, or whose checksum is wrong, hides its names and no others.
 */
import {
  directoryChecksumOk,
  inlineEntryRegions,
  isDotName,
  readEntries,
  type DirectoryEntry,
  type EntryRules,
} from "./directory.ts";
import type { DirectoryRecord } from "./claims.ts";
import { hasFeature } from "./features.ts";
import { INODE_FLAGS, inodeSeed, mapKindOf } from "./inode.ts";
import { isHostileName } from "./names.ts";
import { NameTable } from "./name-table.ts";
import type { BlockRead, Ext4Volume } from "./volume.ts";

/** Which names are collected: of these inodes, or of all. Directories' names always are. */
export type WantedNames = ReadonlySet<number> | "all";

interface PendingRun {
  readonly directory: DirectoryRecord;
  readonly block: number;
  readonly count: number;
}

const READ_BYTES_MAX = 1024 * 1024;
const GAP_BLOCKS = 8;

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
      if (mapKindOf(directory.inode) === "inline") this.#readInline(directory);
      const blocks = Math.ceil(directory.inode.size / blockSize);
      for (const run of directory.runs) {
        // Blocks past the size hold no names (kernel: ext4_readdir ends at i_size).
        const count = Math.min(run.count, blocks - run.logical);
        if (count > 0) pending.push({ directory, block: run.block, count });
      }
    }
    pending.sort((one, other) => one.block - other.block);
    const limit = Math.max(1, Math.floor(READ_BYTES_MAX / blockSize));
    for (let first = 0; first < pending.length;) {
      const from = pending[first]!.block;
      let end = from + pending[first]!.count;
      let next = first + 1;
      while (
        next < pending.length &&
        pending[next]!.block <= end + GAP_BLOCKS &&
        pending[next]!.block - from < limit
      ) {
        end = Math.max(end, pending[next]!.block + pending[next]!.count);
        next += 1;
      }
      await this.#readSpan({ from, end, limit }, pending.slice(first, next));
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

  /** Reads blocks `[from, end)` in pieces of `limit`, for the runs that lie in them. */
  async #readSpan(
    span: { from: number; end: number; limit: number },
    runs: readonly PendingRun[],
  ): Promise<void> {
    const { blockSize } = this.#volume.superblock;
    for (let at = span.from; at < span.end; at += span.limit) {
      const count = Math.min(span.limit, span.end - at);
      const read = await this.#volume.readBlocks(at, count, true);
      for (const run of runs) {
        this.#stepsLeft -= 1;
        const start = Math.max(at, run.block);
        const end = Math.min(at + count, run.block + run.count);
        for (let block = start; block < end && this.#stepsLeft > 0; block += 1) {
          this.#stepsLeft -= 1;
          this.#readBlock(run.directory, read, { block, offset: (block - at) * blockSize });
        }
      }
    }
  }

  #readBlock(
    directory: DirectoryRecord,
    read: BlockRead | undefined,
    place: { block: number; offset: number },
  ): void {
    const { blockSize } = this.#volume.superblock;
    const { inode } = directory;
    const { block, offset } = place;
    const range = { offset: block * blockSize, length: blockSize };
    const poisoned = read?.bad.some(
      (bad) => bad.offset < offset + blockSize && bad.offset + bad.length > offset,
    );
    if (read === undefined || poisoned === true) {
      this.#volume.report({
        range,
        inode: inode.number,
        message: `Directory block ${block} of inode ${inode.number} cannot be read: its names are hidden`,
      });
      return;
    }
    const bytes = read.bytes.subarray(offset, offset + blockSize);
    const why = this.#readRegion(bytes);
    if (this.#found.length === 0 && why === undefined) return;
    if (!this.#isTrusted(directory)) {
      this.#found.length = 0;
      return;
    }
    if (this.#checksums && !directoryChecksumOk(bytes, this.#seed(directory))) {
      this.#found.length = 0;
      this.#volume.report({
        range,
        inode: inode.number,
        message: `Directory block ${block} of inode ${inode.number} has a wrong checksum: its names are hidden`,
      });
      return;
    }
    if (why !== undefined) {
      this.#volume.report({
        range,
        inode: inode.number,
        message: `Directory block ${block} of inode ${inode.number} is wrong: ${why}; names behind it are hidden`,
      });
    }
    this.#keepFound(directory, bytes);
  }

  #isTrusted(directory: DirectoryRecord): boolean {
    const { number, checksumOk } = directory.inode;
    if (checksumOk !== false) return true;
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
  for (const { inode } of directories) set(inode.number);
  for (const inode of wanted) set(inode);
  return bits;
}
