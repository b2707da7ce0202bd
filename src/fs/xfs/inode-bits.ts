/** Inode bits: which inodes matter, as a bitmap of fixed size: it says "no" for certain and "perhaps" otherwise. */

/** Bits of the map, a power of two: it stays in the processor's cache. */
const BITS = 2 ** 20;
const MASK = BITS - 1;

/** An inode's bit, by the halves of its number. An AG's number stands above those of its inodes, so it is folded down. Loops that matter do this in place. */
function bitOf(high: number, low: number): number {
  return (low ^ (low >>> 19) ^ (high * 0x2f35)) & MASK;
}

/** One map. */
export class InodeBits {
  readonly words: Uint32Array = new Uint32Array(BITS >>> 5);

  /** Adds an inode. */
  add(inode: number): void {
    const bit = bitOf(Math.floor(inode / 2 ** 32), inode >>> 0);
    this.words[bit >>> 5]! |= 1 << (bit & 31);
  }

  /** Whether an inode may have been added, by the halves of its number, 32 bits each. */
  has(high: number, low: number): boolean {
    const bit = bitOf(high, low);
    return ((this.words[bit >>> 5]! >>> (bit & 31)) & 1) === 1;
  }
}
