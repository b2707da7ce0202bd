/**
 * Name glance: whether names that matter may be in a block or an inode of a directory, by a look at its entries alone: the way past nearly all of them.
 *
 * Nothing is verified here: what says that it holds such a name, or cannot be told, is left to directory.ts, checksum and all.
 */
import { NAME_HEADERS, NAME_MAGICS } from "./directory.ts";
import type { InodeBits } from "./inode-bits.ts";
import type { Superblock } from "./superblock.ts";

/** Bytes of an entry beside its name, rounded up to eight: inode, length, and its own offset. */
const ENTRY = 8 + 1 + 2;

/** Glances at the directories of one volume. */
export class NameGlance {
  readonly #bits: InodeBits;
  /** First words of a block, low byte first. */
  readonly #single: number;
  readonly #data: number;
  /** Words before the first entry. */
  readonly #header: number;
  /** 1 where a kind stands behind each name. */
  readonly #kind: number;

  constructor({ features }: Superblock, bits: InodeBits) {
    const which = features.checksums ? 1 : 0;
    this.#bits = bits;
    this.#single = turned(NAME_MAGICS.single[which]);
    this.#data = turned(NAME_MAGICS.data[which]);
    this.#header = NAME_HEADERS[which] >>> 2;
    this.#kind = features.fileTypes ? 1 : 0;
  }

  /** Whether a block of `size` bytes, at word `first`, need not be looked at: all its entries are in order, and none matters. "." and ".." do not. */
  isNothing(words: Uint32Array, first: number, size: number): boolean {
    const end = first + this.#endOf(words, first, size);
    const bits = this.#bits;
    const beside = ENTRY + this.#kind + 7;
    let at = first + this.#header;
    if (at > end) return false;
    while (at < end) {
      const high = words[at]!;
      const low = words[at + 1]!;
      if ((high & 0xffff) === 0xffff) {
        // A gap: 0xffff, and its length.
        const length = ((high >>> 8) & 0xff00) | (high >>> 24);
        if (length === 0 || (length & 7) !== 0) return false;
        at += length >>> 2;
        continue;
      }
      const name = words[at + 2]!;
      const length = name & 0xff;
      if (length === 0) return false;
      at += ((length + beside) & 0x1f8) >>> 2;
      const dots = (name >>> 8) & 0xffff;
      if ((length === 1 && (dots & 0xff) === 0x2e) || (length === 2 && dots === 0x2e2e)) continue;
      const number = (low << 24) | ((low & 0xff00) << 8) | ((low >>> 8) & 0xff00) | (low >>> 24);
      if (bits.has(high === 0 ? 0 : turned(high), number)) return false;
    }
    return at === end;
  }

  /** Words of a block that hold entries; 0 where it is no block of names. */
  #endOf(words: Uint32Array, first: number, size: number): number {
    const magic = words[first]!;
    if (magic === this.#data) return size >>> 2;
    if (magic !== this.#single) return 0;
    // The hash table of a single block is behind the names, and its count at the end.
    const count = turned(words[first + (size >>> 2) - 2]!);
    return Math.max(0, (size >>> 2) - 2 - count * 2);
  }

  /** The same of a directory kept in an inode: `bytes[start, end)` is its fork. */
  isNothingInside(bytes: Uint8Array, start: number, end: number): boolean {
    const bits = this.#bits;
    const wide = bytes[start + 1] !== 0;
    const size = wide ? 8 : 4;
    let at = start + 2 + size;
    for (let left = bytes[start]!; left > 0; left -= 1) {
      const number = at + 3 + bytes[at]! + this.#kind;
      if (bytes[at] === 0 || number + size > end) return false;
      const high = wide ? numberAt(bytes, number) : 0;
      if (bits.has(high, numberAt(bytes, wide ? number + 4 : number))) return false;
      at = number + size;
    }
    return true;
  }
}

/** A word with its bytes in the other order. */
function turned(word: number): number {
  return ((word << 24) | ((word & 0xff00) << 8) | ((word >>> 8) & 0xff00) | (word >>> 24)) >>> 0;
}

function numberAt(bytes: Uint8Array, at: number): number {
  return (
    ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0
  );
}
