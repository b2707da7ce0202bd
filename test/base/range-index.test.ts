/** What range-index promises: the chunk and the sample of every key, whatever was inserted, removed and changed before. */
import { expect, test } from "vitest";
import { createPrng } from "../../src/base/index.ts";
import { RangeChunk } from "../../src/base/range-chunk.ts";
import { RangeIndex } from "../../src/base/range-index.ts";
import { randomSeed } from "./seed.ts";

const LIMIT = 100;
/** From one start to the next. */
const GAP = 10;
/** Starts of a chunk lie within so many bytes of its first. */
const SPAN = 1000;

function chunkAt(first: number, count: number): RangeChunk {
  const chunk = new RangeChunk(LIMIT, LIMIT);
  for (let at = 0; at < count; at += 1) chunk.push(first + GAP * at, first + GAP * at + 1);
  return chunk;
}

/** Asks the index about keys at, in and behind every range, and compares with the chunks. */
function expectRight(index: RangeIndex, chunks: readonly RangeChunk[]): void {
  expect(index.find(-1)).toBe(-1);
  for (const [at, { bounds, capacity, count }] of chunks.entries()) {
    for (let range = 0; range < count; range += 1) {
      const start = bounds[range]!;
      expect([index.startOf(at, range), index.endOf(at, range)]).toEqual([
        start,
        bounds[capacity + range],
      ]);
      for (const key of [start, start + 1, start + GAP - 1])
        expect([index.find(key), index.findInside(at, key)]).toEqual([at, range]);
    }
  }
  expect(index.find(Number.MAX_SAFE_INTEGER)).toBe(chunks.length - 1);
}

test("find() and findInside() say where a key is after any inserts, removals and updates", () => {
  const random = createPrng(randomSeed());
  for (let round = 0; round < 20; round += 1) {
    let index = new RangeIndex(LIMIT);
    const chunks: RangeChunk[] = [];
    const places: number[] = [];
    for (let step = 0; step < 150; step += 1) {
      const kind = random.below(10);
      const place = random.below(400);
      const at = places.filter((other) => other < place).length;
      if (kind < 6 && !places.includes(place)) {
        const chunk = chunkAt(place * SPAN, 1 + random.below(LIMIT));
        places.splice(at, 0, place);
        chunks.splice(at, 0, chunk);
        index.insert(at, chunk, place * SPAN);
        index.update(at, chunk, 0);
      } else if (kind < 8 && at < chunks.length) {
        const to = Math.min(chunks.length, at + random.below(4));
        places.splice(at, to - at);
        chunks.splice(at, to - at);
        index.remove(at, to);
      } else if (kind === 8 && at < chunks.length) {
        const kept = random.below(chunks[at]!.count);
        chunks[at] = chunkAt(places[at]! * SPAN, kept + 1);
        index.update(at, chunks[at], kept);
      } else index = index.clone(chunks);
    }
    expectRight(index, chunks);
  }
});

test("push() notes every range, and every sixteenth start", () => {
  const index = new RangeIndex(LIMIT);
  const chunk = chunkAt(0, 50);
  index.insert(0, chunk, 0);
  for (let at = 0; at < chunk.count; at += 1) index.push(0, at, chunk.bounds[at]!);
  expectRight(index, [chunk]);
});

test("clone() shares nothing", () => {
  const index = new RangeIndex(LIMIT);
  const chunk = chunkAt(0, LIMIT);
  index.insert(0, chunk, 0);
  index.update(0, chunk, 0);
  const copy = index.clone([chunk]);
  const other = chunkAt(-SPAN, 3);
  copy.insert(0, other, -SPAN);
  copy.update(0, other, 0);
  copy.remove(1, 2);
  expectRight(index, [chunk]);
});
