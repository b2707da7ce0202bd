/**
 * Claims: one scan over all inodes that finds who claims wanted blocks, and where all directories are.
 *
 * A claim is only what an inode says of itself. Whether it is believed (its checksum, its bit in the bitmap) is decided where the owner is
 * told; here a slot is copied for every inode that has a claim, so that it need not be read again.
 */
import { DIRECT_POINTERS } from "./block-map.ts";
import { EXTENT_MAGIC, WRITTEN_LENGTH_MAX } from "./extent-tree.ts";
import { hasFeature } from "./features.ts";
import {
  BAD_BLOCKS_INODE,
  decodeInode,
  inodeChecksumOk,
  INODE_FLAGS,
  isZero,
  MAP_OFFSET,
  mapKindOfFields,
  MODE,
  type Inode,
} from "./inode.ts";
import type { Problem } from "../file-map.ts";
import { DirectoryTable } from "./directory-table.ts";
import { partialInode, provesZeros, whyUnbelieved } from "./partial-slot.ts";
import { scanInodes, type HiddenInodes, type InodeVisitor, type SlotChunk } from "./inode-scan.ts";
import { SlotArena } from "./slot-arena.ts";
import { SlotFilter } from "./slot-filter.ts";
import type { StaticMap } from "./static-map.ts";
import { TreeWalker, type HiddenPart, type MappedRun, type TreeRoot } from "./tree-walker.ts";
import type { Ext4Volume } from "./volume.ts";
import { WantedBlocks } from "../wanted-blocks.ts";
import { wordsOf } from "../words.ts";

/** What an inode claims a block for. */
export type ClaimRole = "data" | "unwritten" | "extents" | "blocks" | "xattr" | "promised";

/** A run of blocks that an inode says are its own. */
export interface Claim {
  readonly inode: number;
  readonly block: number;
  readonly count: number;
  /** First logical block; of a tree node the first below it; 0 of an xattr block. */
  readonly logical: number;
  readonly role: ClaimRole;
}

/** What a scan found. */
export interface ScanResult {
  readonly claims: readonly Claim[];
  /** Inodes with a claim. */
  readonly claimants: ReadonlyMap<number, Inode>;
  readonly directories: DirectoryTable;
  /** Why something may be missing above: sentences, at most `REASONS_MAX`. */
  readonly reasons: readonly string[];
}

/** Reasons that are kept. */
export const REASONS_MAX = 64;

/** What a scan looks for. */
export interface ScanOptions {
  readonly wanted: WantedBlocks;
  /** Whether directories are collected. */
  readonly directories: boolean;
  /** Whether every inode is checked whole, to tell what is hidden: slower. @default false */
  readonly thorough?: boolean;
}

const WAITING_MAX = 8192;

class ScanRoot implements TreeRoot {
  inode = 0;
  generation = 0;
  always = false;
  /** Index in the table of directories; -1 of what is none. */
  directory = -1;
  slot: Uint8Array | undefined = undefined;
  /** Bytes that can be read of a partial slot. */
  readable: number | undefined = undefined;
}

