/** RangeChunk: up to a few hundred sorted ranges in one Float64Array. */

/** At most two ranges that take the place of others; made once and filled again, so that a change allocates nothing. */
export class Pieces {
  count = 0;
  /** Start and end of the first piece, start and end of the second. */
  readonly bounds: Float64Array = new Float64Array(4);

  clear(): void {
    this.count = 0;
  }

  push(start: number, end: number): void {
    this.bounds[2 * this.count] = start;
    this.bounds[2 * this.count + 1] = end;
    this.count += 1;
  }

  /** Takes the first piece away; the second moves up. */
  dropFirst(): void {
    this.bounds.copyWithin(0, 2, 4);
    this.count = Math.max(0, this.count - 1);
  }
}

/** Below this many elements a loop is quicker than the call of `copyWithin`. */
const SHORT_MOVE = 24;

/**
 * Sorted ranges that neither touch nor overlap. All starts stand before all ends, because a search reads starts only
 * and each cache line it fetches should hold eight of them.
 */
export class RangeChunk {
  /** Starts from 0, ends from `capacity`, `count` of each. */
  bounds: Float64Array;
  capacity: number;
  count = 0;
  /** Bytes in all ranges. */
  byteLength = 0;
  readonly #limit: number;

  /** @param limit most ranges that it may hold; @param capacity ranges that it has room for at first */
  constructor(limit: number, capacity: number) {
    this.#limit = limit;
    this.capacity = capacity;
    this.bounds = new Float64Array(2 * capacity);
  }

  /** A copy that shares nothing. */
  clone(): RangeChunk {
    const copy = new RangeChunk(this.#limit, 0);
    copy.bounds = this.bounds.slice();
    copy.capacity = this.capacity;
    copy.count = this.count;
    copy.byteLength = this.byteLength;
    return copy;
  }

  /** Puts a range behind all others; there must be room. */
  push(start: number, end: number): void {
    this.bounds[this.count] = start;
    this.bounds[this.capacity + this.count] = end;
    this.count += 1;
    this.byteLength += end - start;
  }

  /** The last range that starts at or before `key` among `index` and the seven behind it, or -1: look-ups often ascend. */
  findFrom(index: number, key: number): number {
    const { bounds, count } = this;
    if (index < 0 || index >= count || bounds[index]! > key) return -1;
    for (let at = index; at < index + 8; at += 1) {
      if (at + 1 >= count || bounds[at + 1]! > key) return at;
    }
    return -1;
  }

  /** Puts the pieces in the place of the ranges from `from` up to `to`; grows and shrinks by about an eighth. */
  replace(from: number, to: number, pieces: Pieces): void {
    const count = this.count - (to - from) + pieces.count;
    for (let at = from; at < to; at += 1) this.byteLength -= this.#lengthAt(at);
    if (count > this.capacity) this.#resize(count);
    this.#move(to, from + pieces.count);
    for (let at = 0; at < pieces.count; at += 1) {
      this.bounds[from + at] = pieces.bounds[2 * at]!;
      this.bounds[this.capacity + from + at] = pieces.bounds[2 * at + 1]!;
      this.byteLength += pieces.bounds[2 * at + 1]! - pieces.bounds[2 * at]!;
    }
    this.count = count;
    if (to - from > pieces.count && count * 4 + 32 < this.capacity * 3) this.#resize(count);
  }

  /** Moves the ranges from `index` on into a new chunk. */
  split(index: number): RangeChunk {
    const moved = this.count - index;
    const right = new RangeChunk(this.#limit, roomFor(moved, this.#limit));
    right.absorb(this, index);
    this.count = index;
    this.byteLength -= right.byteLength;
    this.#resize(index);
    return right;
  }

  /** Copies the ranges of a chunk behind this one, from its `index` on, to the end of this one. */
  absorb(other: RangeChunk, index = 0): void {
    if (this.count + other.count - index > this.capacity) {
      this.#resize(this.count + other.count - index);
    }
    for (let at = index; at < other.count; at += 1) {
      this.push(other.bounds[at]!, other.bounds[other.capacity + at]!);
    }
  }

  #lengthAt(index: number): number {
    return this.bounds[this.capacity + index]! - this.bounds[index]!;
  }

  /** Moves the ranges from `from` on so that they begin at `to`. */
  #move(from: number, to: number): void {
    if (from === to) return;
    const { bounds, capacity, count } = this;
    if (to > from && count - from <= SHORT_MOVE) {
      for (let at = count - 1; at >= from; at -= 1) {
        bounds[at + to - from] = bounds[at]!;
        bounds[capacity + at + to - from] = bounds[capacity + at]!;
      }
      return;
    }
    bounds.copyWithin(to, from, count);
    bounds.copyWithin(capacity + to, capacity + from, capacity + count);
  }

  /** Makes room for `count` ranges and about an eighth more. */
  #resize(count: number): void {
    const capacity = roomFor(count, this.#limit);
    const bounds = new Float64Array(2 * capacity);
    const kept = Math.min(this.count, capacity);
    bounds.set(this.bounds.subarray(0, kept));
    bounds.set(this.bounds.subarray(this.capacity, this.capacity + kept), capacity);
    this.bounds = bounds;
    this.capacity = capacity;
  }
}

/** Ranges to make room for where `count` are needed: an eighth more, so that memory stays within that of the need. */
function roomFor(count: number, limit: number): number {
  return Math.max(count, Math.min(limit, count + Math.max(4, count >>> 3)));
}
