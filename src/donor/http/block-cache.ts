/** BlockCache: the blocks that were read last, bounded: what is read again around a hole is not asked for twice. */

/** Blocks that are kept. */
const MOST_BLOCKS = 512;

/** Blocks of one resource, by their place. */
export class BlockCache {
  readonly #blockSize: number;
  /** In the order of their last use. */
  readonly #blocks = new Map<number, Uint8Array>();

  /** @param blockSize bytes; a power of two */
  constructor(blockSize: number) {
    this.#blockSize = blockSize;
  }

  /** The kept bytes from an offset to the end of its block; `undefined` where they are not kept. */
  get(offset: number): Uint8Array | undefined {
    const within = offset % this.#blockSize;
    const start = offset - within;
    const block = this.#blocks.get(start);
    if (block === undefined || block.length <= within) return undefined;
    this.#blocks.delete(start);
    this.#blocks.set(start, block);
    return block.subarray(within);
  }

  /** Keeps whole blocks that begin at a multiple of the block size; the last one may be short. */
  put(offset: number, bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; at += this.#blockSize) {
      // a copy: a view would keep all of a large answer for one block of it
      this.#blocks.set(offset + at, bytes.slice(at, at + this.#blockSize));
      if (this.#blocks.size <= MOST_BLOCKS) continue;
      for (const oldest of this.#blocks.keys()) {
        this.#blocks.delete(oldest);
        break;
      }
    }
  }
}
