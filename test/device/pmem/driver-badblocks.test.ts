/** The driver's view: sectors, notices, a full table; with the scenarios of a kernel's pmem driver that the device answers. */
import { expect, test, vi } from "vitest";
import {
  clearError,
  createMemoryDevice,
  DriverBadblocks,
  sliceDevice,
  type DirectAccess,
  type MemoryDeviceOptions,
  type SimulatedDevice,
} from "../../../src/device/index.ts";
import { SimulatedMedia } from "../../../src/device/simulated-media.ts";
import { formatBadblocks, formatNdctl } from "../../../src/poison/index.ts";

const PAGE = 4096;

function deviceOf(options: Partial<MemoryDeviceOptions> = {}): {
  device: SimulatedDevice;
  direct: DirectAccess;
} {
  const device = createMemoryDevice({ bytes: new Uint8Array(16 * PAGE).fill(1), ...options });
  return { device, direct: device.direct as DirectAccess };
}

/** Poisons sectors, known. */
function injectSectors(device: SimulatedDevice, start: number, sectors: number): void {
  device.inject({ offset: start * 512, length: sectors * 512 });
}

test("DriverBadblocks rounds outward, merges, and follows the list", () => {
  const { device } = deviceOf();
  device.inject({ offset: 700, length: 64 });
  const driver = new DriverBadblocks(device);
  expect(driver.read()).toBe("1 1\n");
  device.inject({ offset: 1024, length: 64 });
  expect(driver.read()).toBe("1 2\n");
  device.write(new Uint8Array(512), 512);
  expect(driver.read()).toBe("2 1\n");
});

test("DriverBadblocks keeps a sector until none of its bytes is bad", () => {
  const { device } = deviceOf({ clearUnit: 64 });
  device.inject({ offset: 512, length: 64 });
  device.inject({ offset: 512 + 256, length: 64 });
  const driver = new DriverBadblocks(device);
  device.write(new Uint8Array(64), 512, "recovery");
  expect(driver.read()).toBe("1 1\n");
  device.write(new Uint8Array(64), 512 + 256, "recovery");
  expect(driver.read()).toBe("");
});

test("S18: one notice for each clear, however many records it touched, and none for a read", async () => {
  const { device, direct } = deviceOf();
  injectSectors(device, 8, 8);
  device.inject({ offset: 2 * PAGE, length: 64 });
  device.inject({ offset: 2 * PAGE + 2048, length: 64 });
  const driver = new DriverBadblocks(device);
  let notices = 0;
  driver.onNotify(() => {
    notices += 1;
  });
  expect(direct.recoveryWrite(new Uint8Array(PAGE), PAGE)).toBe(PAGE);
  await Promise.resolve();
  expect([notices, driver.changed]).toEqual([1, true]);
  expect(direct.recoveryWrite(new Uint8Array(PAGE), 2 * PAGE)).toBe(PAGE);
  await Promise.resolve();
  expect(notices).toBe(2);
  expect(driver.read()).toBe("");
  device.readSync(new Uint8Array(PAGE), PAGE);
  device.recordRead({ offset: 0, length: 8 * PAGE });
  await Promise.resolve();
  expect([notices, driver.changed]).toEqual([2, false]);
  driver.close();
  injectSectors(device, 8, 8);
  await Promise.resolve();
  expect([notices, driver.read()]).toEqual([2, ""]);
});

test("S16, R5: a clear that stops half-way writes nothing, and the page stays on the list", () => {
  const { device, direct } = deviceOf();
  injectSectors(device, 8, 8);
  device.setFault({ offset: PAGE, length: PAGE, kind: "partial", on: true });
  const driver = new DriverBadblocks(device);
  expect(direct.recoveryWrite(new Uint8Array(PAGE), PAGE)).toBe(0);
  expect(driver.read()).toBe("8 8\n");
  expect(device.readSync(new Uint8Array(PAGE), PAGE).missing.map(({ length }) => length)).toEqual([
    2048, 2048,
  ]);
});

test("S17, R5: a clear of nothing is a failure, where Linux stores the data and keeps the record", () => {
  const { device, direct } = deviceOf();
  injectSectors(device, 8, 8);
  device.setFault({ offset: PAGE, length: PAGE, kind: "refuses", on: true });
  const driver = new DriverBadblocks(device);
  expect(direct.recoveryWrite(new Uint8Array(PAGE), PAGE)).toBe(0);
  expect(driver.read()).toBe("8 8\n");
});

