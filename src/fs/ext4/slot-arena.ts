/** Slot arena: copies of inode slots in few large buffers: a buffer for each would cost more in garbage collection than the scan. */

const SLOTS_PER_PAGE = 256;

/** Slots of one size, by the order in which they came. */
export class SlotArena {
  readonly #words: number;
  readonly #pages: Uint32Array[] = [];
  #count = 0;

  /** @param slotSize bytes of a slot */
  constructor(slotSize: number) {
    this.#words = slotSize >>> 2;
  }

  /** Copies the slot at word `at` of a chunk. @returns its index */
  add(words: Uint32Array, at: number): number {
    const index = this.#count;
    const size = this.#words;
    const place = (index % SLOTS_PER_PAGE) * size;
    if (place === 0) this.#pages.push(new Uint32Array(SLOTS_PER_PAGE * size));
    const page = this.#pages[this.#pages.length - 1]!;
    // A loop, because a view of so few words costs more than their copy.
    for (let word = 0; word < size; word += 1) page[place + word] = words[at + word]!;
    this.#count = index + 1;
    return index;
  }

  /** The bytes of a slot, as they were when it was added. */
  slot(index: number): Uint8Array {
    const page = this.#pages[Math.floor(index / SLOTS_PER_PAGE)]!;
    const size = this.#words * 4;
    return new Uint8Array(page.buffer, (index % SLOTS_PER_PAGE) * size, size);
  }

  /** One word of a slot. */
  word(index: number, word: number): number {
    const page = this.#pages[Math.floor(index / SLOTS_PER_PAGE)]!;
    return page[(index % SLOTS_PER_PAGE) * this.#words + word]!;
  }
}
