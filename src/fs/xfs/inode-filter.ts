/**
 * Inode filter: the way past nearly every slot of a scan, by its own words and one bitmap.
 *
 * A scan of a million inodes looks for the few that claim a wanted block. Here an inode is passed over where all its extents, in the slot itself, touch no marked block:
 * a wanted one, or one that no file can own. Everything else, every directory, and whatever is odd is shown, and judged exactly; so the bitmap may be coarse.
 * Numbers on the media begin with their high byte and words here with the low one, so each is turned round in place: the loop calls nothing but itself.
 */
import { CoarseBits } from "../coarse-bits.ts";
import type { WantedBlocks } from "../wanted-blocks.ts";
import { agLength, headerBlocks } from "./geometry.ts";
import type { InodeChunk } from "./inode-walk.ts";
import type { Superblock } from "./superblock.ts";

/** Bits that one extent is tested against; a longer one is shown. */
const TESTS_MAX = 64;
const WORDS_OF_EXTENT = 4;
/** Two bytes "IN", as the low half of a slot's first word. */
const MAGIC = 0x4e49;
const LARGE_COUNTS = 0x10;
/** Format of a fork that is a list of extents; those below have none. */
const EXTENTS = 2;
/** More extents than any slot holds. */
const TOO_MANY = 2 ** 16;

/** Which slots of a scan need a look. */
export class InodeFilter {
  readonly #bits: Uint32Array;
  /** Bits a block, a power of two, so that the product is exact. */
  readonly #scale: number;
  /** Block numbers, as the media have them, end here. */
  readonly #end: number;
  /** Version of an inode that is plain, and words before its forks. */
  readonly #version: number;
  readonly #core: number;

  constructor(superblock: Superblock, wanted: WantedBlocks) {
    const unit = 2 ** superblock.agBlockBits;
    this.#end = superblock.agCount * unit;
    const marked = new CoarseBits(this.#end);
    for (let ag = 0; ag < superblock.agCount; ag += 1) {
      const length = agLength(superblock, ag);
      marked.mark(ag * unit, headerBlocks(superblock));
      marked.mark(ag * unit + length, unit - length);
    }
    for (const { block, count } of wanted) markPlain(marked, superblock, { block, count });
    this.#bits = marked.words;
    this.#scale = 2 ** -marked.shift;
    this.#version = superblock.version === 5 ? 3 : 2;
    this.#core = superblock.version === 5 ? 44 : 25;
  }

  /**
   * Index of the first slot from `from` on that needs a look; the chunk's count where none does.
   *
   * @param words slots of the chunk, one behind the other, `stride` words each
   */
  next(
    words: Uint32Array,
    { free, count }: Pick<InodeChunk, "free" | "count">,
    { from, stride }: { readonly from: number; readonly stride: number },
  ): number {
    const low = free === undefined ? 0 : free[0];
    const high = free === undefined ? 0 : free[1];
    for (let index = from; index < count; index += 1) {
      if ((((index < 32 ? low : high) >>> (index & 31)) & 1) === 1) continue;
      // Where nobody says which are in use, only what looks like one can be.
      if (free === undefined && !looksUsed(words[index * stride]!)) continue;
      if (!this.#isPlain(words, index * stride, stride)) return index;
    }
    return count;
  }

  /** Whether an inode in use is no directory, has all of its map in its slot, and none of it touches a marked block. */
  #isPlain(words: Uint32Array, slot: number, stride: number): boolean {
    const head = words[slot]!;
    const type = (head >>> 16) & 0xf0;
    if ((head & 0xffff) !== MAGIC || type === 0 || type === 0x40) return false;
    const second = words[slot + 1]!;
    // A version of 1 is as good as 2, but rare; a size above 2^53 cannot be.
    if ((second & 0xff) !== this.#version || (words[slot + 14]! & 0xe0ff) !== 0) return false;
    const fork = words[slot + 20]!;
    const room = stride - this.#core;
    const offset = ((fork >>> 16) & 0xff) * 2;
    if (offset >= room) return false;
    const large = this.#version === 3 && ((words[slot + 31]! >>> 24) & LARGE_COUNTS) !== 0;
    const format = (second >>> 8) & 0xff;
    const extents =
      format < EXTENTS ? 0 : format === EXTENTS ? countOf(words, slot, large) : TOO_MANY;
    if (this.#isMarked(words, slot + this.#core, { extents, room: offset || room })) return false;
    if (offset === 0) return true;
    const kept = fork >>> 24;
    const more = kept < EXTENTS ? 0 : kept === EXTENTS ? moreOf(words, slot, large) : TOO_MANY;
    return !this.#isMarked(words, slot + this.#core + offset, {
      extents: more,
      room: room - offset,
    });
  }

  #isMarked(
    words: Uint32Array,
    first: number,
    { extents, room }: { readonly extents: number; readonly room: number },
  ): boolean {
    if (extents * WORDS_OF_EXTENT > room) return true;
    return extents > 0 && this.#mayTouch(words, first, extents);
  }

