/** Static map: the blocks that geometry alone gives a use, as sorted arrays, for the question that every extent is asked. */
import type { Ext4Volume } from "./volume.ts";
import type { BlockRun } from "../wanted-blocks.ts";

/** All static runs of a volume. */
export class StaticMap {
  readonly #starts: Float64Array;
  readonly #ends: Float64Array;
  readonly #firstDataBlock: number;
  readonly #blockCount: number;

  constructor(volume: Ext4Volume) {
    const { blockCount, firstDataBlock } = volume.superblock;
    const starts: number[] = [];
    const ends: number[] = [];
    for (const run of volume.staticUses(0, blockCount)) {
      const last = ends.length - 1;
      if (last >= 0 && (ends[last] as number) >= run.block)
        ends[last] = Math.max(ends[last] as number, run.block + run.count);
      else {
        starts.push(run.block);
        ends.push(run.block + run.count);
      }
    }
    this.#starts = Float64Array.from(starts);
    this.#ends = Float64Array.from(ends);
    this.#firstDataBlock = firstDataBlock;
    this.#blockCount = blockCount;
  }

  /** The runs, ascending. */
  *[Symbol.iterator](): Generator<BlockRun> {
    for (let index = 0; index < this.#starts.length; index += 1) {
      const block = this.#starts[index]!;
      yield { block, count: this.#ends[index]! - block };
    }
  }

  /** Whether a block of `[block, block + count)` has a static use. O(log n). */
  overlaps(block: number, count: number): boolean {
    let low = 0;
    let high = this.#ends.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#ends[middle] as number) > block) high = middle;
      else low = middle + 1;
    }
    return low < this.#starts.length && (this.#starts[low] as number) < block + count;
  }

  /** Whether blocks are inside the volume and of no static use (kernel: ext4_inode_block_valid). */
  mayOwn(block: number, count: number): boolean {
    return this.isInside(block, count) && !this.overlaps(block, count);
  }

  /** Whether blocks are inside the volume. */
  isInside(block: number, count: number): boolean {
    return block > this.#firstDataBlock && block + count <= this.#blockCount;
  }
}
