/** Mappings, holes and aligned memory. */
import {
  closeSync,
  ftruncateSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { AssertionError } from "../../src/base/index.ts";
import {
  alignedBuffer,
  dataRanges,
  fillHoles,
  mapFile,
  nodeFiles,
  WINDOW,
} from "../../src/os/index.ts";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "theriac-map-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

test("mapFile() shows the file, takes stores, and sees writes", () => {
  const path = join(folder, "a");
  writeFileSync(
    path,
    Uint8Array.from({ length: 5000 }, (_, at) => at % 200),
  );
  const file = nodeFiles.open(path, { access: "write" });
  const mapping = mapFile(file, { writable: true });
  expect(mapping?.size).toBe(5000);
  const view = mapping?.view({ offset: 4090, length: 910 }) as Uint8Array;
  expect(view.length).toBe(910);
  expect(view[0]).toBe(4090 % 200);
  view[1] = 77;
  file.writeSync(Uint8Array.of(78), 4092);
  expect(view[2]).toBe(78);
  expect(readFileSync(path)[4091]).toBe(77);
  expect(() => mapping?.view({ offset: 4999, length: 2 })).toThrow(RangeError);
  mapping?.close();
  mapping?.close();
  expect(() => mapping?.view({ offset: 0, length: 1 })).toThrow(AssertionError);
  expect(view[1]).toBe(77);
  file.close();
});

test("mapFile() ends a view with its window", () => {
  const path = join(folder, "sparse");
  const fd = openSync(path, "w");
  ftruncateSync(fd, WINDOW + 8192);
  writeSync(fd, "ab", WINDOW - 1);
  closeSync(fd);
  const file = nodeFiles.open(path);
  const mapping = mapFile(file, { writable: false });
  const end = mapping?.view({ offset: WINDOW - 1, length: 2 });
  expect(end?.length).toBe(1);
  expect(end?.[0]).toBe("a".charCodeAt(0));
  expect(mapping?.view({ offset: WINDOW, length: 8192 })[0]).toBe("b".charCodeAt(0));
  mapping?.close();
  file.close();
});

test("copyOut() and copyIn() cross windows: none shows as a short count", () => {
  const path = join(folder, "sparse");
  const fd = openSync(path, "w");
  ftruncateSync(fd, WINDOW + 8192);
  closeSync(fd);
  const file = nodeFiles.open(path, { access: "write" });
  const mapping = mapFile(file, { writable: true });
  const data = Uint8Array.from({ length: 12_288 }, (_, at) => 1 + (at % 250));
  for (let round = 0; round < 2; round += 1) {
    // The first round meets holes and goes through the file, the second goes through the mapping.
    data[5] = round;
    mapping?.copyIn(data, WINDOW - 6000);
    const read = new Uint8Array(data.length);
    file.readSync(read, WINDOW - 6000);
    expect(Buffer.compare(read, data)).toBe(0);
    mapping?.copyOut(read.fill(0), WINDOW - 6000);
    expect(Buffer.compare(read, data)).toBe(0);
  }
  mapping?.close();
  expect(() => mapping?.copyIn(data, 0)).toThrow(AssertionError);
  file.close();
});

test("dataRanges() covers every byte that is not zero, and fillHoles() leaves no hole", () => {
  const path = join(folder, "sparse");
  const fd = openSync(path, "w");
  ftruncateSync(fd, 4 * 1024 * 1024);
  writeSync(fd, "x", 1024 * 1024);
  writeSync(fd, "y", 3 * 1024 * 1024 + 17);
  closeSync(fd);
  const file = nodeFiles.open(path, { access: "write" });
  const whole = { offset: 0, length: 4 * 1024 * 1024 };
  const parts = [...dataRanges(file, whole)];
  for (const at of [1024 * 1024, 3 * 1024 * 1024 + 17]) {
    expect(parts.some((part) => part.offset <= at && at < part.offset + part.length)).toBe(true);
  }
  expect([...dataRanges(file, { offset: 0, length: 0 })]).toEqual([]);
  const before = readFileSync(path);
  fillHoles(file, whole);
  expect([...dataRanges(file, whole)]).toEqual([whole]);
  expect(Buffer.compare(readFileSync(path), before)).toBe(0);
  file.close();
});

test("alignedBuffer() gives zeroed memory of its length, and refuses what is no length", () => {
  const buffer = alignedBuffer(100_000);
  expect(buffer.length).toBe(100_000);
  expect(buffer.byteOffset).toBe(0);
  expect(buffer.every((byte) => byte === 0)).toBe(true);
  for (const length of [0, -1, 1.5, 2 ** 33])
    expect(() => alignedBuffer(length)).toThrow(RangeError);
});
