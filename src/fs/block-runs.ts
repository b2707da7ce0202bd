/** Block runs: runs of blocks that belong to directories, in columns, sorted, and read in order of block, several runs at once. */
import { isPromise, type MaybePromise } from "../base/index.ts";
import type { BlockRead } from "./block-reader.ts";
import { Turns } from "./turns.ts";

/** The longest read that stays on this thread and in the processor's cache, and whose buffer is used again. */
const READ_BYTES_MAX = 128 * 1024;
/** Blocks that are read for nothing, because one read more costs more. */
const GAP_BLOCKS = 8;
/** Reads between two looks at the clock. */
const READS_PER_LOOK = 32;

/** Runs of blocks, by ascending first block. */
export interface BlockRuns {
  /** Indexes of their directories in a table. */
  readonly directories: readonly number[];
  /** First block of the volume of each. */
  readonly blocks: readonly number[];
  /** Blocks of each. */
  readonly counts: readonly number[];
}

/** Runs by ascending block. The columns are returned as they are where they ascend already. */
export function sortedRuns(runs: BlockRuns): BlockRuns {
  const { directories, blocks, counts } = runs;
  let ascending = true;
  for (let at = 1; at < blocks.length; at += 1)
    if (blocks[at]! < blocks[at - 1]!) ascending = false;
  if (ascending) return runs;
  const order = blocks.map((_, index) => index);
  order.sort((one, other) => blocks[one]! - blocks[other]!);
  const by = (column: readonly number[]): number[] => order.map((index) => column[index]!);
  return { directories: by(directories), blocks: by(blocks), counts: by(counts) };
}

/** What runs are read from. */
export interface RunSource {
  readonly superblock: { readonly blockSize: number };
  /** @returns `undefined` where the blocks are not of the volume */
  readBlocks(block: number, count: number, once: boolean): MaybePromise<BlockRead | undefined>;
}

/** Blocks that were read at once. */
export interface ReadSpan {
  readonly read: BlockRead | undefined;
  readonly from: number;
  readonly end: number;
}

/**
 * Reads all runs.
 *
 * @param visit is told every run of what was read, of which the run may have only a part; returns false to stop
 */
export async function readRuns(
  source: RunSource,
  runs: BlockRuns,
  visit: (index: number, span: ReadSpan) => boolean,
): Promise<void> {
  const limit = Math.max(1, Math.floor(READ_BYTES_MAX / source.superblock.blockSize));
  const turns = new Turns();
  let reads = 0;
  for (let first = 0; first < runs.blocks.length;) {
    const { end, next } = spanFrom(runs, first, limit);
    for (let from = runs.blocks[first]!; from < end; from += limit) {
      const count = Math.min(limit, end - from);
      const found = source.readBlocks(from, count, true);
      const read = isPromise(found) ? await found : found;
      const span = { read, from, end: from + count };
      for (let index = first; index < next; index += 1) if (!visit(index, span)) return;
      reads += 1;
      if (reads % READS_PER_LOOK === 0) await turns.take();
    }
    first = next;
  }
}

/** Where the runs end that are read together with run `first`: the block behind them, and the next run's index. */
function spanFrom(
  { blocks, counts }: BlockRuns,
  first: number,
  limit: number,
): { readonly end: number; readonly next: number } {
  const from = blocks[first]!;
  let end = from + counts[first]!;
  let next = first + 1;
  for (; next < blocks.length; next += 1) {
    const block = blocks[next]!;
    if (block > end + GAP_BLOCKS || block - from >= limit) break;
    end = Math.max(end, block + counts[next]!);
  }
  return { end, next };
}
