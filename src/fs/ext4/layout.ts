/**
 * Layout: which blocks are superblocks, descriptors, bitmaps, inode tables and MMP, without looking at any inode.
 *
 * What stands at the start of groups is arithmetic (geometry.ts). Bitmaps and tables may stand anywhere (flex_bg), so they are kept as runs
 * sorted by block, 12 bytes a run, and found by a binary search. Two structures that claim one block cannot both be right: the groups of both become "unknown".
 *
 * With blocks of more than 1 KiB, block 0 is both boot block (its first 1024 bytes) and superblock (the next 1024); it is told as "superblock".
 */
import type { Problem } from "../file-map.ts";
import type { Geometry } from "./geometry.ts";
import type { DescriptorTable } from "./group-descriptors.ts";
import { hasFeature } from "./features.ts";
import type { StaticRun, StaticUse } from "./volume.ts";

const KINDS = [
  "block-bitmap",
  "inode-bitmap",
  "inode-table",
  "mmp",
] as const satisfies readonly StaticUse[];
const TABLE = 2;
const MMP = 3;

/** Runs sorted by block; `keys` holds group * 4 + kind. */
interface SortedRuns {
  readonly starts: Float64Array;
  readonly keys: Uint32Array;
}

/** The static uses of one volume. */
export class Layout {
  readonly geometry: Geometry;
  #runs: SortedRuns;
  readonly #groups: number;

  constructor(table: DescriptorTable, report: (problem: Problem) => void) {
    this.geometry = table.geometry;
    this.#groups = table.groups.length;
    let runs = sortedRuns(table);
    const claimed = overlapping(this.geometry, runs);
    if (claimed.size > 0) {
      for (const group of claimed) table.forget(group);
      report({
        message: `Descriptors of ${claimed.size} groups, group ${Math.min(...[...claimed].slice(0, 100))} among them, claim blocks of each other: where their bitmaps and inode tables stand is unknown`,
      });
      runs = sortedRuns(table);
    }
    this.#runs = runs;
    const { superblock } = this.geometry;
    const { mmpBlock } = superblock;
    if (!hasFeature(superblock, "mmp") || mmpBlock === 0 || mmpBlock >= superblock.blockCount)
      return;
    const [taken] = this.staticUses(mmpBlock, 1);
    if (taken === undefined) this.#runs = sortedRuns(table, mmpBlock);
    else
      report({
        message: `The superblock places the MMP block on a block of kind ${taken.use}: where it stands is unknown`,
      });
  }

  /** Static uses in `[block, block + count)`, ascending, clipped; blocks without one are left out. */
  *staticUses(block: number, count: number): Generator<StaticRun> {
    const end = Math.min(block + count, this.geometry.superblock.blockCount);
    const placed = this.#placed(block, end);
    let next = placed.next();
    for (const run of this.#based(block, end)) {
      while (!next.done && next.value.block < run.block) {
        yield next.value;
        next = placed.next();
      }
      yield run;
    }
    while (!next.done) {
      yield next.value;
      next = placed.next();
    }
  }

  /** Blocks of a run of a kind. */
  #length(key: number): number {
    return (key & 3) === TABLE ? this.geometry.inodeTableBlocks : 1;
  }

  *#placed(block: number, end: number): Generator<StaticRun> {
    const { starts, keys } = this.#runs;
    let low = 0;
    let high = starts.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((starts[middle] as number) <= block) low = middle + 1;
      else high = middle;
    }
    for (
      let index = Math.max(0, low - 1);
      index < starts.length && (starts[index] as number) < end;
      index += 1
    ) {
      const key = keys[index] as number;
      const start = Math.max(block, starts[index] as number);
      const stop = Math.min(end, (starts[index] as number) + this.#length(key));
      if (start >= stop) continue;
      yield {
        block: start,
        count: stop - start,
        use: KINDS[(key & 3) as 0 | 1 | 2 | 3],
        group: Math.floor(key / 4),
      };
    }
  }

  /** Arithmetic uses of the groups that the range meets. */
  *#based(block: number, end: number): Generator<StaticRun> {
    if (block >= end) return;
    // Groups that are not there have nothing: a hostile superblock may claim a thousand million of them.
    const last = Math.min(this.geometry.groupOf(end - 1), this.#groups - 1);
    for (let group = this.geometry.groupOf(block); group <= last; group += 1) {
      for (const run of baseRuns(this.geometry, group)) {
        const start = Math.max(block, run.block);
        const stop = Math.min(end, run.block + run.count);
        if (start < stop) yield { ...run, block: start, count: stop - start };
      }
    }
  }
}

