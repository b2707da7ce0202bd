/** Wanted blocks: the sorted runs of blocks whose owners are asked for, and the one question that every extent of a scan is asked. */

/** A run of blocks. */
export interface BlockRun {
  readonly block: number;
  readonly count: number;
}

/** Runs of blocks, ascending, apart. */
export class WantedBlocks {
  readonly #starts: Float64Array;
  readonly #ends: Float64Array;
  readonly #first: number;
  readonly #end: number;

  /** @param runs in any order; overlapping and touching ones are joined */
  constructor(runs: readonly BlockRun[]) {
    const sorted = [...runs].sort((one, other) => one.block - other.block);
    const starts: number[] = [];
    const ends: number[] = [];
    for (const run of sorted) {
      const last = ends.length - 1;
      if (last >= 0 && ends[last]! >= run.block) ends[last] = Math.max(ends[last]!, run.block + run.count);
      else {
        starts.push(run.block);
        ends.push(run.block + run.count);
      }
    }
    this.#starts = Float64Array.from(starts);
    this.#ends = Float64Array.from(ends);
    this.#first = starts[0] ?? 0;
    this.#end = ends.at(-1) ?? 0;
  }

  /** Number of runs. */
  get size(): number {
    return this.#starts.length;
  }

  /** Whether any block of `[block, block + count)` is wanted. O(log n), without an allocation. */
  hits(block: number, count: number): boolean {
    if (block >= this.#end || block + count <= this.#first) return false;
    const ends = this.#ends;
    let low = 0;
    let high = ends.length - 1;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (ends[middle]! > block) high = middle;
      else low = middle + 1;
    }
    return this.#starts[low]! < block + count;
  }

  /** The runs, ascending. */
  *[Symbol.iterator](): Generator<BlockRun> {
    for (let index = 0; index < this.#starts.length; index += 1) {
      const block = this.#starts[index]!;
      yield { block, count: this.#ends[index]! - block };
    }
  }
}
