/** BlockIndex: beside a sorted map. */
import { expect, test } from "vitest";
import { createPrng } from "../../../../src/base/index.ts";
import { BlockIndex } from "../../../../src/mapper/targets/writecache/block-index.ts";
import { randomSeed } from "../../../base/seed.ts";

const seed = randomSeed();

test("BlockIndex gives what a sorted map gives, through splits of its chunks and back", () => {
  const prng = createPrng(seed);
  const index = new BlockIndex();
  const map = new Map<number, number>();
  for (const [limit, steps, keep] of [
    [40, 500, 0.5],
    [20_000, 12_000, 0.9],
    [20_000, 20_000, 0.1],
  ] as const) {
    for (let step = 0; step < steps; step += 1) {
      const block = prng.below(limit);
      if (prng.chance(keep)) {
        index.set(block, step);
        map.set(block, step);
      } else {
        index.delete(block);
        map.delete(block);
      }
    }
    expect(index.size).toBe(map.size);
    const sorted = [...map.keys()].sort((one, other) => one - other);
    const walked: number[] = [];
    for (let at = index.from(0); at !== Infinity; at = index.from(at + 1)) walked.push(at);
    expect(walked).toEqual(sorted);
    for (let block = 0; block < limit; block += 7) {
      expect(index.get(block)).toBe(map.get(block) ?? -1);
      expect(index.from(block)).toBe(sorted.find((one) => one >= block) ?? Infinity);
    }
  }
});

test("BlockIndex: empty, nothing is found, and deleting changes nothing", () => {
  const index = new BlockIndex();
  index.delete(3);
  expect([index.size, index.get(3), index.from(0)]).toEqual([0, -1, Infinity]);
});