  /** Whether one of some extents may touch a marked block, or cannot be. */
  #mayTouch(words: Uint32Array, first: number, count: number): boolean {
    const bits = this.#bits;
    const scale = this.#scale;
    for (let at = first, end = first + count * WORDS_OF_EXTENT; at < end; at += 4) {
      // 1 bit unwritten, 54 logical block, 52 block, 21 count; numbers that are very large are shown.
      const second = words[at + 1]!;
      const third = words[at + 2]!;
      const fourth = words[at + 3]!;
      const middle =
        ((third << 24) | ((third & 0xff00) << 8) | ((third >>> 8) & 0xff00) | (third >>> 24)) >>> 0;
      const last =
        ((fourth << 24) |
          ((fourth & 0xff00) << 8) |
          ((fourth >>> 8) & 0xff00) |
          (fourth >>> 24)) >>>
        0;
      if ((second & 0xff01_0000) !== 0 || (words[at]! & 0x60) !== 0) return true;
      const start = middle * 2048 + (last >>> 21);
      const blocks = last & 0x1f_ffff;
      if (blocks === 0 || start + blocks > this.#end) return true;
      const lastBit = ((start + blocks - 1) * scale) >>> 0;
      let bit = (start * scale) >>> 0;
      if (lastBit - bit > TESTS_MAX) return true;
      for (; bit <= lastBit; bit += 1)
        if (((bits[bit >>> 5]! >>> (bit & 31)) & 1) === 1) return true;
    }
    return false;
  }
}

/** Extents of the data fork. Counts have other places where they may be large (feature nrext64); no slot holds 256, so the last byte is all of it. */
function countOf(words: Uint32Array, slot: number, large: boolean): number {
  if (large && words[slot + 6] !== 0) return TOO_MANY;
  const count = words[large ? slot + 7 : slot + 19]!;
  return (count & 0xff_ffff) === 0 ? count >>> 24 : TOO_MANY;
}

/** Extents of the attribute fork. */
function moreOf(words: Uint32Array, slot: number, large: boolean): number {
  if (!large) return ((words[slot + 20]! & 0xff) << 8) | ((words[slot + 20]! >>> 8) & 0xff);
  const count = words[slot + 19]!;
  return (count & 0xff_ffff) === 0 ? count >>> 24 : TOO_MANY;
}

function looksUsed(head: number): boolean {
  return (head & 0xffff) === MAGIC && head >>> 16 !== 0;
}

/** Marks blocks that are numbered as this map numbers them, by the numbers of the media. */
function markPlain(
  marked: CoarseBits,
  { agBlocks, agBlockBits }: Superblock,
  run: { readonly block: number; readonly count: number },
): void {
  const end = run.block + run.count;
  for (let block = run.block; block < end;) {
    const ag = Math.floor(block / agBlocks);
    const stop = Math.min(end, (ag + 1) * agBlocks);
    marked.mark(ag * 2 ** agBlockBits + block - ag * agBlocks, stop - block);
    block = stop;
  }
}
