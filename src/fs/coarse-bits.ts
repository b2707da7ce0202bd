/**
 * Coarse bits: which blocks of a volume are marked, a bit for many blocks where the volume is large, so that the map stays in the processor's cache.
 *
 * It says "no" for certain and "perhaps" otherwise. Loops that ask it millions of times read `words` themselves: a call costs more than the answer.
 */

/** Bits of a map. */
const BITS_MAX = 2 ** 20;

/** One map. */
export class CoarseBits {
  /** Bit `block >> shift` of all words. */
  readonly words: Uint32Array;
  /** Blocks of one bit, as a power of two. */
  readonly shift: number;
  /** Blocks that the map tells of. */
  readonly blocks: number;

  constructor(blocks: number) {
    this.blocks = blocks;
    let shift = 0;
    while (blocks / 2 ** shift > BITS_MAX) shift += 1;
    this.shift = shift;
    this.words = new Uint32Array(Math.ceil(blocks / 2 ** shift / 32) + 1);
  }

  /** Marks blocks; those outside are left out. */
  mark(block: number, count: number): void {
    const end = Math.min(block + count, this.blocks);
    if (block >= end) return;
    const unit = 2 ** this.shift;
    const last = Math.floor((end - 1) / unit);
    for (let bit = Math.floor(block / unit); bit <= last; bit += 1)
      this.words[bit >>> 5]! |= 1 << (bit & 31);
  }
}
