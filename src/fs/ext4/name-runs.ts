/** Name runs: the blocks of all directories that hold names, ascending, in columns. */
import { RUN_FIELDS, type DirectoryTable } from "./directory-table.ts";

/** Runs of blocks, by ascending first block. */
export interface NameRuns {
  /** Indexes in the table of directories. */
  readonly directories: readonly number[];
  /** First block of the volume of each. */
  readonly blocks: readonly number[];
  /** Blocks of each. */
  readonly counts: readonly number[];
}

/** The runs of a table, sorted. Blocks past the size of a directory hold no names (kernel: ext4_readdir ends at i_size). */
export function sortedRuns({ runs, sizes }: DirectoryTable, blockSize: number): NameRuns {
  const directories: number[] = [];
  const blocks: number[] = [];
  const counts: number[] = [];
  let ascending = true;
  for (let at = 0, before = 0; at < runs.length; at += RUN_FIELDS) {
    const directory = runs[at]!;
    const block = runs[at + 2]!;
    const inside = Math.ceil(sizes[directory]! / blockSize) - runs[at + 1]!;
    const count = Math.min(runs[at + 3]!, inside);
    if (count <= 0) continue;
    if (block < before) ascending = false;
    before = block;
    directories.push(directory);
    blocks.push(block);
    counts.push(count);
  }
  if (ascending) return { directories, blocks, counts };
  const order = blocks.map((_, index) => index);
  order.sort((one, other) => blocks[one]! - blocks[other]!);
  const by = (column: readonly number[]): number[] => order.map((index) => column[index]!);
  return { directories: by(directories), blocks: by(blocks), counts: by(counts) };
}
