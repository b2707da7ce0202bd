/**
 * RangeIndex: which chunk of a range store a key belongs to, and which range of the chunk.
 *
 * It holds the first start of every chunk, and of every chunk a row of samples: every sixteenth start. Both are so much denser
 * than the ranges (at ten million 0.2 and 6.6 MB of 160 MB) that they stay in the processor's caches. A search that took its
 * steps in the chunk would miss the cache at most of them; from a sample it needs two neighbouring cache lines. It holds the
 * arrays of the chunks and their counts too: to ask the chunk itself for them would be one more miss, a sixth of a look-up.
 *
 * Rows keep their place when chunks are inserted and removed before them: `slots` says which row is a chunk's.
 */
import type { RangeChunk } from "./range-chunk.ts";
import { bisect, lastNotAbove } from "./range-search.ts";

/** Ranges of a sample: their starts are two cache lines. */
export const RANGES_PER_SAMPLE = 16;

/** So many look-ups must go the other way before the way changes, from either end. */
const TRUST_MAX = 8;

/** First starts and samples of the chunks of one store; places of `firsts` past the last chunk, of a row past its samples, are Infinity. */
export class RangeIndex {
  #count = 0;
  #firsts: Float64Array = new Float64Array(2).fill(Infinity);
  #slots: Uint32Array = new Uint32Array(1);
  /** Of every chunk its starts and ends, and how many it has. */
  #bounds: Float64Array[] = [];
  #counts: Uint32Array = new Uint32Array(1);
  #samples: Float64Array;
  readonly #width: number;
  /** Rows of removed chunks, and how many rows were ever taken. */
  #free: number[] = [];
  #taken = 0;
  /** Whether guesses in a chunk were close of late: from -TRUST_MAX, never, to TRUST_MAX, always. */
  #trust = 0;

  /** @param limit most ranges in a chunk */
  constructor(limit: number) {
    this.#width = Math.ceil(limit / RANGES_PER_SAMPLE);
    this.#samples = new Float64Array(this.#width);
  }

