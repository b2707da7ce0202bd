/** Where the C library cannot be had (`THERIAC_NATIVE=off`): lock files for flock, no mapping, no holes, and the same answers. */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";

let folder = "";
let path = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "theriac-plain-"));
  path = join(folder, "disk.img");
  vi.resetModules();
  vi.stubEnv("THERIAC_NATIVE", "off");
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true });
});

test("createImage() and openDevice() lock by a file, which close() takes away", async () => {
  const { createImage, openDevice } = await import("../../src/device/index.ts");
  const writer = createImage(path, { size: 65_536 });
  expect(existsSync(`${path}.lock`)).toBe(true);
  expect(() => openDevice(path)).toThrow(/EBUSY.*this process/);
  expect(() => openDevice(path, { access: "write" })).toThrow(/EBUSY/);
  writer.inject({ offset: 0, length: 64 });
  writer.close();
  expect(existsSync(`${path}.lock`)).toBe(false);
  writeFileSync(`${path}.lock`, "999999999\n");
  const again = openDevice(path, { access: "write", map: true });
  expect(again.direct).toBe(undefined);
  again.write(new Uint8Array(256).fill(1), 0);
  again.close();
  const reader = openDevice(path);
  const into = new Uint8Array(256);
  expect(reader.readSync(into, 0).missing).toEqual([]);
  expect(into.every((byte) => byte === 1)).toBe(true);
  reader.close();
});

test("dataRanges() says that all may be data, and mapFile() that there is no mapping", async () => {
  const { dataRanges, fillHoles, mapFile, nodeFiles } = await import("../../src/os/index.ts");
  writeFileSync(path, new Uint8Array(8192));
  const file = nodeFiles.open(path, { access: "write" });
  const whole = { offset: 0, length: 8192 };
  expect([...dataRanges(file, whole)]).toEqual([whole]);
  expect(mapFile(file, { writable: true })).toBe(undefined);
  fillHoles(file, whole);
  file.close();
});
