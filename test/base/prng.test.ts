/** What prng promises. */
import { expect, test } from "vitest";
import { createPrng } from "../../src/base/index.ts";

test("createPrng() gives the same stream for a seed, another for another", () => {
  const draw = (seed: number): number[] => {
    const random = createPrng(seed);
    return Array.from({ length: 20 }, () => random.below(2 ** 53));
  };
  expect(draw(7)).toEqual(draw(7));
  expect(draw(7)).not.toEqual(draw(8));
  expect(draw(7).every((value) => Number.isSafeInteger(value) && value >= 0)).toBe(true);
});
