/** FilteredRangeSet: the same answers as any range set, and no look-up where the filter knows. */
import { afterEach, expect, test, vi } from "vitest";
import { createPrng, FilteredRangeSet, RangeSet } from "../../src/base/index.ts";
import { applyTo, expectLook, expectSame, RangeModel, type Step } from "./range-model.ts";
import { randomSeed } from "./seed.ts";

afterEach(() => vi.restoreAllMocks());

const KINDS = ["add", "add", "delete", "delete", "look", "look", "look"] as const;

/** Random steps on a window of a set, each followed by every question about its span. @returns the steps */
function compare(seed: number, extent: number, base: number): number {
  const prng = createPrng(seed);
  const size = 4000;
  const set = new FilteredRangeSet(extent);
  const model = new RangeModel(base, size);
  let count = 0;
  for (; count < 1500; count += 1) {
    const offset = prng.below(size);
    const length = prng.below(Math.min(prng.below(10) === 0 ? size : 200, size - offset + 1));
    const kind =
      prng.below(200) === 0 ? "clear" : (KINDS[prng.below(KINDS.length)] as Step["kind"]);
    const step: Step = { kind, offset, length };
    model.apply(step);
    applyTo(set, base, step);
    expectLook(set, model, step);
  }
  expectSame(set, model);
  return count;
}

test("FilteredRangeSet answers as an array of booleans does, in granules of 64 bytes", () => {
  expect(compare(randomSeed(), 4000, 0)).toBe(1500);
});

test("FilteredRangeSet answers as an array of booleans does past its extent", () => {
  expect(compare(randomSeed(), 1000, 0)).toBe(1500);
});

test("FilteredRangeSet answers as an array of booleans does in large granules, at the end of 1 TiB", () => {
  expect(compare(randomSeed(), 2 ** 40, 2 ** 40 - 4000)).toBe(1500);
});

test("R6: intersects() looks nothing up in granules that hold nothing, or no longer do", () => {
  const looked = vi.spyOn(RangeSet.prototype, "intersects");
  const set = new FilteredRangeSet(2 ** 30);
  expect(set.intersects(0, 4096)).toBe(false);
  set.add(8192, 100_000);
  expect(set.intersects(0, 8192)).toBe(false);
  expect(looked).not.toHaveBeenCalled();
  expect(set.intersects(8000, 8192)).toBe(true);
  set.delete(8192, 100_000);
  set.add(0, 1);
  looked.mockClear();
  expect(set.intersects(8192, 100_000)).toBe(false);
  expect(looked).not.toHaveBeenCalled();
});
