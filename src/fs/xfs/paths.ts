/**
 * Paths: one pass over all directories that finds the names of wanted inodes, and of every directory on the way to them.
 *
 * Blocks are read in order of block number, and so are inodes that hold names themselves. What holds no name that matters is passed over by a glance; checksums
 * are computed of the rest alone. A block that cannot be believed hides its names and no others.
 */
import { isBad } from "../block-reader.ts";
import { readRuns, type BlockRuns, type ReadSpan } from "../block-runs.ts";
import type { FileInfo } from "../file-map.ts";
import { NameTable } from "../name-table.ts";
import { Turns } from "../turns.ts";
import { wordsOf } from "../words.ts";
import type { DirectoryTable } from "./directory-table.ts";
import {
  directoryBudget,
  namesOfBlock,
  readNames,
  reportHiddenNames,
  shortNames,
  type DirectoryName,
} from "./directory.ts";
import { InodeBits } from "./inode-bits.ts";
import { decodeInode, readInode } from "./inode.ts";
import { inodePlace } from "./geometry.ts";
import { readParents } from "./parents.ts";
import { NameGlance } from "./name-glance.ts";
import type { XfsVolume } from "./volume.ts";

/** What a pass found. */
export interface Names {
  readonly table: NameTable;
  /** Kinds that directories say wanted inodes have; nothing on volumes where they do not. */
  readonly kinds: ReadonlyMap<number, FileInfo["kind"]>;
}

/** Which names are collected: of these inodes, or of all. Directories' names always are. */
export type WantedNames = ReadonlySet<number> | "all";

/** Kinds by the number that stands behind a name. */
const KINDS: readonly (FileInfo["kind"] | undefined)[] = [
  undefined,
  "file",
  "directory",
  "other",
  "other",
  "other",
  "other",
  "symlink",
];

/** Collects names from directories. */
export async function collectNames(
  volume: XfsVolume,
  directories: DirectoryTable,
  wanted: WantedNames,
): Promise<Names> {
  if (volume.superblock.rootInode === undefined && directories.numbers.length > 0)
    volume.report({
      message: "No superblock that can be read tells the root directory: paths are hidden",
    });
  const pass = new NamePass(volume, directories, wanted);
  if (wanted === "all" || wanted.size > 0) await pass.readAll();
  return pass;
}

class NamePass implements Names {
  readonly table: NameTable;
  readonly kinds = new Map<number, FileInfo["kind"]>();
  readonly #volume: XfsVolume;
  readonly #directories: DirectoryTable;
  readonly #wanted: WantedNames;
  readonly #bits: InodeBits | undefined;
  readonly #glance: NameGlance | undefined;
  readonly #budget: { left: number };
  /** The directory that is read now. */
  #parent = 0;
  /** Words of the bytes that were read last: of one buffer again and again, and a view costs more than a small block. */
  #words: Uint32Array = new Uint32Array(0);
  #wordsBytes: Uint8Array | undefined;

  constructor(volume: XfsVolume, directories: DirectoryTable, wanted: WantedNames) {
    this.#volume = volume;
    this.#directories = directories;
    this.#wanted = wanted;
    this.#budget = directoryBudget(volume);
    this.table = new NameTable(volume.superblock.rootInode ?? -1);
    if (wanted === "all") return;
    const bits = new InodeBits();
    for (const inode of directories.numbers) bits.add(inode);
    for (const inode of wanted) bits.add(inode);
    this.#bits = bits;
    this.#glance = new NameGlance(volume.superblock, bits);
  }