class ClaimScan implements InodeVisitor {
  readonly claims: Claim[] = [];
  readonly claimants = new Map<number, Inode>();
  readonly directories: DirectoryTable;
  readonly reasons: string[] = [];
  readonly filter: SlotFilter | undefined;
  readonly #volume: Ext4Volume;
  readonly #options: ScanOptions;
  readonly #walker: TreeWalker<ScanRoot>;
  readonly #root = new ScanRoot();
  readonly #wide: boolean;
  readonly #largeDirectories: boolean;
  readonly #thorough: boolean;
  readonly #firstInode: number;
  readonly #inodeCount: number;
  readonly #slots: SlotArena;
  readonly #doubtful: {
    readonly inode: number;
    readonly slot: Uint8Array;
    readonly readable: number | undefined;
  }[] = [];
  #chunk: SlotChunk | undefined;
  #at = 0;

  constructor(volume: Ext4Volume, statics: StaticMap, options: ScanOptions) {
    this.#volume = volume;
    this.#options = options;
    this.#wide = hasFeature(volume.superblock, "64bit");
    this.#largeDirectories = hasFeature(volume.superblock, "large_dir");
    this.#thorough = options.thorough === true;
    if (!this.#thorough) this.filter = new SlotFilter(volume, statics, options.wanted);
    this.#firstInode = volume.superblock.firstInode;
    this.#inodeCount = volume.superblock.inodeCount;
    this.#slots = new SlotArena(volume.superblock.inodeSize);
    this.directories = new DirectoryTable(volume);
    this.#walker = new TreeWalker<ScanRoot>(volume, statics, {
      run: (root, run) => this.#run(root, run),
      node: (root, node) => {
        if (options.wanted.hits(node.block, 1))
          this.#claim(root, { ...node, count: 1, role: node.kind });
      },
      hidden: (root, part) => this.#hidden(root, part),
      wants: (block, count) => options.wanted.hits(block, count),
      keep: (root) => this.#keep(root),
    });
  }

  slot(inode: number, chunk: SlotChunk, at: number): void {
    const { words } = chunk;
    const isDirectory = (words[at]! & MODE.mask) === MODE.directory;
    if (isDirectory && this.#isPlain(inode, chunk, at)) {
      if (this.#options.directories) this.#addDirectory(inode, words, at);
      return;
    }
    if (!this.#thorough && !isDirectory && cannotClaim(words, at, this.#options.wanted)) return;
    this.#chunk = chunk;
    this.#at = at;
    const links = words[at + 6]! >>> 16;
    if (links === 0 && inode >= this.#firstInode) {
      // A deletion time is no inode number; an orphan's field holds the next orphan's number or 0.
      if (words[at + 5]! > this.#inodeCount || !claimsAnything(words, at)) return;
      this.#doubtful.push({ inode, slot: this.#copySlot(), readable: chunk.partial.get(inode) });
      return;
    }
    this.#take(inode, words, at);
  }

  /** Whether it is a directory that needs no walk: its blocks are where its own words say, and none is wanted. */
  #isPlain(inode: number, chunk: SlotChunk, at: number): boolean {
    return !chunk.partial.has(inode) && this.filter?.isPlainDirectory(chunk.words, at) === true;
  }

  #addDirectory(number: number, words: Uint32Array, at: number): void {
    const size = this.#directorySize(words, at);
    const index = this.directories.add({ number, words, at, readable: undefined, size });
    this.directories.addRootRuns(index, words, at);
  }

  hidden(inodes: HiddenInodes): void {
    this.#hide({ message: inodes.why });
  }

  /** A thorough scan is made for its reasons alone. */
  get enough(): boolean {
    return this.#thorough && this.reasons.length >= REASONS_MAX;
  }

  afterChunk(): Promise<void> | undefined {
    return this.#doubtful.length > 0 || this.#walker.waiting >= WAITING_MAX
      ? this.#decideDoubtful()
      : undefined;
  }

  async #decideDoubtful(): Promise<void> {
    for (const { inode, slot, readable } of this.#doubtful.splice(0)) {
      if ((await this.#volume.inodeAllocated(inode)) === false) continue;
      this.#chunk = {
        words: wordsOf(slot),
        bytes: slot,
        stride: slot.length >>> 2,
        partial: new Map(readable === undefined ? [] : [[inode, readable]]),
      };
      this.#at = 0;
      this.#take(inode, this.#chunk.words, 0);
    }
    // Kept roots need no chunk any more, so waiting nodes of several chunks are read together.
    if (this.#walker.waiting >= WAITING_MAX) await this.#walker.drain();
  }

  async finish(): Promise<void> {
    if (!this.enough) await this.#walker.drain();
  }

  #take(inode: number, words: Uint32Array, at: number): void {
    const mode = words[at]! & 0xffff;
    const flags = words[at + 8]!;
    const isDirectory = (mode & MODE.mask) === MODE.directory;
    const root = this.#root;
    root.inode = inode;
    root.generation = words[at + 25]!;
    root.slot = undefined;
    root.directory = -1;
    root.always = this.#thorough;
    if (this.#thorough && this.#isWrong(root)) return;
    const xattr = words[at + 26]! + (this.#wide ? (words[at + 29]! >>> 16) * 2 ** 32 : 0);
    if (xattr !== 0 && this.#options.wanted.hits(xattr, 1)) {
      this.#claim(root, { block: xattr, count: 1, logical: 0, role: "xattr" });
    }
    if (isDirectory && this.#options.directories) this.#takeDirectory(root, words, at);
    const kind = mapKindOfFields(mode, flags, words[at + 1]!);
    if (kind === "extents" || kind === "blocks") {
      if (mode === 0 && inode !== BAD_BLOCKS_INODE) return;
      this.#walker.addRoot(root, { words, at: at + MAP_OFFSET / 4, kind });
    }
  }

  #isWrong(root: ScanRoot): boolean {
    const chunk = this.#chunk!;
    const { superblock } = this.#volume;
    const slot = chunk.bytes.subarray(this.#at * 4, (this.#at + chunk.stride) * 4);
    const partial = chunk.partial.has(root.inode) && !provesZeros(superblock, root.inode, slot);
    const ok = inodeChecksumOk(superblock, root.inode, slot);
    if (ok === undefined || isZero(slot) || (ok && !partial)) return false;
    const message = `What inode ${root.inode} owns is hidden: ${whyUnbelieved({ partial })}`;
    this.#hide({ inode: root.inode, message });
    return true;
  }

  /** Its checksum is verified where one of its names matters. */
  #takeDirectory(root: ScanRoot, words: Uint32Array, at: number): void {
    root.directory = this.directories.add({
      number: root.inode,
      words,
      at,
      readable: this.#chunk!.partial.get(root.inode),
      size: this.#directorySize(words, at),
    });
    root.always = true;
  }

  /** Kernel: ext4_isize, of directories 64 bits with large_dir alone. */
  #directorySize(words: Uint32Array, at: number): number {
    const high = this.#largeDirectories ? words[at + 27]! * 2 ** 32 : 0;
    return Math.min(words[at + 1]! + high, Number.MAX_SAFE_INTEGER);
  }

  #run(root: ScanRoot, run: Readonly<MappedRun>): void {
    if (root.directory >= 0 && !run.unwritten) this.directories.addRun(root.directory, run);
    if (this.#options.wanted.hits(run.block, run.count)) {
      const { block, count, logical } = run;
      this.#claim(root, { block, count, logical, role: run.unwritten ? "unwritten" : "data" });
    }
  }

  #claim(root: ScanRoot, claim: Omit<Claim, "inode">): void {
    const { block, count, logical, role } = claim;
    this.claims.push({ inode: root.inode, block, count, logical, role });
    if (!this.claimants.has(root.inode)) this.claimants.set(root.inode, this.#decode(root));
  }

  #hidden(root: ScanRoot, part: HiddenPart): void {
    this.#hide({
      inode: root.inode,
      message: `${part.why}, so a part of inode ${root.inode} is hidden`,
    });
  }

  /** Notes that something is hidden. A thorough scan repeats what the first one reported, so it reports nothing. */
  #hide(problem: Problem): void {
    if (this.reasons.length < REASONS_MAX) this.reasons.push(problem.message);
    if (!this.#thorough) this.#volume.report(problem);
  }

  #decode(root: ScanRoot): Inode {
    if (root.directory >= 0) return this.directories.inode(root.directory);
    const inode = decodeInode(this.#volume, root.inode, root.slot ?? this.#copySlot());
    const readable = root.slot === undefined ? this.#chunk!.partial.get(root.inode) : root.readable;
    return readable === undefined ? inode : partialInode(this.#volume.superblock, inode, readable);
  }

  #copySlot(): Uint8Array {
    return this.#slots.slot(this.#slots.add(this.#chunk!.words, this.#at));
  }

  #keep(root: ScanRoot): ScanRoot {
    if (root !== this.#root) return root;
    const kept = Object.assign(new ScanRoot(), root);
    if (root.slot !== undefined || root.directory >= 0) return kept;
    kept.slot = this.#copySlot();
    kept.readable = this.#chunk!.partial.get(root.inode);
    return kept;
  }
}

