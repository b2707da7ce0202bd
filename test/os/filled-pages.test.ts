/** Pages of a file that have their blocks. */
import { closeSync, ftruncateSync, mkdtempSync, openSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { FilledPages } from "../../src/os/filled-pages.ts";
import { mapFile, NodeFile, nodeFiles } from "../../src/os/index.ts";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "theriac-filled-"));
});
afterEach(() => {
  vi.restoreAllMocks();
  rmSync(folder, { recursive: true });
});

const SIZE = 1024 * 1024 + 100;

/** A sparse file with 64 KiB of data at 128 KiB. */
function sparse(): NodeFile {
  const path = join(folder, "sparse");
  const fd = openSync(path, "w");
  ftruncateSync(fd, SIZE);
  writeSync(fd, Buffer.alloc(65_536, 1), 0, 65_536, 131_072);
  closeSync(fd);
  return nodeFiles.open(path, { access: "write" }) as NodeFile;
}

test("FilledPages holds what was data, and pages that were written whole", () => {
  const file = sparse();
  const pages = new FilledPages(file, { offset: 0, length: SIZE });
  expect(pages.has(131_072, 65_536)).toBe(true);
  expect(pages.has(0, 1)).toBe(false);
  pages.noteWritten(100, 4096);
  expect(pages.has(0, 1)).toBe(false);
  pages.noteWritten(100, 8092);
  expect([pages.has(0, 4096), pages.has(4096, 4096), pages.has(8192, 1)]).toEqual([
    false,
    true,
    false,
  ]);
  expect(pages.has(131_071, 2)).toBe(false);
  expect(pages.has(5000, 0)).toBe(true);
  file.close();
});

test("FilledPages holds the file's last page once it was written up to its end", () => {
  const file = sparse();
  const pages = new FilledPages(file, { offset: 0, length: SIZE });
  pages.noteWritten(1024 * 1024, 99);
  expect(pages.has(1024 * 1024, 1)).toBe(false);
  pages.noteWritten(1024 * 1024, 100);
  expect(pages.has(1024 * 1024, 100)).toBe(true);
  file.close();
});

test("copyIn() writes through the file into a hole, and again where only a part of the page was written", () => {
  const file = sparse();
  const mapping = mapFile(file, { writable: true });
  const written = vi.spyOn(file, "writeSync");
  mapping?.copyIn(Buffer.alloc(100), 0);
  mapping?.copyIn(Buffer.alloc(100), 0);
  expect(written).toHaveBeenCalledTimes(2);
  mapping?.close();
  file.close();
});
