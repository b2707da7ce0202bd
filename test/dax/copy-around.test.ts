/** Edges of copy-on-write, and unshare, as fs/dax.c has them. */
import { expect, test } from "vitest";
import { MediaError, StorageError } from "../../src/base/index.ts";
import { copyAround, unshareRange } from "../../src/dax/index.ts";
import { content, expectBytes, listed, PAGE, testFile } from "./support/dax-file.ts";

/** Where new blocks are: the device's second half. */
const NEW = PAGE * 8;
const RANGE = { offset: PAGE + 100, length: PAGE * 2 };

test("copyAround() copies head and tail of the pages, and nothing between", () => {
  const file = testFile();
  copyAround(file, RANGE, { direct: file.direct, offset: NEW });
  const wanted = content(0, file.bytes.length);
  wanted.set(content(PAGE, 100), NEW);
  const end = RANGE.offset + RANGE.length;
  wanted.set(content(end, PAGE * 4 - end), NEW + end - PAGE);
  expectBytes(file.bytes, wanted);
});

test("copyAround() of whole pages copies nothing", () => {
  const file = testFile();
  copyAround(file, { offset: PAGE, length: PAGE }, { direct: file.direct, offset: NEW });
  expectBytes(file.bytes, content(0, file.bytes.length));
});

test("copyAround() is EIO where the source is known to be bad, in an edge or under the write, and stores nothing", () => {
  for (const offset of [PAGE, PAGE * 2, PAGE * 4 - 1]) {
    const file = testFile();
    file.device.inject({ offset, length: 1 });
    const before = file.bytes.slice();
    const copy = (): void => copyAround(file, RANGE, { direct: file.direct, offset: NEW });
    expect(copy).toThrow(MediaError);
    expectBytes(file.bytes, before);
  }
});

test("copyAround() is EIO where an edge is latently bad, which is known then; under the write it meets nothing", () => {
  for (const [offset, isEdge] of [
    [PAGE, true],
    [PAGE * 4 - 1, true],
    [PAGE * 2, false],
  ] as const) {
    const file = testFile();
    const bad = file.device.inject({ offset, length: 1 }, { latent: true });
    const before = file.bytes.slice();
    const copy = (): void => copyAround(file, RANGE, { direct: file.direct, offset: NEW });
    if (!isEdge) {
      copy();
      expect(listed(file)).toEqual([]);
      continue;
    }
    expect(copy).toThrow(MediaError);
    expect(listed(file)).toEqual([[bad.offset, bad.length]]);
    expectBytes(file.bytes, before);
  }
});

test("copyAround() gives zeros for holes, unwritten extents and what lies behind the last extent", () => {
  const file = testFile({
    extents: [
      { offset: 0, length: PAGE, kind: "hole" },
      { offset: PAGE, length: PAGE, kind: "unwritten", device: 0 },
    ],
  });
  file.device.inject({ offset: 0, length: 1 });
  copyAround(file, { offset: 10, length: PAGE }, { direct: file.direct, offset: NEW });
  const fresh = file.bytes.subarray(NEW, NEW + PAGE * 2);
  expectBytes(fresh.subarray(0, 10), new Uint8Array(10));
  expectBytes(fresh.subarray(10, PAGE + 10), content(NEW + 10, PAGE));
  expectBytes(fresh.subarray(PAGE + 10), new Uint8Array(PAGE - 10));
});

test("copyAround() refuses an edge whose place nobody knows", () => {
  const file = testFile({ extents: [{ offset: 0, length: PAGE, kind: "unknown" }] });
  const copy = (): void =>
    copyAround(file, { offset: 1, length: 1 }, { direct: file.direct, offset: NEW });
  expect(copy).toThrow(StorageError);
});

test("unshareRange() copies whole pages, and refuses parts of pages", () => {
  const file = testFile();
  const blocks = { direct: file.direct, offset: NEW };
  unshareRange(file, { offset: PAGE, length: PAGE * 2 }, blocks);
  expectBytes(file.bytes.subarray(NEW, NEW + PAGE * 2), content(PAGE, PAGE * 2));
  expect(() => unshareRange(file, { offset: 1, length: PAGE }, blocks)).toThrow(RangeError);
});

test("unshareRange() is EIO where source or new blocks are bad, and recovers nothing", () => {
  for (const [offset, latent] of [
    [PAGE + 5, false],
    [PAGE + 5, true],
    [NEW + 5, false],
  ] as const) {
    const file = testFile();
    const bad = file.device.inject({ offset, length: 1 }, { latent });
    const blocks = { direct: file.direct, offset: NEW };
    expect(() => unshareRange(file, { offset: PAGE, length: PAGE }, blocks)).toThrow(MediaError);
    expect(listed(file)).toEqual([[bad.offset, bad.length]]);
  }
});
