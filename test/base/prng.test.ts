import { expect, test, vi } from "vitest";
import { createPrng, isPromise, systemClock } from "../../src/base/index.ts";

test("createPrng() gives the same stream for a seed, another for another", () => {
  const draw = (seed: number): number[] => {
    const random = createPrng(seed);
    return Array.from({ length: 20 }, () => random.below(2 ** 53));
  };
  expect(draw(7)).toEqual(draw(7));
  expect(draw(7)).not.toEqual(draw(8));
  expect(draw(7).every((value) => Number.isSafeInteger(value) && value >= 0)).toBe(true);
});

test("isPromise() knows promises of other makers, and no data", () => {
  // oxlint-disable-next-line unicorn/no-thenable -- a promise of another library
  const other = { then: () => 1 } as unknown as Promise<number>;
  expect([isPromise(Promise.resolve(1)), isPromise(other)]).toEqual([true, true]);
  expect([1, null, undefined, {}, "then"].map((value) => isPromise(value))).toEqual([
    false,
    false,
    false,
    false,
    false,
  ]);
});

test("sleep() of more than a timer takes does not end at once", async () => {
  vi.useFakeTimers();
  let done = false;
  const sleeping = systemClock.sleep(2 ** 31 + 5).then(() => (done = true));
  await vi.advanceTimersByTimeAsync(2 ** 31 + 4);
  expect(done).toBe(false);
  await vi.advanceTimersByTimeAsync(1);
  await sleeping;
  expect(done).toBe(true);
  vi.useRealTimers();
});