  async readAll(): Promise<void> {
    const { insideRuns, blockRuns, numbers, others } = this.#directories;
    await readRuns(this.#volume, insideRuns, (index, span) => {
      this.#inside(numbers[insideRuns.directories[index]!]!, span);
      return true;
    });
    await readRuns(this.#volume, blockRuns, (index, span) => this.#blocks(blockRuns, index, span));
    const turns = new Turns();
    await this.#others(others, turns);
    if (this.#volume.superblock.features.parentPointers) await this.#byParents(turns);
  }

  async #others(others: readonly number[], turns: Turns): Promise<void> {
    for (const number of others) {
      const directory = await readInode(this.#volume, number);
      if (typeof directory === "string") continue;
      this.#parent = number;
      await readNames(this.#volume, { directory, budget: this.#budget }, this.#keep);
      await turns.take();
    }
  }

  /** Names of wanted inodes that no directory told, and of the directories on the way to them, by the inodes themselves. */
  async #byParents(turns: Turns): Promise<void> {
    if (this.#wanted === "all") return;
    const root = this.#volume.superblock.rootInode;
    const asked = new Set<number>(this.#wanted);
    for (const number of asked) {
      if (number === root || this.table.has(number)) continue;
      const inode = await readInode(this.#volume, number);
      if (typeof inode === "string") continue;
      for (const { parent, generation, ...name } of await readParents(this.#volume, inode)) {
        const directory = await readInode(this.#volume, parent);
        if (typeof directory === "string" || directory.generation !== generation) continue;
        if (directory.kind !== "directory") continue;
        this.table.add({ ...name, child: number, parent, encrypted: false });
        asked.add(parent);
      }
      await turns.take();
    }
  }

  /** Names kept in an inode. One that cannot be read was told by the scan. */
  #inside(number: number, { read, from }: ReadSpan): void {
    const { blockSize, inodeSize, features } = this.#volume.superblock;
    if (read === undefined) return;
    const at = inodePlace(this.#volume.superblock, number)!.offset - from * blockSize;
    if (read.bad.length > 0 && isBad(read, at, inodeSize)) return;
    const start = at + (features.checksums ? 176 : 100);
    if (this.#glance?.isNothingInside(read.bytes, start, at + inodeSize) === true) return;
    const slot = read.bytes.subarray(at, at + inodeSize);
    const directory = decodeInode(this.#volume, number, slot);
    if (directory === undefined || directory.doubt !== undefined) return;
    this.#parent = number;
    const what = shortNames(this.#volume, directory, this.#keep);
    if (what !== undefined) reportHiddenNames(this.#volume, number, { what });
  }

  /** The blocks of a run that lie in what was read. @returns false to stop */
  #blocks(runs: BlockRuns, index: number, { read, from, end }: ReadSpan): boolean {
    const { blockSize } = this.#volume.superblock;
    const number = this.#directories.numbers[runs.directories[index]!]!;
    const first = runs.blocks[index]!;
    const stop = Math.min(end, first + runs.counts[index]!);
    if (read === undefined) return true;
    const words = this.#wordsOf(read.bytes);
    for (let block = Math.max(from, first); block < stop; block += 1) {
      this.#budget.left -= 1;
      const at = (block - from) * blockSize;
      if (read.bad.length > 0 && isBad(read, at, blockSize)) {
        const what = `has a block ${block} that cannot be read`;
        reportHiddenNames(this.#volume, number, { what, block });
      } else if (this.#glance?.isNothing(words, at >>> 2, blockSize) !== true) {
        this.#parent = number;
        const bytes = read.bytes.subarray(at, at + blockSize);
        const place = { bytes, block, directory: number, only: this.#bits };
        const why = namesOfBlock(this.#volume, place, this.#keep);
        const what = `has a block ${block} that ${why}`;
        if (why !== undefined) reportHiddenNames(this.#volume, number, { what, block });
      }
    }
    if (this.#budget.left > 0) return true;
    const what = "shares more blocks with others than the volume has";
    reportHiddenNames(this.#volume, number, { what });
    return false;
  }

  #wordsOf(bytes: Uint8Array): Uint32Array {
    if (bytes !== this.#wordsBytes) {
      this.#words = wordsOf(bytes);
      this.#wordsBytes = bytes;
    }
    return this.#words;
  }

  readonly #keep = (name: Readonly<DirectoryName>): void => {
    const { inode: child, bytes, start, end } = name;
    const asked = this.#wanted === "all" || this.#wanted.has(child);
    if (!asked && !this.#directories.has(child)) return;
    const parent = this.#parent;
    if (!this.table.add({ child, parent, bytes, start, end, encrypted: false })) {
      const message = `A name in directory ${parent} holds "/" or NUL: it is not believed`;
      this.#volume.report({ inode: child, message });
      return;
    }
    const kind = this.#volume.superblock.features.fileTypes ? KINDS[bytes[end]!] : undefined;
    if (kind !== undefined && this.#wanted !== "all" && asked) this.kinds.set(child, kind);
  };
}
