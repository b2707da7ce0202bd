/** Zeroing: S26, and the rows of fs/dax.c's `dax_zero_iter`. */
import { expect, test } from "vitest";
import { MediaError, StorageError } from "../../src/base/index.ts";
import { zeroRange } from "../../src/dax/index.ts";
import { content, expectBytes, listed, PAGE, testFile } from "./support/dax-file.ts";

test("R4: zeroRange() of whole pages ends known poison in them", () => {
  const file = testFile();
  file.device.inject({ offset: PAGE + 512, length: 1 });
  file.device.inject({ offset: PAGE * 3 - 1, length: 1 });
  expect(zeroRange(file, { offset: PAGE, length: PAGE * 2 })).toBe(true);
  expect(listed(file)).toEqual([]);
  const into = new Uint8Array(PAGE * 4).fill(1);
  expect(file.direct.load(into, 0)).toBe(into.length);
  expect(into.subarray(PAGE, PAGE * 3).every((byte) => byte === 0)).toBe(true);
  expectBytes(into.subarray(0, PAGE), content(0, PAGE));
  expectBytes(into.subarray(PAGE * 3), content(PAGE * 3, PAGE));
});

test("zeroRange() of a part of a page with known poison is EIO, wherever in the page it is, and nothing changes", () => {
  for (const range of [
    { offset: PAGE + 100, length: 10 },
    { offset: PAGE, length: PAGE - 1 },
    { offset: PAGE + 1, length: PAGE - 1 },
  ]) {
    const file = testFile();
    const bad = file.device.inject({ offset: PAGE + 2048, length: 1 });
    const before = file.bytes.slice();
    expect(() => zeroRange(file, range)).toThrow(MediaError);
    expect(listed(file)).toEqual([[bad.offset, bad.length]]);
    expectBytes(file.bytes, before);
  }
});

test("zeroRange() zeros head and tail of good pages and touches nothing beside them", () => {
  const file = testFile();
  const range = { offset: PAGE - 7, length: PAGE + 20 };
  expect(zeroRange(file, range)).toBe(true);
  const wanted = content(0, file.size);
  wanted.fill(0, range.offset, range.offset + range.length);
  expectBytes(file.bytes, wanted);
});

test("zeroRange() keeps the pages before one that fails zeroed, as Linux", () => {
  const file = testFile();
  file.device.inject({ offset: PAGE * 2, length: 1 });
  expect(() => zeroRange(file, { offset: PAGE, length: PAGE + 1 })).toThrow(MediaError);
  expect(file.bytes.subarray(PAGE, PAGE * 2).every((byte) => byte === 0)).toBe(true);
});

test("R1: zeroRange() over latent poison alone clears nothing, as in Linux: the next load meets it", () => {
  const file = testFile();
  const bad = file.device.inject({ offset: PAGE + 64, length: 1 }, { latent: true });
  zeroRange(file, { offset: PAGE, length: PAGE });
  expect(listed(file)).toEqual([]);
  expect(file.direct.load(new Uint8Array(PAGE), PAGE)).toBe(64);
  expect(listed(file)).toEqual([[bad.offset, bad.length]]);
});

test("R5: zeroRange() where a clear is refused is EIO, and the list stays", () => {
  const file = testFile({ clear: "none" });
  const bad = file.device.inject({ offset: PAGE, length: 1 });
  expect(() => zeroRange(file, { offset: PAGE, length: PAGE })).toThrow(MediaError);
  expect(listed(file)).toEqual([[bad.offset, bad.length]]);
});

test("zeroRange() leaves holes and unwritten extents as they are, with what lies under them", () => {
  const file = testFile({
    extents: [
      { offset: 0, length: PAGE, kind: "hole" },
      { offset: PAGE, length: PAGE, kind: "unwritten", device: 0 },
    ],
  });
  const bad = file.device.inject({ offset: 0, length: 1 });
  const before = file.bytes.slice();
  expect(zeroRange(file, { offset: 5, length: PAGE })).toBe(false);
  expectBytes(file.bytes, before);
  expect(listed(file)).toEqual([[bad.offset, bad.length]]);
});

test("zeroRange() refuses inline and unknown parts before any byte moves", () => {
  for (const kind of ["inline", "unknown"] as const) {
    const last = { offset: PAGE, length: PAGE, kind };
    const file = testFile({
      extents: [
        { offset: 0, length: PAGE, kind: "data", device: 0 },
        kind === "inline" ? { ...last, device: PAGE } : last,
      ],
    });
    const before = file.bytes.slice();
    expect(() => zeroRange(file, { offset: 0, length: PAGE * 2 })).toThrow(StorageError);
    expect(() => zeroRange(file, { offset: 0, length: PAGE * 2 })).toThrow("EOPNOTSUPP");
    expectBytes(file.bytes, before);
  }
});
