/**
 * BlockIndex: which entry of a cache holds which block, in the order of the blocks: found by halving, walked forwards, 12 bytes a block.
 * Chunks of sorted arrays and a list of their firsts, so that one more block moves half a chunk and not all of them.
 */

/** Blocks of a chunk at most. */
const CHUNK = 512;

interface Chunk {
  readonly blocks: Float64Array;
  readonly entries: Int32Array;
  count: number;
}

function emptyChunk(): Chunk {
  return { blocks: new Float64Array(CHUNK), entries: new Int32Array(CHUNK), count: 0 };
}

/** A sorted map from block to entry. */
export class BlockIndex {
  readonly #chunks: Chunk[] = [];
  /** First block of each chunk. */
  readonly #firsts: number[] = [];
  #size = 0;

  /** Blocks in it. */
  get size(): number {
    return this.#size;
  }

  /** The entry of a block; -1 where it has none. */
  get(block: number): number {
    const chunk = this.#chunks[this.#chunkAt(block)];
    if (chunk === undefined) return -1;
    const at = placeIn(chunk, block);
    return at < chunk.count && chunk.blocks[at] === block ? (chunk.entries[at] as number) : -1;
  }

  /** The first block from one on; Infinity where there is none. */
  from(block: number): number {
    let number = Math.max(0, this.#chunkAt(block));
    let chunk = this.#chunks[number];
    if (chunk === undefined) return Infinity;
    let at = placeIn(chunk, block);
    if (at === chunk.count) {
      number += 1;
      at = 0;
      chunk = this.#chunks[number];
    }
    return chunk?.blocks[at] ?? Infinity;
  }

  /** Sets the entry of a block. */
  set(block: number, entry: number): void {
    let number = this.#chunkAt(block);
    if (number < 0) {
      number = 0;
      if (this.#chunks.length === 0) this.#chunks.push(emptyChunk());
    }
    let chunk = this.#chunks[number] as Chunk;
    let at = placeIn(chunk, block);
    if (at < chunk.count && chunk.blocks[at] === block) {
      chunk.entries[at] = entry;
      return;
    }
    if (chunk.count === CHUNK) {
      const upper = this.#split(number);
      if (at > chunk.count) {
        at -= chunk.count;
        number += 1;
        chunk = upper;
      }
    }
    chunk.blocks.copyWithin(at + 1, at, chunk.count);
    chunk.entries.copyWithin(at + 1, at, chunk.count);
    chunk.blocks[at] = block;
    chunk.entries[at] = entry;
    chunk.count += 1;
    this.#firsts[number] = chunk.blocks[0] as number;
    this.#size += 1;
  }

  /** Takes a block out; nothing where it is not in. */
  delete(block: number): void {
    const number = this.#chunkAt(block);
    const chunk = this.#chunks[number];
    if (chunk === undefined) return;
    const at = placeIn(chunk, block);
    if (at === chunk.count || chunk.blocks[at] !== block) return;
    chunk.blocks.copyWithin(at, at + 1, chunk.count);
    chunk.entries.copyWithin(at, at + 1, chunk.count);
    chunk.count -= 1;
    this.#size -= 1;
    if (chunk.count > 0) this.#firsts[number] = chunk.blocks[0] as number;
    else {
      this.#chunks.splice(number, 1);
      this.#firsts.splice(number, 1);
    }
  }

  /** The chunk whose range a block lies in; -1 before the first. */
  #chunkAt(block: number): number {
    let low = -1;
    let high = this.#firsts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((this.#firsts[middle] as number) <= block) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  /** Moves the upper half of a full chunk into a new one behind it. */
  #split(number: number): Chunk {
    const chunk = this.#chunks[number] as Chunk;
    const upper = emptyChunk();
    const half = CHUNK / 2;
    upper.blocks.set(chunk.blocks.subarray(half));
    upper.entries.set(chunk.entries.subarray(half));
    upper.count = CHUNK - half;
    chunk.count = half;
    this.#chunks.splice(number + 1, 0, upper);
    this.#firsts.splice(number + 1, 0, upper.blocks[0] as number);
    return upper;
  }
}

/** Where a block stands in a chunk, or would. */
function placeIn(chunk: Chunk, block: number): number {
  let low = 0;
  let high = chunk.count;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((chunk.blocks[middle] as number) < block) low = middle + 1;
    else high = middle;
  }
  return low;
}