const NONE: readonly StaticRun[] = [];

/** What stands at the start of a group by arithmetic, ascending. */
function baseRuns(geometry: Geometry, group: number): readonly StaticRun[] {
  const meta = geometry.metaDescriptorOf(group);
  const hasSuper = geometry.hasSuper(group);
  if (!hasSuper && meta === undefined) return NONE;
  const backup = group === 0 ? "" : "-backup";
  const runs: StaticRun[] = [];
  const add = (block: number, count: number, use: StaticUse): void => {
    const end = Math.min(block + count, geometry.groupEnd(group));
    if (end > block) runs.push({ block, count: end - block, use, group });
  };
  if (group === 0 && geometry.superblock.blockSize === 1024) add(0, 1, "boot-block");
  const superblock = geometry.superblockOf(group);
  if (hasSuper) add(superblock, 1, `superblock${backup}`);
  if (meta !== undefined) {
    add(
      meta,
      1,
      group % geometry.descriptorsPerBlock === 0 ? "group-descriptors" : "group-descriptors-backup",
    );
  } else {
    const end = geometry.groupStart(group) + geometry.baseMetaBlocks(group);
    const old = Math.min(geometry.oldDescriptorBlocks, end - superblock - 1);
    add(superblock + 1, old, `group-descriptors${backup}`);
    add(superblock + 1 + old, end - superblock - 1 - old, "reserved-descriptors");
  }
  return runs;
}

function sortedRuns(table: DescriptorTable, mmpBlock?: number): SortedRuns {
  const known = table.groups.filter((descriptor) => descriptor.source !== "unknown");
  const starts = new Float64Array(known.length * 3 + (mmpBlock === undefined ? 0 : 1));
  const keys = new Uint32Array(starts.length);
  let at = 0;
  const add = (block: number, group: number, kind: number): void => {
    starts[at] = block;
    keys[at] = group * 4 + kind;
    at += 1;
  };
  // Bitmaps and tables of a flexible group stand together, so this order is mostly the final one.
  const flexible = 2 ** Math.min(table.geometry.superblock.logGroupsPerFlex, 12);
  for (let from = 0; from < known.length; from += flexible) {
    const part = known.slice(from, from + flexible);
    for (const { group, blockBitmap } of part) add(blockBitmap, group, 0);
    for (const { group, inodeBitmap } of part) add(inodeBitmap, group, 1);
    for (const { group, inodeTable } of part) add(inodeTable, group, TABLE);
  }
  if (mmpBlock !== undefined) add(mmpBlock, table.geometry.groupOf(mmpBlock), MMP);
  return isSorted(starts) ? { starts, keys } : sorted({ starts, keys });
}

function isSorted(starts: Float64Array): boolean {
  for (let index = 1; index < starts.length; index += 1) {
    if ((starts[index] as number) < (starts[index - 1] as number)) return false;
  }
  return true;
}

function sorted({ starts, keys }: SortedRuns): SortedRuns {
  const order = new Uint32Array(starts.length).map((_, index) => index);
  order.sort((one, other) => (starts[one] as number) - (starts[other] as number));
  return {
    starts: new Float64Array(starts.length).map(
      (_, index) => starts[order[index] as number] as number,
    ),
    keys: new Uint32Array(starts.length).map((_, index) => keys[order[index] as number] as number),
  };
}

/** Groups whose structures share a block with another one's. */
function overlapping(geometry: Geometry, runs: SortedRuns): Set<number> {
  const groups = new Set<number>();
  let end = -1;
  let owner = 0;
  for (let index = 0; index < runs.starts.length; index += 1) {
    const key = runs.keys[index] as number;
    const start = runs.starts[index] as number;
    const length = (key & 3) === TABLE ? geometry.inodeTableBlocks : 1;
    if (start < end) {
      groups.add(Math.floor(owner / 4));
      groups.add(Math.floor(key / 4));
    }
    if (start + length > end) {
      end = start + length;
      owner = key;
    }
  }
  return groups;
}
