/**
 * The peers' scenarios of injection and lists, S01 to S19 by their numbers there (ndctl's inject-error.sh, clear.sh and rules, cxl-poison.sh).
 * S07's and S08's exit codes are test/cli/commands/inject; S10, S11, S12, S13's text, S15's text and S19 stand where their subject is.
 */
import { expect, test } from "vitest";
import {
  AddressRangeScrub,
  createImage,
  createMemoryDevice,
  CxlMailbox,
  DriverBadblocks,
  ErrorInjection,
  openDevice,
  type SimulatedDevice,
} from "../../../src/device/index.ts";
import { openFile } from "../../../src/file/index.ts";
import { createCrashFiles } from "../../../src/testing/index.ts";

const SECTOR = 512;
const WHERE = { block: 42, count: 8 };
const RANGE = { offset: 42 * SECTOR, length: 8 * SECTOR };

interface World {
  readonly device: SimulatedDevice;
  readonly injection: ErrorInjection;
  readonly driver: DriverBadblocks;
}

function worldOf(clearUnit = SECTOR): World {
  const device = createMemoryDevice({ bytes: new Uint8Array(65_536).fill(1), clearUnit });
  return {
    device,
    injection: new ErrorInjection(device),
    driver: new DriverBadblocks(device),
  };
}

function isZero(device: SimulatedDevice): boolean {
  const into = new Uint8Array(RANGE.length).fill(7);
  expect(device.readSync(into, RANGE.offset).missing).toEqual([]);
  return into.every((byte) => byte === 0);
}

test("S01: what is injected silently is in the injector's status and in no list, until a plain read fails on it", async () => {
  for (const face of ["dax", "direct", "buffered"] as const) {
    const { device, injection, driver } = worldOf();
    injection.inject(WHERE, { notify: false });
    expect(JSON.stringify(injection.status())).toBe('{"badblocks":[{"block":42,"count":8}]}');
    expect(driver.read()).toBe("");
    const file = await openFile(device, { face });
    const read = file.preadv2(new Uint8Array(RANGE.length), RANGE.offset);
    await expect(read).rejects.toMatchObject({ code: "EIO" });
    expect(driver.read()).toBe("42 8\n");
  }
});

test("S02: un-injected before any read, the status is empty and no poison is listed; the destroyed bytes are lost (R1)", () => {
  const { device, injection } = worldOf();
  injection.inject(WHERE, { notify: false });
  injection.uninject(WHERE);
  expect(injection.status()).toEqual({ badblocks: [] });
  const { poisoned, lost } = device.poison.totals();
  expect([poisoned, lost]).toEqual([0, RANGE.length]);
});

test("S03: what is injected with a notice, or found by a scrub, is known: one record of 8", () => {
  const told = worldOf();
  told.injection.inject(WHERE);
  expect(told.driver.read()).toBe("42 8\n");
  const found = worldOf();
  found.injection.inject(WHERE, { notify: false });
  const scrub = new AddressRangeScrub(found.device);
  scrub.start();
  scrub.advance(found.device.size);
  expect(found.driver.read()).toBe("42 8\n");
  expect(found.device.poison.totals().poisoned).toBe(8 * SECTOR);
});

test("S04: zeros written over the sectors empty both lists, and read as zeros", async () => {
  for (const face of ["dax", "direct", "buffered"] as const) {
    const { device, injection, driver } = worldOf();
    // Whole pages for the face that heals no less: sectors 40 to 55.
    const where = face === "direct" ? WHERE : { block: 40, count: 16 };
    injection.inject(where);
    const file = await openFile(device, { face });
    const zeros = new Uint8Array(where.count * SECTOR);
    expect(await file.pwritev2(zeros, where.block * SECTOR)).toBe(zeros.length);
    expect(injection.status()).toEqual({ badblocks: [] });
    expect(driver.read()).toBe("");
    expect(isZero(device)).toBe(true);
  }
});

test("S05: un-injected after a notice, the known list stays until data is written (R4)", () => {
  const { device, injection, driver } = worldOf();
  injection.inject(WHERE);
  injection.uninject(WHERE);
  expect(injection.status()).toEqual({ badblocks: [] });
  expect(driver.read()).toBe("42 8\n");
  device.write(new Uint8Array(RANGE.length), RANGE.offset);
  expect(driver.read()).toBe("");
  expect(isZero(device)).toBe(true);
});

