/**
 * RangeStore: sorted ranges in chunks, with an index of the chunks. What RangeSet stands on.
 *
 * A look-up finds the chunk in the index, then the range in the chunk: two searches in memory that is dense, because
 * at ten million ranges (160 MB) the cost of a look-up is its cache misses. A finger remembers where the last look-up ended;
 * the next one looks there first, so that ascending look-ups cost a few comparisons.
 *
 * A change touches the chunks it meets and no others. A full chunk is split in two, one that is a quarter full joins a
 * neighbour. A split also moves the index behind it: twelve bytes for every few hundred ranges, once every few hundred inserts.
 *
 * Between calls: starts ascend, ranges neither touch nor overlap, no chunk is empty, and the
 * index knows the first and every sixteenth start of each. Arguments are checked above, in RangeSet.
 */
import { Pieces, RangeChunk } from "./range-chunk.ts";
import { RangeIndex } from "./range-index.ts";

/** A place among the ranges: of a chunk, and in it. Index -1 is before the first range, `count` behind the chunk's last. */
interface Place {
  chunk: number;
  index: number;
}

/** The ranges of one set in chunks: starts and ends in typed arrays, with the first start of every chunk beside them. */
export class RangeStore {
  /** Number of ranges, and of the bytes in them. */
  size = 0;
  byteLength = 0;
  /** Changes whenever the ranges do; tells a walk that its place is stale. */
  version = 0;
  readonly chunks: RangeChunk[] = [];
  /** Most ranges in a chunk. */
  readonly limit: number;

  /** The finger: where the last `seek` ended. */
  chunkAt = 0;
  indexAt = -1;

  #index: RangeIndex;
  readonly #from: Place = { chunk: 0, index: 0 };
  readonly #to: Place = { chunk: 0, index: 0 };
  readonly #pieces = new Pieces();

  constructor(limit: number) {
    this.limit = limit;
    this.#index = new RangeIndex(limit);
  }

  /** A copy that shares nothing. */
  clone(): RangeStore {
    const copy = new RangeStore(this.limit);
    for (const chunk of this.chunks) copy.chunks.push(chunk.clone());
    copy.size = this.size;
    copy.byteLength = this.byteLength;
    copy.#index = this.#index.clone(copy.chunks);
    return copy;
  }

  /** Forgets every range; walks over them end. */
  clear(): void {
    this.#removeChunks(0, this.chunks.length);
    this.#index = new RangeIndex(this.limit);
    this.size = 0;
    this.byteLength = 0;
    this.version += 1;
  }

  /** Start of the range under the finger, after a `seek` that found one. */
  get start(): number {
    return this.#index.startOf(this.chunkAt, this.indexAt);
  }

  /** End of the range under the finger, after a `seek` that found one. */
  get end(): number {
    return this.#index.endOf(this.chunkAt, this.indexAt);
  }

  /** Moves the finger to the last range that starts at or before `key`; says whether there is one. */
  seek(key: number): boolean {
    const at = this.chunkAt;
    if (!this.#index.holds(at, key)) return this.#settle(this.#index.find(key), key);
    const found = this.chunks[at]!.findFrom(this.indexAt, key);
    if (found < 0) return this.#settle(at, key);
    this.indexAt = found;
    return true;
  }

  /** Moves the finger into chunk `at`, which `key` belongs to; -1 is before all. */
  #settle(at: number, key: number): boolean {
    this.chunkAt = Math.max(0, at);
    this.indexAt = at < 0 ? -1 : this.#index.findInside(at, key);
    return at >= 0;
  }

