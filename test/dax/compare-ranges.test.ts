/** What deduplication compares, as `dax_range_compare_iter` does. */
import { expect, test } from "vitest";
import { MediaError } from "../../src/base/index.ts";
import { compareRanges, ExtentTable } from "../../src/dax/index.ts";
import { PAGE, testFile } from "./support/dax-file.ts";

test("compareRanges() tells same bytes from others, at any offset", () => {
  const file = testFile();
  file.bytes.copyWithin(PAGE * 8, PAGE + 3, PAGE * 3 + 3);
  const one = { file, offset: PAGE + 3 };
  const other = { file, offset: PAGE * 8 };
  expect(compareRanges(one, other, PAGE * 2)).toBe(true);
  file.bytes[PAGE * 10 - 1]! ^= 1;
  expect(compareRanges(one, other, PAGE * 2)).toBe(false);
  expect(compareRanges(one, other, PAGE * 2 - 1)).toBe(true);
  expect(compareRanges(one, other, 0)).toBe(true);
});

test("compareRanges() is EIO where either is bad, known or latent", () => {
  for (const latent of [false, true]) {
    for (const offset of [PAGE + 100, PAGE * 8 + 100]) {
      const file = testFile();
      file.bytes.copyWithin(PAGE * 8, PAGE, PAGE * 2);
      file.device.inject({ offset, length: 1 }, { latent });
      const compare = (): boolean =>
        compareRanges({ file, offset: PAGE }, { file, offset: PAGE * 8 }, PAGE);
      expect(compare).toThrow(MediaError);
    }
  }
});

test("compareRanges() calls two holes the same, and a hole and zeros not, without touching the media", () => {
  const file = testFile();
  file.bytes.fill(0);
  file.device.inject({ offset: 0, length: 1 });
  const holes = {
    ...file,
    extents: new ExtentTable([
      { offset: 0, length: PAGE, kind: "hole" },
      { offset: PAGE, length: PAGE, kind: "unwritten", device: 0 },
    ]),
  };
  const hole = { file: holes, offset: 0 };
  expect(compareRanges(hole, { file: holes, offset: PAGE }, PAGE)).toBe(true);
  expect(compareRanges(hole, { file, offset: 0 }, PAGE)).toBe(false);
});
