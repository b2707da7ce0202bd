/** Directory table: what a scan keeps of all directories, in columns: there is one for every few files. */
import { sortedRuns, type BlockRuns } from "../block-runs.ts";
import { INDEX_OFFSET } from "./directory.ts";
import { listedExtents, type MappedRun } from "./fork-map.ts";
import { inodePlace } from "./geometry.ts";
import type { Inode } from "./inode.ts";
import type { XfsVolume } from "./volume.ts";

interface Columns {
  readonly directories: number[];
  readonly blocks: number[];
  readonly counts: number[];
}

/** All directories of a scan, by the order in which they came. */
export class DirectoryTable {
  /** Inode numbers. */
  readonly numbers: number[] = [];
  /** Numbers of those whose map is a tree, or whose blocks are not in one piece: they are read one by one. */
  readonly others: number[] = [];
  readonly #blocks: Columns = { directories: [], blocks: [], counts: [] };
  readonly #inside: Columns = { directories: [], blocks: [], counts: [] };
  readonly #volume: XfsVolume;
  /** Their numbers, ascending, once the scan is over. */
  #sorted: Float64Array | undefined;

  constructor(volume: XfsVolume) {
    this.#volume = volume;
  }

  /** Adds a directory that is believed. */
  add(inode: Inode): void {
    const { superblock } = this.#volume;
    const index = this.numbers.push(inode.number) - 1;
    const { format } = inode.data;
    if (format === "local") {
      const place = inodePlace(superblock, inode.number)!;
      push(this.#inside, index, {
        block: Math.floor(place.offset / superblock.blockSize),
        count: 1,
      });
      return;
    }
    const plain = superblock.directoryBlockSize === superblock.blockSize && format === "extents";
    const runs = plain ? namedRuns(this.#volume, inode) : undefined;
    if (runs === undefined) this.others.push(inode.number);
    else for (const run of runs) push(this.#blocks, index, run);
  }

  /** Whether an inode is one of them. */
  has(inode: number): boolean {
    const sorted = (this.#sorted ??= Float64Array.from(this.numbers).sort());
    let low = 0;
    let high = sorted.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (sorted[middle]! < inode) low = middle + 1;
      else high = middle;
    }
    return sorted[low] === inode;
  }

  /** Blocks that hold names, ascending. */
  get blockRuns(): BlockRuns {
    return sortedRuns(this.#blocks);
  }

  /** Blocks with inodes that hold names themselves, ascending. */
  get insideRuns(): BlockRuns {
    return sortedRuns(this.#inside);
  }
}

function push(
  { directories, blocks, counts }: Columns,
  directory: number,
  { block, count }: { readonly block: number; readonly count: number },
): void {
  directories.push(directory);
  blocks.push(block);
  counts.push(count);
}

/** The runs of a directory's list that hold names; `undefined` where a part of it cannot be told. */
function namedRuns(volume: XfsVolume, inode: Inode): readonly MappedRun[] | undefined {
  const end = Math.ceil(Math.min(inode.size, INDEX_OFFSET) / volume.superblock.blockSize);
  const runs: MappedRun[] = [];
  let whole = true;
  listedExtents(
    volume,
    { inode, fork: "data" },
    {
      run: (run) => {
        if (run.logical < end) runs.push({ ...run, count: Math.min(run.count, end - run.logical) });
      },
      hidden: () => {
        whole = false;
      },
    },
  );
  return whole ? runs : undefined;
}
