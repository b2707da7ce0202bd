/** Mapped files on an image of the machine: the same rules over a mapping of the system's. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { createImage, openDevice, type MediaDevice } from "../../src/device/index.ts";
import { openFile, RWF_RECOVERY_DATA } from "../../src/file/index.ts";
import { PAGE } from "../dax/support/dax-file.ts";
import { faultOf } from "./support/fault-of.ts";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "theriac-mapped-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

/** A mapped image with latent poison in page 2, or why there is none. */
function openMapped(skip: (note: string) => never): MediaDevice {
  const path = join(folder, "image");
  const made = createImage(path, { size: PAGE * 16 });
  made.write(new Uint8Array(PAGE * 16).fill(7), 0);
  made.inject({ offset: PAGE * 2 + 256, length: 1 }, { latent: true });
  made.close();
  const device = openDevice(path, { access: "write", map: true });
  if (device.direct !== undefined) return device;
  device.close();
  return skip("no mapping here: the native part cannot be loaded");
}

test("R1, R4: load() of a mapped image stops at poison, which outlives the session, until it is healed", async ({
  skip,
}) => {
  const device = openMapped(skip);
  const file = await openFile(device);
  const mapping = file.map();
  const into = new Uint8Array(PAGE * 2);
  expect(mapping.load(into, 0)).toBe(PAGE * 2);
  expect(into.every((byte) => byte === 7)).toBe(true);
  expect(faultOf(() => mapping.load(into, PAGE * 2)).copied).toBe(256);
  expect(faultOf(() => mapping.store(into, PAGE * 2)).copied).toBe(0);
  mapping.store(Uint8Array.of(1, 2, 3), PAGE * 5);
  await mapping.sync();
  mapping.close();
  device.close();

  const again = openDevice(join(folder, "image"), { access: "write", map: true });
  const reopened = await openFile(again);
  const second = reopened.map();
  expect(faultOf(() => second.load(into, PAGE * 2)).copied).toBe(0);
  expect(second.copyMc(into, PAGE * 2)).toBe(into.length - 256);
  await reopened.pwritev2(new Uint8Array(PAGE).fill(9), PAGE * 2, RWF_RECOVERY_DATA);
  expect(second.load(into, PAGE * 2)).toBe(into.length);
  expect(into[0]).toBe(9);
  const three = new Uint8Array(3);
  second.load(three, PAGE * 5);
  expect([...three]).toEqual([1, 2, 3]);
  again.close();
});

test("store() into a mapped image that is open for reading is EACCES", async ({ skip }) => {
  openMapped(skip).close();
  const device = openDevice(join(folder, "image"), { map: true });
  const mapping = (await openFile(device)).map();
  expect(() => mapping.store(new Uint8Array(1), 0)).toThrow("EACCES");
  device.close();
});