/**
 * Whether an inode's own 15 words already show that it claims no wanted block: the way out for nearly every inode, so it reads nothing else,
 * and calls nothing but `hits`. What is wrong in such an inode does not matter here.
 */
function cannotClaim(words: Uint32Array, at: number, wanted: WantedBlocks): boolean {
  const map = at + MAP_OFFSET / 4;
  if (words[at + 26] !== 0 || words[at + 29]! >>> 16 !== 0) return false;
  if ((words[at + 8]! & INODE_FLAGS.extents) === 0) {
    if ((words[at + 8]! & INODE_FLAGS.inlineData) !== 0) return true;
    for (let word = 0; word < DIRECT_POINTERS; word += 1) {
      const block = words[map + word]!;
      if (block !== 0 && wanted.hits(block, 1)) return false;
    }
    return (words[map + 12]! | words[map + 13]! | words[map + 14]!) === 0;
  }
  const head = words[map]!;
  const entries = head >>> 16;
  if ((head & 0xffff) !== EXTENT_MAGIC || entries > 4 || words[map + 1]! >>> 16 !== 0) return false;
  for (let entry = map + 3, end = entry + entries * 3; entry < end; entry += 3) {
    const high = words[entry + 1]!;
    const raw = high & 0xffff;
    if (
      wanted.hits(
        words[entry + 2]! + (high >>> 16) * 2 ** 32,
        raw > WRITTEN_LENGTH_MAX ? raw - WRITTEN_LENGTH_MAX : raw,
      )
    )
      return false;
  }
  return true;
}