  /** Adds `[start, end)`, which is not empty; ranges that it touches become one with it. */
  add(start: number, end: number): void {
    if (this.#addBehind(start, end)) return;
    let first = start;
    let last = end;
    const found = this.seek(start);
    if (found && this.end >= end) return;
    setPlace(this.#from, this.chunkAt, this.indexAt + 1);
    if (found && this.end >= start) {
      first = this.start;
      this.#from.index -= 1;
    }
    if (this.seek(end)) last = Math.max(end, this.end);
    setPlace(this.#to, this.chunkAt, this.indexAt + 1);
    this.#pieces.clear();
    this.#pieces.push(first, last);
    this.#replace();
  }

  /** Adds a range behind all others where the last chunk has room: lists mostly ascend, and then nothing is looked up. */
  #addBehind(start: number, end: number): boolean {
    const chunk = this.chunks[this.chunks.length - 1];
    if (chunk === undefined || chunk.count >= chunk.capacity || chunk.count === 0) return false;
    if (start <= chunk.bounds[chunk.capacity + chunk.count - 1]!) return false;
    this.#index.push(this.chunks.length - 1, chunk.count, start);
    chunk.push(start, end);
    this.size += 1;
    this.byteLength += end - start;
    this.version += 1;
    return true;
  }

  /** Takes `[start, end)` out, which is not empty. */
  delete(start: number, end: number): void {
    if (!this.seek(end - 1)) return;
    const last = this.end;
    if (last <= start) return;
    setPlace(this.#to, this.chunkAt, this.indexAt + 1);
    this.#pieces.clear();
    const found = this.seek(start);
    setPlace(this.#from, this.chunkAt, this.indexAt + 1);
    if (found && this.end > start) {
      this.#from.index -= 1;
      if (this.start < start) this.#pieces.push(this.start, start);
    }
    if (last > end) this.#pieces.push(end, last);
    this.#replace();
  }

  /** Puts a range behind all others, from which it is apart. Chunks are filled to three quarters: changes may follow. */
  append(start: number, end: number): void {
    let chunk = this.chunks.at(-1);
    const full = Math.ceil((this.limit * 3) / 4);
    if (chunk === undefined || chunk.count >= full) {
      chunk = new RangeChunk(this.limit, full);
      this.#insertChunk(this.chunks.length, chunk, start);
    }
    this.#index.push(this.chunks.length - 1, chunk.count, start);
    chunk.push(start, end);
    this.size += 1;
    this.byteLength += end - start;
    this.version += 1;
  }

  /** Puts the pieces in the place of the ranges between the two places. */
  #replace(): void {
    const from = this.#from;
    const to = this.#to;
    this.version += 1;
    if (this.chunks.length === 0) this.#insertChunk(0, new RangeChunk(this.limit, 4), 0);
    if (from.chunk < to.chunk && from.index === this.chunks[from.chunk]!.count) {
      setPlace(from, from.chunk + 1, 0);
    }
    if (from.chunk === to.chunk) this.#replaceInside();
    else this.#replaceAcross();
  }

  /** Replaces ranges of one chunk. At most one more than before stands there afterwards, so one split is enough. */
  #replaceInside(): void {
    const from = this.#from;
    const chunk = this.chunks[from.chunk]!;
    const removed = this.#to.index - from.index;
    if (chunk.count - removed + this.#pieces.count > this.limit) this.#makeRoom(removed);
    this.#replaceIn(from.chunk, from.index, from.index + removed);
    this.chunkAt = from.chunk;
    this.indexAt = Math.min(from.index, this.chunks[from.chunk]!.count - 1);
    this.#tidy(from.chunk);
  }

  /** Splits the full chunk at `#from`, and moves `#from` to where it is then. */
  #makeRoom(removed: number): void {
    const from = this.#from;
    const chunk = this.chunks[from.chunk]!;
    if (from.index === chunk.count && from.chunk === this.chunks.length - 1) {
      // The input ascends: its next chunk gets all its room at once, and this one stays full.
      this.#insertChunk(from.chunk + 1, new RangeChunk(this.limit, this.limit), Infinity);
      setPlace(from, from.chunk + 1, 0);
      return;
    }
    const half = chunk.count >>> 1;
    const right = chunk.split(half);
    this.#index.update(from.chunk, chunk, half);
    this.#insertChunk(from.chunk + 1, right, right.bounds[0]!);
    this.#index.update(from.chunk + 1, right, 0);
    if (from.index + removed > half) setPlace(from, from.chunk + 1, from.index - half);
  }

  /** Replaces ranges of several chunks: the first keeps its front and the first piece, the last its back and the second. */
  #replaceAcross(): void {
    const first = this.#from.chunk;
    const last = this.#to.chunk;
    const tail = this.#to.index;
    const pieces = this.#pieces;
    const count = pieces.count;
    pieces.count = Math.min(1, count);
    this.#replaceIn(first, this.#from.index, this.chunks[first]!.count);
    pieces.count = count;
    pieces.dropFirst();
    this.#replaceIn(last, 0, tail);
    for (let at = first + 1; at < last; at += 1) {
      this.size -= this.chunks[at]!.count;
      this.byteLength -= this.chunks[at]!.byteLength;
    }
    this.#removeChunks(first + 1, last);
    this.#tidy(first + 1);
    this.#tidy(first);
  }

  /** Puts the pieces in the place of the ranges from `from` up to `to` of one chunk, and keeps the sums. */
  #replaceIn(at: number, from: number, to: number): void {
    const chunk = this.chunks[at]!;
    this.size -= chunk.count;
    this.byteLength -= chunk.byteLength;
    chunk.replace(from, to, this.#pieces);
    this.size += chunk.count;
    this.byteLength += chunk.byteLength;
    this.#index.update(at, chunk, from);
  }

  /** Removes an empty chunk, and joins one that is a quarter full with a neighbour where both fill three quarters at most. */
  #tidy(at: number): void {
    const { chunks, limit } = this;
    const count = chunks[at]!.count;
    if (count === 0) {
      this.#removeChunks(at, at + 1);
      return;
    }
    if (count * 4 > limit) return;
    for (const left of [at, at - 1]) {
      const one = chunks[left];
      const other = chunks[left + 1];
      if (one === undefined || other === undefined) continue;
      if ((one.count + other.count) * 4 > limit * 3) continue;
      const kept = one.count;
      one.absorb(other);
      this.#index.update(left, one, kept);
      this.#removeChunks(left + 1, left + 2);
      return;
    }
  }

  #insertChunk(at: number, chunk: RangeChunk, first: number): void {
    this.#index.insert(at, chunk, first);
    if (at === this.chunks.length) this.chunks.push(chunk);
    else this.chunks.splice(at, 0, chunk);
  }

  #removeChunks(from: number, to: number): void {
    if (from === to) return;
    this.#index.remove(from, to);
    this.chunks.splice(from, to - from);
    this.chunkAt = 0;
    this.indexAt = -1;
  }
}

function setPlace(place: Place, chunk: number, index: number): void {
  place.chunk = chunk;
  place.index = index;
}
