/** Bitmap: a bit for each of so many things, asked and changed by runs. Runs are half-open, inside the map, and not empty. */

/** Bits, all clear at first. */
export class Bitmap {
  readonly #words: Int32Array;

  /** @param count bits, from 1 */
  constructor(count: number) {
    this.#words = new Int32Array(Math.ceil(count / 32));
  }

  /** Whether any bit of `[from, to)` is set. */
  hasAny(from: number, to: number): boolean {
    const words = this.#words;
    const last = (to - 1) >>> 5;
    let word = from >>> 5;
    let mask = headMask(from);
    for (; word < last; word += 1, mask = -1) {
      if ((words[word]! & mask) !== 0) return true;
    }
    return (words[last]! & mask & tailMask(to)) !== 0;
  }

  /** Whether every bit of `[from, to)` is set. */
  hasAll(from: number, to: number): boolean {
    const words = this.#words;
    const last = (to - 1) >>> 5;
    let word = from >>> 5;
    let mask = headMask(from);
    for (; word < last; word += 1, mask = -1) {
      if ((~words[word]! & mask) !== 0) return false;
    }
    return (~words[last]! & mask & tailMask(to)) === 0;
  }

  /** Sets every bit of `[from, to)`. */
  set(from: number, to: number): void {
    this.#change(from, to, true);
  }

  /** Clears every bit of `[from, to)`. */
  clear(from: number, to: number): void {
    this.#change(from, to, false);
  }

  #change(from: number, to: number, on: boolean): void {
    const words = this.#words;
    const last = (to - 1) >>> 5;
    let word = from >>> 5;
    let mask = headMask(from);
    if (word < last) {
      words[word] = on ? words[word]! | mask : words[word]! & ~mask;
      word += 1;
      mask = -1;
      words.fill(on ? -1 : 0, word, last);
    }
    mask &= tailMask(to);
    words[last] = on ? words[last]! | mask : words[last]! & ~mask;
  }
}

/** The bits of a word from that of `from` on. */
function headMask(from: number): number {
  return -1 << (from & 31);
}

/** The bits of a word up to and with that of `to - 1`. */
function tailMask(to: number): number {
  return -1 >>> (31 - ((to - 1) & 31));
}
