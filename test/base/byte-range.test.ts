/** What byte-range promises. */
import { expect, test } from "vitest";
import { alignIn, alignOut, checkRange, endOf, intersect } from "../../src/base/index.ts";

test("endOf() is the first byte behind", () => {
  expect(endOf({ offset: 2 ** 53 - 1, length: 1 })).toBe(2 ** 53);
});

test("intersect() gives what both hold, and nothing where they only touch", () => {
  expect(intersect({ offset: 0, length: 10 }, { offset: 5, length: 10 })).toEqual({
    offset: 5,
    length: 5,
  });
  expect(intersect({ offset: 0, length: 5 }, { offset: 5, length: 5 })).toBeUndefined();
});

test("alignOut() covers, alignIn() stays inside, both exact near 2^53", () => {
  const range = { offset: 2 ** 53 - 1000, length: 900 };
  expect(alignOut(range, 512)).toEqual({ offset: 2 ** 53 - 1024, length: 1024 });
  expect(alignIn(range, 256)).toEqual({ offset: 2 ** 53 - 768, length: 512 });
  expect(alignIn({ offset: 1, length: 10 }, 512).length).toBe(0);
});

test("checkRange() refuses what is no range, and what ends past the size even where the sum rounds", () => {
  expect(() => checkRange({ offset: 0, length: 10 }, 10)).not.toThrow();
  expect(() => checkRange({ offset: 1, length: 10 }, 10)).toThrow(RangeError);
  expect(() => checkRange({ offset: 2 ** 53 - 1, length: 2 }, 2 ** 53)).toThrow(RangeError);
  for (const bad of [-1, 0.5, Number.NaN, Infinity]) {
    expect(() => checkRange({ offset: bad, length: 1 }, 10)).toThrow(TypeError);
    expect(() => checkRange({ offset: 1, length: bad }, 10)).toThrow(TypeError);
  }
});