test("S20: a recovery inside a record of a full table works and reads; the driver's table cannot split it", () => {
  const { device, direct } = deviceOf();
  injectSectors(device, 0, 1);
  injectSectors(device, 8, 24);
  const driver = new DriverBadblocks(device, { limit: 2 });
  expect(direct.recoveryWrite(new Uint8Array(PAGE), 2 * PAGE)).toBe(PAGE);
  expect(driver.read()).toBe("0 1\n8 24\n");
  expect(device.readSync(new Uint8Array(PAGE), 2 * PAGE).missing).toEqual([]);
});

test("S22: the driver's table ends at 512 records, the device's list does not", () => {
  const device = createMemoryDevice({ size: 600 * 1024 });
  for (let index = 0; index < 600; index += 1)
    device.recordBad({ offset: index * 1024, length: 64 }, "poisoned");
  const driver = new DriverBadblocks(device);
  expect(driver.table.count).toBe(512);
  expect(device.poison.totals().poisoned).toBe(600 * 64);
});

test("S33: what was healed does not come back when the driver attaches again; what firmware cleared does", () => {
  const { device, direct } = deviceOf();
  injectSectors(device, 8, 8);
  injectSectors(device, 32, 8);
  direct.recoveryWrite(new Uint8Array(PAGE), PAGE);
  expect(new DriverBadblocks(device).read()).toBe("32 8\n");
  clearError(device, { offset: 32 * 512, length: PAGE });
  expect(new DriverBadblocks(device).read()).toBe("32 8\n");
});

test("S17: S34 of the kernel: an fsdax namespace counts from its data, a raw one from its start", () => {
  const { device } = deviceOf();
  const dataOffset = 2 * PAGE;
  injectSectors(device, 20, 4);
  expect(new DriverBadblocks(device).read()).toBe("20 4\n");
  const driver = new DriverBadblocks(device, { dataOffset });
  expect(driver.read()).toBe("4 4\n");
  const data = sliceDevice(device, { offset: dataOffset, length: device.size - dataOffset });
  expect([...formatBadblocks(data.poison)].join("")).toBe("4 4\n");
  const json = JSON.parse([...formatNdctl(data.poison)].join("")) as unknown;
  expect(json).toMatchObject({ badblock_count: 4, badblocks: [{ offset: 4, length: 4 }] });
  device.write(new Uint8Array(2048), 20 * 512);
  expect(driver.read()).toBe("");
});

/** The clears that the medium saw while a range was written as dax_iomap_iter does: stride by stride. */
function clearsOf(
  poison: readonly (readonly [number, number])[],
  write: { readonly page: number; readonly pages: number },
): { clears: string[]; list: string } {
  const { device, direct } = deviceOf();
  for (const [start, sectors] of poison) injectSectors(device, start, sectors);
  const clears: string[] = [];
  const clear = vi.spyOn(SimulatedMedia.prototype, "clear");
  for (let page = write.page; page < write.page + write.pages;) {
    const left = write.page + write.pages - page;
    const stride = direct.probe(page, left, "access") || direct.probe(page, left, "recovery");
    direct.recoveryWrite(new Uint8Array(stride * PAGE), page * PAGE);
    page += stride;
  }
  for (const [{ offset, length }] of clear.mock.calls) clears.push(`clr(${offset},${length})`);
  clear.mockRestore();
  return { clears, list: new DriverBadblocks(device).read() };
}

test("S52: poison inside a page is cleared with the page before it, at the start of a page alone", () => {
  expect(clearsOf([[11, 1]], { page: 0, pages: 4 })).toEqual({ clears: ["clr(0,8192)"], list: "" });
  expect(clearsOf([[8, 1]], { page: 0, pages: 4 })).toEqual({
    clears: ["clr(4096,4096)"],
    list: "",
  });
});

test("S53: a record that began a page before the write is cleared at once, and stays where it began", () => {
  expect(clearsOf([[8, 16]], { page: 2, pages: 2 })).toEqual({
    clears: ["clr(8192,8192)"],
    list: "8 8\n",
  });
});
