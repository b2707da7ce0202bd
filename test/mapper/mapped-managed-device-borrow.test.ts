/** MappedManagedDevice.borrow(): a stack lends what one leaf holds, and nothing that is bad there or lies in two. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createPrng } from "../../src/base/index.ts";
import { openImage } from "../../src/mapper/index.ts";

const SIZE = 1024 * 1024;
const bytes = createPrng(1).bytes(SIZE);
let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "theriac-borrow-"));
  writeFileSync(join(folder, "a.img"), bytes);
  writeFileSync(join(folder, "b.img"), bytes);
});
afterEach(() => rmSync(folder, { recursive: true }));

function stack(text: string): string {
  const path = join(folder, "s.stack");
  writeFileSync(path, `device a a.img\ndevice b b.img\n${text}`);
  return path;
}

describe("MappedManagedDevice.borrow()", () => {
  test("lends the bytes of the leaf that holds all of a range, and not of two", async () => {
    const path = stack("s: 0 1024 linear a 1024\ns: 1024 1024 linear b 0\n");
    const device = await openImage(path, { map: true });
    const lent = await device.borrow?.({ offset: 65_536, length: 4096 });
    const start = SIZE / 2 + 65_536;
    expect(Buffer.compare(lent ?? new Uint8Array(), bytes.subarray(start, start + 4096))).toBe(0);
    expect(await device.borrow?.({ offset: SIZE / 2 - 4096, length: 8192 })).toBe(undefined);
    await device.close();
  });

  test("R1: lends nothing that is bad in the leaf, or by a target over it", async () => {
    const path = stack("s: 0 1024 linear a 0\ns: 1024 1024 error\n");
    const poison = [{ offset: 8192, length: 64, state: "poisoned" as const }];
    const device = await openImage(path, { map: true, poison });
    expect(await device.borrow?.({ offset: 4096, length: 8192 })).toBe(undefined);
    expect(await device.borrow?.({ offset: SIZE / 2, length: 4096 })).toBe(undefined);
    expect(await device.borrow?.({ offset: 65_536, length: 4096 })).toBeDefined();
    await device.close();
  });
});
