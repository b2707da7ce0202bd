/** What a mapping hears of its device: AR and AO, S44, heals, a device that goes. */
import { expect, test } from "vitest";
import {
  BUS_ADRERR,
  BUS_MCEERR_AO,
  BUS_MCEERR_AR,
  daxDeviceOf,
  ExtentTable,
} from "../../src/dax/index.ts";
import { createMemoryDevice, sliceDevice, type DirectAccess } from "../../src/device/index.ts";
import { mapFile, openFile, RWF_RECOVERY_DATA } from "../../src/file/index.ts";
import { PAGE, testFile } from "../dax/support/dax-file.ts";
import { faultOf } from "./support/fault-of.ts";

const HUGE = 2 * 1024 * 1024;

test("S24: the mapping that loads gets AR, all others that map the line get AO, where they have it", () => {
  const file = testFile();
  const bad = file.device.inject({ offset: PAGE * 2 + 64, length: 1 }, { latent: true });
  const elsewhere = {
    ...testFile({ extents: [{ offset: 0, length: PAGE, kind: "data", device: PAGE * 2 }] }),
    device: file.device,
    direct: file.direct,
  };
  const loader = mapFile(file);
  const same = mapFile(file);
  const shifted = mapFile(elsewhere);
  faultOf(() => loader.load(new Uint8Array(PAGE), PAGE * 2));
  const event = { kind: "optional", siCode: BUS_MCEERR_AO, lsb: 12 };
  expect(loader.takeEvents().events).toEqual([]);
  expect(same.takeEvents().events).toEqual([{ ...event, address: bad.offset, range: bad }]);
  const range = { offset: 64, length: 64 };
  expect(shifted.takeEvents().events).toEqual([{ ...event, address: 64, range }]);
});

test("lsb is 21 where memory was mapped in 2 MiB, and 12 where it was not, or beside older poison", () => {
  const file = testFile({ pages: 1024 });
  const dax = daxDeviceOf(file.device);
  const small = mapFile(file, { largestShift: 12 });
  const mapping = mapFile(file);
  dax.memoryFailure({ offset: HUGE + 5000, lsb: 6 });
  expect(mapping.takeEvents().events.map(({ lsb }) => lsb)).toEqual([21]);
  expect(small.takeEvents().events.map(({ lsb }) => lsb)).toEqual([12]);
  dax.memoryFailure({ offset: HUGE + 50_000, lsb: 6 });
  expect(mapping.takeEvents().events.map(({ lsb }) => lsb)).toEqual([12]);
});

test("lsb is 30 where a device is mapped in 1 GiB, as device-dax does", () => {
  const device = createMemoryDevice({ size: 2 ** 30 });
  const extents = new ExtentTable([{ offset: 0, length: device.size, kind: "data", device: 0 }]);
  const { size } = device;
  const direct = device.direct as DirectAccess;
  const mapping = mapFile(
    { name: "device", device, direct, pageSize: PAGE, extents, size },
    { largestShift: 30 },
  );
  daxDeviceOf(device).memoryFailure({ offset: HUGE, lsb: 6 });
  expect(mapping.takeEvents().events.map(({ lsb }) => lsb)).toEqual([30]);
});

test("S44: MADV_HWPOISON keeps programs from the page, lists nothing, and pread still works", async () => {
  const { device } = testFile();
  const file = await openFile(device);
  const mapping = file.map();
  daxDeviceOf(device).memoryFailure({ offset: PAGE, lsb: 12, source: "madvise" });
  expect(mapping.takeEvents().events.map(({ siCode }) => siCode)).toEqual([BUS_MCEERR_AO]);
  const fault = faultOf(() => mapping.load(new Uint8Array(1), PAGE));
  expect(fault).toMatchObject({ siCode: BUS_MCEERR_AR, lsb: 12, ranges: [] });
  expect(device.poison.empty).toBe(true);
  expect(await file.preadv2(new Uint8Array(PAGE), PAGE)).toBe(PAGE);
  expect(mapping.load(new Uint8Array(1), PAGE * 2)).toBe(1);
});

test("a page is usable again once it is healed, also without events of the device", async () => {
  const { device } = testFile();
  const slice = sliceDevice(device, { offset: 0, length: device.size });
  for (const each of [device, slice]) {
    device.inject({ offset: PAGE, length: 1 }, { latent: true });
    const file = await openFile(each);
    const mapping = file.map();
    faultOf(() => mapping.load(new Uint8Array(1), PAGE));
    await file.pwritev2(new Uint8Array(PAGE).fill(3), PAGE, RWF_RECOVERY_DATA);
    const into = new Uint8Array(1);
    expect(mapping.load(into, PAGE)).toBe(1);
    expect(into[0]).toBe(3);
    mapping.close();
  }
});

test("R4: pwritev2() beside a mapping is told as healed", async () => {
  const { device } = testFile();
  const file = await openFile(device);
  const mapping = file.map();
  device.inject({ offset: PAGE, length: 1 });
  await file.pwritev2(new Uint8Array(PAGE), PAGE);
  const [event] = mapping.takeEvents().events;
  expect(event).toMatchObject({ kind: "healed", siCode: undefined, lsb: undefined });
  expect(event?.range.offset).toBe(PAGE);
});

test("a killed device faults with BUS_ADRERR, and takes no new mapping", () => {
  const file = testFile();
  const mapping = mapFile(file);
  daxDeviceOf(file.device).kill();
  const gone = { siCode: BUS_ADRERR, lsb: undefined, copied: 0, address: PAGE };
  expect(faultOf(() => mapping.load(new Uint8Array(1), PAGE))).toMatchObject(gone);
  expect(faultOf(() => mapping.store(new Uint8Array(1), PAGE))).toMatchObject(gone);
  expect(mapping.copyMc(new Uint8Array(10), PAGE)).toBe(10);
  expect(() => mapFile(file)).toThrow("EIO");
});

test("map() needs memory", async () => {
  const file = await openFile(testFile().device, { face: "buffered" });
  expect(() => file.map()).toThrow("EOPNOTSUPP");
});
