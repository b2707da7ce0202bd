/** MediaDevice.borrow(): bytes are lent only where every one of them is data (R1). */
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createPrng } from "../../src/base/index.ts";
import { createMemoryDevice, openDevice } from "../../src/device/index.ts";
import { fillMarker } from "../../src/device/marker.ts";

let folder = "";
let path = "";
const bytes = createPrng(1).bytes(1024 * 1024);
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "theriac-borrow-"));
  path = join(folder, "image");
  writeFileSync(path, bytes);
});
afterEach(() => rmSync(folder, { recursive: true }));

describe("MediaDevice.borrow()", () => {
  test("lends what is clean, without a copy", async () => {
    const device = openDevice(path, { map: true });
    const lent = await device.borrow({ offset: 65_536, length: 131_072 });
    expect(Buffer.compare(lent ?? new Uint8Array(), bytes.subarray(65_536, 196_608))).toBe(0);
    const again = await device.borrow({ offset: 65_536, length: 131_072 });
    expect(again?.buffer).toBe(lent?.buffer);
    device.close();
  });

  test("lends nothing of an image that is not mapped", async () => {
    const device = openDevice(path);
    expect(await device.borrow({ offset: 0, length: 4096 })).toBe(undefined);
    device.close();
  });

  test("R1: lends nothing that a list names", async () => {
    const poison = [{ offset: 70_000, length: 1, state: "poisoned" as const }];
    const device = openDevice(path, { map: true, poison });
    expect(await device.borrow({ offset: 65_536, length: 65_536 })).toBe(undefined);
    expect(await device.borrow({ offset: 131_072, length: 65_536 })).toBeDefined();
    device.close();
  });

  test("R1: lends nothing that holds a marker of lost bytes", async () => {
    const marked = Uint8Array.from(bytes);
    fillMarker(marked.subarray(65_536, 65_600), 65_536);
    writeFileSync(path, marked);
    const device = openDevice(path, { map: true });
    expect(await device.borrow({ offset: 61_440, length: 8192 })).toBe(undefined);
    expect(await device.borrow({ offset: 131_072, length: 8192 })).toBeDefined();
    device.close();
  });

  test("R1: lends nothing over latent poison", async () => {
    const device = createMemoryDevice({
      bytes: Uint8Array.from(bytes),
      poisonUnit: 64,
      clearUnit: 64,
    });
    device.inject({ offset: 4096, length: 64 }, { latent: true });
    expect(await device.borrow({ offset: 0, length: 8192 })).toBe(undefined);
    expect(await device.borrow({ offset: 8192, length: 8192 })).toBeDefined();
    device.close();
  });

  test("lends nothing where the file became shorter, instead of ending the process", async () => {
    const device = openDevice(path, { map: true });
    expect(await device.borrow({ offset: 0, length: 4096 })).toBeDefined();
    truncateSync(path, 65_536);
    expect(await device.borrow({ offset: 524_288, length: 4096 })).toBe(undefined);
    device.close();
  });

  test("refuses a range past the end", async () => {
    const device = openDevice(path, { map: true });
    await expect(device.borrow({ offset: bytes.length, length: 1 })).rejects.toThrow(RangeError);
    device.close();
  });
});
