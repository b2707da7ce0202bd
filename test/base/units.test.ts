/** What units promises. */
import { describe, expect, test } from "vitest";
import {
  formatSize,
  isPowerOfTwo,
  MAX_OFFSET,
  parseSize,
  roundDown,
  roundUp,
} from "../../src/base/index.ts";

describe("units", () => {
  test("roundDown() and roundUp() are exact up to 2^53", () => {
    expect([roundDown(MAX_OFFSET, 512), roundUp(MAX_OFFSET, 512)]).toEqual([
      2 ** 53 - 512,
      2 ** 53,
    ]);
    expect([roundDown(1024, 512), roundUp(1024, 512), roundUp(0, 512)]).toEqual([1024, 1024, 0]);
  });

  test("isPowerOfTwo() tells powers from their neighbours up to 2^53", () => {
    for (let power = 2; power <= 52; power += 1) {
      expect([isPowerOfTwo(2 ** power), isPowerOfTwo(2 ** power + 1)]).toEqual([true, false]);
    }
    for (const value of [MAX_OFFSET, 0, -2, 0.5, 3, Number.NaN])
      expect(isPowerOfTwo(value)).toBe(false);
  });

  test.each([
    ["4096", 4096],
    ["0", 0],
    ["0x1000", 4096],
    ["64K", 65_536],
    ["4KiB", 4096],
    ["1kb", 1024],
    ["10B", 10],
    ["1.5G", 1.5 * 2 ** 30],
    ["8s", 4096],
    ["1.5s", 768],
    ["7P", 7 * 2 ** 50],
    ["9007199254740991", MAX_OFFSET],
    ["0x1fffffffffffff", MAX_OFFSET],
  ])("parseSize(%j) is %d", (text, bytes) => {
    expect(parseSize(text)).toBe(bytes);
  });

  test.each([
    "",
    "K",
    "-1",
    "1e3",
    " 1",
    "1 K",
    "1.",
    ".5K",
    "0x",
    "0x1K",
    "1.3K",
    "0.5",
    "1KK",
    "NaN",
    "8P",
    "9007199254740992",
    "9007199254740991.4",
    "1.0000000000000000000001K",
    "0x20000000000001",
    "9".repeat(100_000),
  ])("parseSize() refuses what is no whole number of bytes below 2^53 (%#)", (text) => {
    expect(() => parseSize(text)).toThrow(RangeError);
  });

  test.each([
    [0, "0 B"],
    [1023, "1023 B"],
    [1024, "1.0 KiB"],
    [1.5 * 2 ** 30, "1.5 GiB"],
    [102_399, "100 KiB"],
    [2 ** 20 - 1, "1.0 MiB"],
    [1023 * 1024, "1023 KiB"],
    [2 ** 53, "8.0 PiB"],
  ])("formatSize(%d) is %j", (bytes, text) => {
    expect(formatSize(bytes)).toBe(text);
  });
});