/** Whether the map or the attribute field of a slot names anything: most deleted inodes of ext4 do not. */
function claimsAnything(words: Uint32Array, at: number): boolean {
  if (words[at + 26] !== 0) return true;
  const flags = words[at + 8]!;
  if ((flags & INODE_FLAGS.extents) !== 0) return words[at + MAP_OFFSET / 4]! >>> 16 !== 0;
  for (let word = 0; word < 15; word += 1) if (words[at + MAP_OFFSET / 4 + word] !== 0) return true;
  return false;
}

/** Why a block in use has no owner: everything that hides a part of some inode, by a scan that verifies every checksum. */
export async function whatIsHidden(
  volume: Ext4Volume,
  statics: StaticMap,
): Promise<readonly string[]> {
  const scan = await scanClaims(volume, statics, {
    wanted: new WantedBlocks([]),
    directories: false,
    thorough: true,
  });
  return scan.reasons;
}

/** Scans all inodes once. */
export async function scanClaims(
  volume: Ext4Volume,
  statics: StaticMap,
  options: ScanOptions,
): Promise<ScanResult> {
  const scan = new ClaimScan(volume, statics, options);
  await scanInodes(volume, scan);
  await scan.finish();
  // What fast commits will give to an inode is its own as soon as they are replayed, which nobody does here.
  for (const { inode, block, count } of volume.unsettled.blocks) {
    if (options.wanted.hits(block, count))
      scan.claims.push({ inode, block, count, logical: 0, role: "promised" });
  }
  const { claims, claimants, directories, reasons } = scan;
  return { claims, claimants, directories, reasons };
}
