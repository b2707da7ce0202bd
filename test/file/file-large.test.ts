/** Offsets past 4 GiB: a sparse image on the disk, and a file with a hole of a tebibyte; nothing of that size is ever in memory. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { ExtentTable } from "../../src/dax/index.ts";
import { createImage, createMemoryDevice, openDevice } from "../../src/device/index.ts";
import { openFile, RWF_RECOVERY_DATA, type Face } from "../../src/file/index.ts";
import { OpenedFile } from "../../src/file/opened-file.ts";

const PAGE = 4096;
const GIB = 2 ** 30;
const FACES: readonly Face[] = ["dax", "direct", "buffered"];

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "theriac-large-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

describe.each(FACES)("on the %s face", (face) => {
  test("preadv2() and pwritev2() reach, stop at and heal bytes past 4 GiB", async ({ skip }) => {
    const path = join(folder, "image");
    const size = 5 * GIB;
    createImage(path, { size }).close();
    const device = openDevice(path, { access: "write", map: face === "dax" });
    if (face === "dax" && device.direct === undefined) {
      device.close();
      skip("no mapping here: the native part cannot be loaded");
    }
    const file = await openFile(device, { face });
    // Across a border of mapped windows, and past what 32 bits hold.
    const at = 4 * GIB - PAGE;
    expect(await file.pwritev2(new Uint8Array(2 * PAGE).fill(7), at)).toBe(2 * PAGE);
    device.recordBad({ offset: at + PAGE + 512, length: 512 }, "poisoned");
    const into = new Uint8Array(4 * PAGE);
    expect(await file.preadv2(into, at, RWF_RECOVERY_DATA)).toBe(PAGE + 512);
    expect(
      await file.pwritev2(into.subarray(0, 512).fill(9), at + PAGE + 512, RWF_RECOVERY_DATA),
    ).toBe(512);
    expect(await file.preadv2(into, at)).toBe(4 * PAGE);
    expect([0, PAGE, PAGE + 512, PAGE + 1024, 2 * PAGE].map((place) => into[place])).toEqual([
      7, 7, 9, 7, 0,
    ]);
    expect(await file.preadv2(into, size - PAGE)).toBe(PAGE);
    device.close();
  });

  test("preadv2() of a file with a hole of a tebibyte", async () => {
    const hole = 2 ** 40;
    const device = createMemoryDevice({ bytes: new Uint8Array(4 * PAGE).fill(7) });
    const extents = new ExtentTable([
      { offset: 0, length: hole, kind: "hole" },
      { offset: hole, length: 4 * PAGE, kind: "data", device: 0 },
    ]);
    const place = { name: "file", size: extents.end, extents, isDevice: false, frozen: undefined };
    const cursor = { position: hole - PAGE };
    const file = new OpenedFile({ device, place, face, mode: "access", cursor });
    device.inject({ offset: 2 * PAGE, length: 64 });
    const into = new Uint8Array(8 * PAGE).fill(1);
    expect(await file.preadv2(into, -1, RWF_RECOVERY_DATA)).toBe(3 * PAGE);
    expect(file.position).toBe(hole + 2 * PAGE);
    expect([0, PAGE - 1, PAGE, 3 * PAGE].map((at) => into[at])).toEqual([0, 0, 7, 1]);
    expect(await file.pwritev2(into, hole + 2 * PAGE, RWF_RECOVERY_DATA).catch(String)).toContain(
      "EOPNOTSUPP",
    );
    const two = into.subarray(0, 2 * PAGE);
    expect(await file.pwritev2(two, -1, RWF_RECOVERY_DATA)).toBe(2 * PAGE);
    expect(file.position).toBe(hole + 4 * PAGE);
    expect(device.poison.empty).toBe(true);
  });

  test("offsets past 2^53 - 1 are the caller's mistake", async () => {
    const file = await openFile(createMemoryDevice({ size: 4 * PAGE }), { face });
    const into = new Uint8Array(512);
    await expect(file.preadv2(into, 2 ** 53)).rejects.toThrow(TypeError);
    expect(await file.preadv2(into, 2 ** 53 - 512)).toBe(0);
    await expect(file.pwritev2(into, 2 ** 53 - 512)).rejects.toMatchObject({ code: "ENOSPC" });
  });
});