  /** A copy that shares nothing with this one; `chunks` are those of the copy's store. */
  clone(chunks: readonly RangeChunk[]): RangeIndex {
    const copy = new RangeIndex(this.#width * RANGES_PER_SAMPLE);
    copy.#count = this.#count;
    copy.#firsts = this.#firsts.slice();
    copy.#slots = this.#slots.slice();
    copy.#bounds = chunks.map(({ bounds }) => bounds);
    copy.#counts = this.#counts.slice();
    copy.#samples = this.#samples.slice();
    copy.#free = [...this.#free];
    copy.#taken = this.#taken;
    return copy;
  }

  /** Start of range `index` of chunk `at`. */
  startOf(at: number, index: number): number {
    return this.#bounds[at]![index]!;
  }

  /** End of range `index` of chunk `at`. */
  endOf(at: number, index: number): number {
    const bounds = this.#bounds[at]!;
    return bounds[(bounds.length >>> 1) + index]!;
  }

  /** Whether `key` belongs to chunk `at`; none is in an empty index. */
  holds(at: number, key: number): boolean {
    return this.#firsts[at]! <= key && key < this.#firsts[at + 1]!;
  }

  /** The chunk whose ranges `key` is at or behind the first of; -1 where it is before all. */
  find(key: number): number {
    const firsts = this.#firsts;
    const count = this.#count;
    const low = firsts[0]!;
    if (count === 0 || key < low) return -1;
    const share = (key - low) / (firsts[count - 1]! - low);
    return lastNotAbove(firsts, count, key, Math.min(count - 1, share * (count - 1)) | 0);
  }

  /**
   * Index in chunk `at`, which `key` belongs to, of the last range that starts at or before `key`.
   *
   * Where starts lie evenly a guess costs one cache miss. Where they lie in clusters it costs several and reads all over the chunk,
   * so that no part of it stays cached; the samples lead to the same few lines each time. Whether the guess would have been
   * close is known either way, and the next look-up goes the way that would have been the better of late.
   */
  findInside(at: number, key: number): number {
    const bounds = this.#bounds[at]!;
    const count = this.#counts[at]!;
    const first = this.#firsts[at]!;
    const next = this.#firsts[at + 1]!;
    const high = next === Infinity ? bounds[count - 1]! : next;
    const guess = Math.min(count - 1, (count * (key - first)) / (high - first)) | 0;
    let found: number;
    if (this.#trust >= 0) found = lastNotAbove(bounds, count, key, guess);
    else {
      const sample = this.#findSample(at, key);
      found = bisect(bounds, sample, Math.min(count, sample + RANGES_PER_SAMPLE), key);
    }
    const isClose = Math.abs(found - guess) < RANGES_PER_SAMPLE;
    if (isClose && this.#trust < TRUST_MAX) this.#trust += 1;
    if (!isClose && this.#trust > -TRUST_MAX) this.#trust -= 1;
    return found;
  }

  /** Index in chunk `at` of the last sample that is not above `key`; the range looked for is among the sixteen from there. */
  #findSample(at: number, key: number): number {
    const row = this.#slots[at]! * this.#width;
    return (bisect(this.#samples, row, row + this.#width, key) - row) * RANGES_PER_SAMPLE;
  }

  /** Puts a chunk before chunk `at`; its samples are noted by `update`, or `push` for one that is filled. */
  insert(at: number, chunk: RangeChunk, first: number): void {
    const count = this.#count;
    if (at === count) this.#bounds.push(chunk.bounds);
    else this.#bounds.splice(at, 0, chunk.bounds);
    if (count === this.#slots.length) this.#grow();
    this.#firsts.copyWithin(at + 1, at, count);
    this.#firsts[at] = first;
    this.#slots.copyWithin(at + 1, at, count);
    this.#counts.copyWithin(at + 1, at, count);
    this.#counts[at] = chunk.count;
    const slot = this.#free.pop() ?? this.#taken++;
    this.#slots[at] = slot;
    this.#samples.fill(Infinity, slot * this.#width, (slot + 1) * this.#width);
    this.#count += 1;
  }

  /** Forgets the chunks from `from` up to `to`. */
  remove(from: number, to: number): void {
    for (let at = from; at < to; at += 1) this.#free.push(this.#slots[at]!);
    const count = this.#count;
    this.#firsts.copyWithin(from, to, count);
    this.#slots.copyWithin(from, to, count);
    this.#bounds.splice(from, to - from);
    this.#counts.copyWithin(from, to, count);
    this.#count = count - (to - from);
    this.#firsts.fill(Infinity, this.#count, count);
  }

  /** Notes that a range with this start is about to be put behind the `count` ranges of chunk `at`. */
  push(at: number, count: number, start: number): void {
    this.#counts[at] = count + 1;
    if (count % RANGES_PER_SAMPLE !== 0) return;
    this.#samples[this.#slots[at]! * this.#width + count / RANGES_PER_SAMPLE] = start;
  }

  /** Notes that the ranges of chunk `at` changed from `index` on. */
  update(at: number, chunk: RangeChunk, index: number): void {
    const { bounds, count } = chunk;
    this.#bounds[at] = bounds;
    this.#counts[at] = count;
    const width = this.#width;
    const row = this.#slots[at]! * width;
    const used = Math.ceil(count / RANGES_PER_SAMPLE);
    let sample = Math.floor(index / RANGES_PER_SAMPLE);
    for (; sample < used; sample += 1) {
      this.#samples[row + sample] = bounds[sample * RANGES_PER_SAMPLE]!;
    }
    // What stands behind is Infinity from the first such place on.
    for (; sample < width && this.#samples[row + sample] !== Infinity; sample += 1) {
      this.#samples[row + sample] = Infinity;
    }
    if (index === 0 && count > 0) this.#firsts[at] = bounds[0]!;
  }

  /** Makes room for about an eighth more chunks. */
  #grow(): void {
    const count = this.#count;
    const room = count + 1 + (count >>> 3);
    const firsts = new Float64Array(room + 1).fill(Infinity, count);
    firsts.set(this.#firsts.subarray(0, count));
    this.#firsts = firsts;
    const slots = new Uint32Array(room);
    slots.set(this.#slots);
    this.#slots = slots;
    const counts = new Uint32Array(room);
    counts.set(this.#counts);
    this.#counts = counts;
    const samples = new Float64Array(room * this.#width);
    samples.set(this.#samples);
    this.#samples = samples;
  }
}
