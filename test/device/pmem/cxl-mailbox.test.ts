/** The poison commands of CXL memory; S43 is their scenario on Linux' cxl_test. */
import { describe, expect, test } from "vitest";
import {
  AddressRangeScrub,
  createMemoryDevice,
  CxlMailbox,
  type CxlMailboxOptions,
  type SimulatedDevice,
} from "../../../src/device/index.ts";
import { PoisonList, formatCxl } from "../../../src/poison/index.ts";

const SIZE = 65_536;

function cxl(options: CxlMailboxOptions = {}): { device: SimulatedDevice; mailbox: CxlMailbox } {
  const device = createMemoryDevice({
    bytes: new Uint8Array(SIZE).fill(1),
    clear: "atomic",
    clearUnit: 64,
  });
  return { device, mailbox: new CxlMailbox(device, options) };
}

describe("S43", () => {
  test("injectPoison(), getPoisonList(), clearPoison() with data as one", () => {
    const { device, mailbox } = cxl();
    mailbox.injectPoison(640);
    mailbox.injectPoison(640);
    expect(mailbox.getPoisonList()).toEqual({
      records: [{ dpa: 640, length: 64, source: "Injected" }],
      more: false,
      overflow: false,
      overflowTimeNs: 0n,
      scanning: false,
    });
    const data = new Uint8Array(64).fill(5);
    mailbox.clearPoison(640, data);
    expect(mailbox.getPoisonList().records).toEqual([]);
    const into = new Uint8Array(192);
    expect(device.readSync(into, 576).missing).toEqual([]);
    expect([into[63], into[64], into[127], into[128]]).toEqual([1, 5, 5, 1]);
  });

  test("clearPoison() of a clean address works and leaves zeros", () => {
    const { device, mailbox } = cxl();
    mailbox.clearPoison(128);
    const into = new Uint8Array(192);
    device.readSync(into, 64);
    expect([into[63], into[64], into[127], into[128]]).toEqual([1, 0, 0, 1]);
  });

  test("injectPoison() of a ninth address is EBUSY until one is cleared", () => {
    const { mailbox } = cxl();
    for (let index = 0; index < 8; index += 1) mailbox.injectPoison(index * 128);
    expect(() => mailbox.injectPoison(4096)).toThrow(/^EBUSY/);
    mailbox.clearPoison(0);
    mailbox.injectPoison(4096);
    expect(mailbox.getPoisonList().records.length).toBe(8);
  });

  test.each([32, SIZE, SIZE + 64])("injectPoison() and clearPoison() at %i are EINVAL", (dpa) => {
    const { device, mailbox } = cxl();
    expect(() => mailbox.injectPoison(dpa)).toThrow(/^EINVAL/);
    expect(() => mailbox.clearPoison(dpa)).toThrow(/^EINVAL/);
    expect(() => mailbox.getPoisonList({ offset: dpa, length: 64 })).toThrow(/^EINVAL/);
    expect([...device.faults()]).toEqual([]);
  });

  test("formatCxl() prints what the device knows in lines of 64 bytes", async () => {
    const list = new PoisonList(SIZE);
    list.mark({ offset: 640, length: 64 }, "poisoned");
    const text = [...formatCxl(list)].join("");
    expect(JSON.parse(text)).toMatchObject([{ media_errors: [{ offset: 640, length: 64 }] }]);
  });
});

test("getPoisonList() tells known poison as Internal, latent poison and what is lost not at all", () => {
  const { device, mailbox } = cxl();
  device.inject({ offset: 4096, length: 256 });
  device.inject({ offset: 8192, length: 64 }, { latent: true });
  device.recordBad({ offset: 12_288, length: 64 }, "lost");
  mailbox.injectPoison(4096 + 64);
  expect(mailbox.getPoisonList().records).toEqual([
    { dpa: 4096, length: 64, source: "Internal" },
    { dpa: 4160, length: 64, source: "Injected" },
    { dpa: 4224, length: 128, source: "Internal" },
  ]);
  expect(mailbox.getPoisonList({ offset: 4224, length: 64 }).records).toEqual([
    { dpa: 4224, length: 64, source: "Internal" },
  ]);
});

test("getPoisonList() of more than a call holds says MORE, and goes on with the same range", () => {
  const { device, mailbox } = cxl({ recordsPerCall: 2 });
  for (let index = 0; index < 5; index += 1) device.inject({ offset: index * 128, length: 64 });
  const range = { offset: 0, length: SIZE };
  const calls = [1, 2, 3].map(() => mailbox.getPoisonList(range));
  expect(calls.map(({ more }) => more)).toEqual([true, true, false]);
  expect(calls.flatMap(({ records }) => records.map(({ dpa }) => dpa))).toEqual([
    0, 128, 256, 384, 512,
  ]);
  mailbox.getPoisonList(range);
  expect(mailbox.getPoisonList({ offset: 128, length: 64 }).records.length).toBe(1);
});

test("S15: getPoisonList() of more than the device has room for says OVERFLOW and since when", () => {
  let nowMs = 1000;
  const clock = { now: () => nowMs, sleep: () => Promise.resolve() };
  const { device, mailbox } = cxl({ maxRecords: 2, clock });
  for (let index = 0; index < 2; index += 1) device.inject({ offset: index * 128, length: 64 });
  expect(mailbox.getPoisonList().overflow).toBe(false);
  device.inject({ offset: 4096, length: 64 });
  mailbox.getPoisonList();
  nowMs = 2000;
  expect(mailbox.getPoisonList()).toMatchObject({
    overflow: true,
    overflowTimeNs: 1_000_000_000n,
    records: [{ dpa: 0 }, { dpa: 128 }],
  });
});

test("getPoisonList() during a scan says SCANNING", () => {
  const device = createMemoryDevice({ size: SIZE, clear: "atomic" });
  const scrub = new AddressRangeScrub(device);
  const mailbox = new CxlMailbox(device, { scrub });
  scrub.start();
  expect(mailbox.getPoisonList().scanning).toBe(true);
  scrub.advance(SIZE);
  expect(mailbox.getPoisonList().scanning).toBe(false);
});

test("R5: clearPoison() that the device refuses is ENXIO, and the line is as bad as it was", () => {
  const { device, mailbox } = cxl();
  mailbox.injectPoison(640);
  device.setFault({ offset: 640, length: 64, kind: "refuses", on: true });
  expect(() => mailbox.clearPoison(640)).toThrow(/^ENXIO/);
  expect(mailbox.getPoisonList().records.length).toBe(1);
  expect(device.readSync(new Uint8Array(64), 640).missing.length).toBe(1);
});

test("CxlMailbox takes CXL memory only", () => {
  for (const options of [{ clear: "firmware" }, { clear: "atomic", poisonUnit: 512 }] as const)
    expect(() => new CxlMailbox(createMemoryDevice({ size: SIZE, ...options }))).toThrow(
      RangeError,
    );
});