test("S06: injected ranges that touch merge, in cascade", () => {
  const { injection, driver } = worldOf();
  injection.inject({ block: 10, count: 5 });
  injection.inject({ block: 20, count: 5 });
  injection.inject({ block: 12, count: 10 });
  expect(injection.status()).toEqual({ badblocks: [{ block: 10, count: 15 }] });
  expect(driver.read()).toBe("10 15\n");
});

test("S07: blocks behind the end, across it, or none are EINVAL, and nothing changed", () => {
  const { device, injection, driver } = worldOf();
  const blocks = device.size / SECTOR;
  for (const where of [
    { block: blocks, count: 1 },
    { block: blocks - 1, count: 2 },
    { block: 0, count: 0 },
  ]) {
    expect(() => injection.inject(where)).toThrow(/^EINVAL/);
    expect(() => injection.uninject(where)).toThrow(/^EINVAL/);
  }
  expect([...device.faults()]).toEqual([]);
  expect(driver.read()).toBe("");
});

test("S09: single sectors under a wider range read exactly as one", () => {
  const { device, driver } = worldOf();
  for (const [start, count] of [
    [32, 1],
    [34, 1],
    [36, 1],
    [32, 12],
  ] as const)
    device.recordBad({ offset: start * SECTOR, length: count * SECTOR }, "poisoned");
  expect(driver.read()).toBe("32 12\n");
});

test("S13: off a line is refused; poison on poison and a clear of a clean line are no errors", () => {
  const device = createMemoryDevice({ size: 65_536, clear: "atomic", clearUnit: 64 });
  const mailbox = new CxlMailbox(device);
  expect(() => mailbox.injectPoison(100)).toThrow(/^EINVAL/);
  expect(() => mailbox.clearPoison(100)).toThrow(/^EINVAL/);
  mailbox.injectPoison(640);
  mailbox.injectPoison(640);
  mailbox.clearPoison(1280);
  expect(mailbox.getPoisonList().records.map(({ dpa }) => dpa)).toEqual([640]);
});

test("S14: four lines injected are four records of 64, and none once all are cleared", () => {
  const device = createMemoryDevice({ size: 0x4000_2000, clear: "atomic", clearUnit: 64 });
  const mailbox = new CxlMailbox(device);
  const places = [0x4000_0000, 0x4000_1000, 0x600, 0x0];
  for (const dpa of places) mailbox.injectPoison(dpa);
  expect(mailbox.getPoisonList().records).toEqual(
    places
      .toReversed()
      .map((dpa) => ({ dpa, length: 64, source: "Injected" }))
      .sort(byPlace),
  );
  for (const dpa of places) mailbox.clearPoison(dpa);
  expect(mailbox.getPoisonList().records).toEqual([]);
});

function byPlace(one: { readonly dpa: number }, other: { readonly dpa: number }): number {
  return one.dpa - other.dpa;
}

test("S16: what was cleared with data stays clear when the device goes and comes back", () => {
  const files = createCrashFiles();
  const options = { files, size: 65_536, clear: "firmware", clearUnit: 512 } as const;
  const first = createImage("/nvdimm", options);
  new ErrorInjection(first).inject(WHERE);
  first.write(new Uint8Array(RANGE.length), RANGE.offset);
  first.close();
  const second = openDevice("/nvdimm", { files, access: "write" });
  expect(second.poison.empty).toBe(true);
  expect(new DriverBadblocks(second as SimulatedDevice).read()).toBe("");
  second.close();
});

test("S18: a device that refuses the second of three heals the first and the third, and says which failed", () => {
  const { device } = worldOf();
  for (const at of [0, 4096, 8192]) device.inject({ offset: at, length: SECTOR });
  device.setFault({ offset: 4096, length: SECTOR, kind: "refuses", on: true });
  const data = new Uint8Array(SECTOR);
  const failures = device.heal([0, 4096, 8192].map((offset) => ({ offset, data })));
  expect(failures.map((failure) => failure?.message)).toEqual([
    undefined,
    expect.stringContaining("at offset 4096: the device refuses to clear"),
    undefined,
  ]);
  expect(new DriverBadblocks(device).read()).toBe("8 1\n");
});
