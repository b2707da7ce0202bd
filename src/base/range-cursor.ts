/** RangeCursor: a walk over a range set, upwards, that makes no object for a range. */
import type { RangeStore } from "./range-store.ts";

/**
 * A walk over the ranges of a set from an offset on.
 *
 *     const cursor = set.cursor();
 *     while (cursor.next()) total += cursor.end - cursor.start;
 *
 * The set may change meanwhile: the walk goes on behind the last byte it gave, over the set as it then is. No byte comes
 * twice, and what comes is in the set at that moment.
 */
export class RangeCursor {
  /** First byte of the range, after a `next` that said true. */
  start = 0;
  /** First byte behind it. */
  end = 0;
  readonly #store: RangeStore;
  #version = -1;
  #chunk = 0;
  #index = 0;

  /** RangeSet makes them: `set.cursor(offset)`. */
  constructor(store: RangeStore, offset: number) {
    this.#store = store;
    this.end = offset;
  }

  /** Moves to the next range, clipped to begin at the offset given; says whether there is one. */
  next(): boolean {
    const store = this.#store;
    if (this.#version === store.version) this.#index += 1;
    else this.#settle();
    let chunk = store.chunks[this.#chunk];
    if (chunk !== undefined && this.#index >= chunk.count) {
      this.#chunk += 1;
      this.#index = 0;
      chunk = store.chunks[this.#chunk];
    }
    if (chunk === undefined) return false;
    this.start = Math.max(this.end, chunk.bounds[this.#index]!);
    this.end = chunk.bounds[chunk.capacity + this.#index]!;
    return true;
  }

  /** Finds the first range that ends behind `end` in the set as it is now. */
  #settle(): void {
    const store = this.#store;
    const inside = store.seek(this.end) && store.end > this.end;
    this.#chunk = store.chunkAt;
    this.#index = inside ? store.indexAt : store.indexAt + 1;
    this.#version = store.version;
  }
}
