/**
 * Ext4Volume: an ext4 volume as blocks with a geometry. What inode.ts, owners.ts and the others above it stand on.
 *
 * Blocks come through the journal: where a dirty journal was replayed in memory, its newer blocks are served. Poisoned bytes
 * are told as ranges; a structure decides itself what of it they hide.
 */
import type { MaybePromise } from "../../base/index.ts";
import type { BlockRead } from "../block-reader.ts";
import type { JournalState, Problem } from "../file-map.ts";
import type { FastCommits } from "./fast-commit.ts";
import type { Superblock } from "./superblock.ts";

export type { BlockRead } from "../block-reader.ts";

/** One block group, as its descriptor says. Block numbers are of the volume. */
export interface GroupDescriptor {
  readonly group: number;
  readonly blockBitmap: number;
  readonly inodeBitmap: number;
  readonly inodeTable: number;
  readonly unusedInodes: number;
  readonly blockBitmapUninit: boolean;
  readonly inodeUninit: boolean;
  readonly inodeZeroed: boolean;
  readonly blockBitmapChecksum: number;
  readonly inodeBitmapChecksum: number;
  readonly freeBlocks: number;
  /** Where it was read from, and whether it can be trusted: a wrong or poisoned one whose backups are too is "unknown". */
  readonly source: "primary" | "backup" | "unknown";
}

/** What a block is by the geometry alone, without looking at any inode. */
export type StaticUse =
  | "boot-block"
  | "superblock"
  | "superblock-backup"
  | "group-descriptors"
  | "group-descriptors-backup"
  | "reserved-descriptors"
  | "block-bitmap"
  | "inode-bitmap"
  | "inode-table"
  | "mmp";

/** A run of blocks with one static use. */
export interface StaticRun {
  readonly block: number;
  readonly count: number;
  readonly use: StaticUse;
  /** Group that the structure describes (of a bitmap or table; with flex_bg not the group it lies in). */
  readonly group: number;
}

/** An open ext4 volume. */
export interface Ext4Volume {
  readonly superblock: Superblock;
  /** By number. Of a cut-off volume only those whose structures can be there: test for `undefined`. */
  readonly groups: readonly GroupDescriptor[];
  readonly journal: JournalState;
  /** Inodes that fast commits change, and blocks that they give them: not replayed, so their owners are "unknown" (R1). */
  readonly unsettled: FastCommits;
  /** Problems met so far; `report` adds one, bounded. */
  readonly problems: readonly Problem[];
  report(problem: Problem): void;
  /** Incompatible features that the map cannot read, by name; where there are any, every owner is "unknown". */
  readonly unknownFeatures: readonly string[];

  /**
   * Blocks `[block, block + count)` with the journal's newer content. Blocks past the volume: `undefined`. `once`: they will not
   * be asked for again, so a small read need not fill the cache.
   */
  readBlocks(block: number, count: number, once?: boolean): MaybePromise<BlockRead | undefined>;
  /** Static uses in a run of blocks, ascending, clipped to it; what has none is left out. Arithmetic and a search, no I/O. */
  staticUses(block: number, count: number): Iterable<StaticRun>;
  /** First block that a group holds, and how many. */
  groupBlocks(group: number): { readonly block: number; readonly count: number };
  /**
   * Runs of blocks of a range that the block bitmaps say are in use, ascending, `known: false` where the bitmap is bad or its
   * checksum wrong. With bigalloc in whole clusters. The bitmap's bit, not the owner's word.
   */
  allocated(block: number, count: number): MaybePromise<readonly AllocatedRun[]>;
  /** Whether an inode's bit is set; `undefined` where the bitmap is bad or its checksum wrong. */
  inodeAllocated(inode: number): MaybePromise<boolean | undefined>;
}

/** A run of blocks as its bitmap says. */
export interface AllocatedRun {
  readonly block: number;
  readonly count: number;
  readonly used: boolean;
  readonly known: boolean;
}
