/** Wanted blocks: the sorted runs of blocks whose owners are asked for, and the one question that every extent of a scan is asked. */

/** A run of blocks. */
export interface BlockRun {
  readonly block: number;
  readonly count: number;
}

/** Buckets of the table that spares most of a search. */
const BUCKETS_MAX = 2 ** 16;

/** Runs of blocks, ascending, apart. */
export class WantedBlocks {
  readonly #starts: Float64Array;
  readonly #ends: Float64Array;
  readonly #first: number;
  readonly #end: number;
  /** For each bucket of blocks, the first run that ends after the bucket's start. */
  readonly #buckets: Uint32Array;
  /** Buckets in a block: a power of two, so that the product is exact. */
  readonly #perBlock: number;

  /** @param runs in any order; overlapping and touching ones are joined */
  constructor(runs: readonly BlockRun[]) {
    const sorted = [...runs].sort((one, other) => one.block - other.block);
    const starts: number[] = [];
    const ends: number[] = [];
    for (const run of sorted) {
      const last = ends.length - 1;
      if (last >= 0 && ends[last]! >= run.block)
        ends[last] = Math.max(ends[last]!, run.block + run.count);
      else {
        starts.push(run.block);
        ends.push(run.block + run.count);
      }
    }
    this.#starts = Float64Array.from(starts);
    this.#ends = Float64Array.from(ends);
    this.#first = starts[0] ?? 0;
    this.#end = ends.at(-1) ?? 0;
    let bucketBlocks = 1;
    while ((this.#end - this.#first) / bucketBlocks > Math.min(BUCKETS_MAX, starts.length * 8 + 64))
      bucketBlocks *= 2;
    this.#perBlock = 1 / bucketBlocks;
    this.#buckets = new Uint32Array(Math.ceil((this.#end - this.#first) * this.#perBlock));
    let run = 0;
    for (let bucket = 0; bucket < this.#buckets.length; bucket += 1) {
      while (run < ends.length && ends[run]! <= this.#first + bucket * bucketBlocks) run += 1;
      this.#buckets[bucket] = run;
    }
  }

  /** Number of runs. */
  get size(): number {
    return this.#starts.length;
  }

  /** Whether any block of `[block, block + count)` is wanted. About one step each, without an allocation. */
  hits(block: number, count: number): boolean {
    if (block >= this.#end || block + count <= this.#first) return false;
    const ends = this.#ends;
    let run =
      block <= this.#first ? 0 : this.#buckets[((block - this.#first) * this.#perBlock) >>> 0]!;
    while (ends[run]! <= block) run += 1;
    return this.#starts[run]! < block + count;
  }

  /** What of them is in none of some other runs, which may come in any order and overlap. */
  without(others: readonly BlockRun[]): WantedBlocks {
    const taken = [...new WantedBlocks(others)];
    const left: BlockRun[] = [];
    let at = 0;
    for (const { block, count } of this) {
      const end = block + count;
      let start = block;
      while (at < taken.length && taken[at]!.block + taken[at]!.count <= start) at += 1;
      for (let next = at; next < taken.length && taken[next]!.block < end; next += 1) {
        const other = taken[next]!;
        if (other.block > start) left.push({ block: start, count: other.block - start });
        start = other.block + other.count;
      }
      if (start < end) left.push({ block: start, count: end - start });
    }
    return new WantedBlocks(left);
  }

  /** The runs, ascending. */
  *[Symbol.iterator](): Generator<BlockRun> {
    for (let index = 0; index < this.#starts.length; index += 1) {
      const block = this.#starts[index]!;
      yield { block, count: this.#ends[index]! - block };
    }
  }
}
