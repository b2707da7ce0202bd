/**
 * Slot filter: the way past nearly every slot of a scan, by its own words and one bitmap.
 *
 * A scan of a million inodes looks for the few that claim a wanted block. Here a plain file (all extents in the inode) is passed over where no extent and no
 * attribute touches a marked block: a wanted one, or one of static use, which no file may own. Everything else is shown to the visitor, which decides
 * exactly; so the bitmap may be coarse. The loop calls nothing but itself: it runs fast from the first chunk on, before anything around it is compiled.
 */
import { EXTENT_MAGIC, WRITTEN_LENGTH_MAX } from "./extent-tree.ts";
import { INODE_FLAGS, MAP_OFFSET, MODE } from "./inode.ts";
import type { Ext4Volume } from "./volume.ts";
import { CoarseBits } from "../coarse-bits.ts";
import type { BlockRun } from "../wanted-blocks.ts";

/** Bits that one extent is tested against; a longer one is shown. */
const TESTS_MAX = 64;
/** Entries that the 15 words of an inode hold. */
const ROOT_ENTRIES = 4;
/** First word of the map in a slot. */
const MAP = MAP_OFFSET / 4;

/** Which slots of a scan need a look. */
export class SlotFilter {
  readonly #bits: Uint32Array;
  /** Blocks of one bit, as a power of two. */
  readonly #shift: number;
  /** Blocks that the map tells of. */
  readonly #blocks: number;
  readonly #firstDataBlock: number;

  constructor(
    { superblock }: Pick<Ext4Volume, "superblock">,
    statics: Iterable<BlockRun>,
    wanted: Iterable<BlockRun>,
  ) {
    // Extents above 2^32 blocks are shown, whatever they are.
    const marked = new CoarseBits(Math.min(superblock.blockCount, 2 ** 32));
    for (const { block, count } of statics) marked.mark(block, count);
    for (const { block, count } of wanted) marked.mark(block, count);
    this.#bits = marked.words;
    this.#shift = marked.shift;
    this.#blocks = marked.blocks;
    this.#firstDataBlock = superblock.firstDataBlock;
  }

  /**
   * First word of the first slot that needs a look.
   *
   * @param words slots of one chunk, `stride` words each
   * @param range from the slot at word `at` on, before word `end`
   * @returns `end` where none does
   */
  next(
    words: Uint32Array,
    { at, end, stride }: { readonly at: number; readonly end: number; readonly stride: number },
  ): number {
    for (let slot = at; slot < end; slot += stride) {
      const mode = words[slot]! & 0xffff;
      if (mode === 0 && words[slot + 6]! >>> 16 === 0) continue;
      if ((mode & MODE.mask) === MODE.directory || this.#hasMarkedAttributes(words, slot))
        return slot;
      const flags = words[slot + 8]! & (INODE_FLAGS.extents | INODE_FLAGS.inlineData);
      if (flags === INODE_FLAGS.inlineData) continue;
      if ((flags & INODE_FLAGS.extents) === 0 || this.#mayTouch(words, slot)) return slot;
    }
    return end;
  }

  /** Whether the map in a slot is more than a leaf, or an extent of it may touch a marked block. */
  #mayTouch(words: Uint32Array, slot: number): boolean {
    const head = words[slot + MAP]!;
    const entries = head >>> 16;
    if ((head & 0xffff) !== EXTENT_MAGIC || entries > ROOT_ENTRIES) return true;
    if (words[slot + MAP + 1]! >>> 16 !== 0) return true;
    const bits = this.#bits;
    const shift = this.#shift;
    for (let at = slot + MAP + 4, end = at + entries * 3; at < end; at += 3) {
      const raw = words[at]!;
      if (raw >>> 16 !== 0) return true;
      const first = words[at + 1]!;
      const last = first + (raw > WRITTEN_LENGTH_MAX ? raw - WRITTEN_LENGTH_MAX : raw) - 1;
      if (last < first || last >= this.#blocks) return true;
      const lastBit = last >>> shift;
      let bit = first >>> shift;
      if (lastBit - bit > TESTS_MAX) return true;
      for (; bit <= lastBit; bit += 1)
        if (((bits[bit >>> 5]! >>> (bit & 31)) & 1) === 1) return true;
    }
    return false;
  }

  /**
   * Whether a directory in use is as plain as nearly all are, and right: its extents, all in the inode and written, are in order, inside the volume and on no
   * static metadata (as `whyNodeWrong` has it), and none is wanted.
   */
  isPlainDirectory(words: Uint32Array, slot: number): boolean {
    if (words[slot + 6]! >>> 16 === 0 || this.#hasMarkedAttributes(words, slot)) return false;
    const flags = words[slot + 8]! & (INODE_FLAGS.extents | INODE_FLAGS.inlineData);
    if (flags !== INODE_FLAGS.extents || this.#mayTouch(words, slot)) return false;
    const entries = words[slot + MAP]! >>> 16;
    const room = words[slot + MAP + 1]! & 0xffff;
    if (room === 0 || room > ROOT_ENTRIES || entries > room) return false;
    let next = 0;
    for (let at = slot + MAP + 3, end = at + entries * 3; at < end; at += 3) {
      const logical = words[at]!;
      const length = words[at + 1]! & 0xffff;
      if (length > WRITTEN_LENGTH_MAX || logical < next) return false;
      if (words[at + 2]! <= this.#firstDataBlock) return false;
      next = logical + length;
    }
    return next <= 2 ** 32;
  }

  /** Whether the block of an inode's attributes may be marked. */
  #hasMarkedAttributes(words: Uint32Array, slot: number): boolean {
    const block = words[slot + 26]!;
    if (words[slot + 29]! >>> 16 !== 0) return true;
    if (block === 0) return false;
    const bit = block >>> this.#shift;
    return block >= this.#blocks || ((this.#bits[bit >>> 5]! >>> (bit & 31)) & 1) === 1;
  }
}
