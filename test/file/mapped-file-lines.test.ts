/** copyMc and line stores of a mapped file: S25 and R5. */
import { describe, expect, test, vi } from "vitest";
import { MediaError } from "../../src/base/index.ts";
import { BUS_MCEERR_AR, daxDeviceOf, ExtentTable } from "../../src/dax/index.ts";
import { sliceDevice, type DirectAccess } from "../../src/device/index.ts";
import { loadTable, mappedDevice, parseTable } from "../../src/mapper/index.ts";
import { mapFile } from "../../src/file/index.ts";
import { content, expectBytes, listed, PAGE, testFile } from "../dax/support/dax-file.ts";
import { faultOf } from "./support/fault-of.ts";

const EXTENT = { offset: 0, kind: "data", device: 0 } as const;

describe("copyMc", () => {
  test("R1: copyMc() returns what is not copied, to the byte, for known and latent poison, and throws nothing", () => {
    for (const latent of [false, true]) {
      const file = testFile();
      const bad = file.device.inject({ offset: PAGE * 2 + 128, length: 1 }, { latent });
      const mapping = mapFile(file);
      const into = new Uint8Array(PAGE * 3).fill(0xee);
      const missing = mapping.copyMc(into, PAGE);
      expect(into.length - missing).toBe(bad.offset - PAGE);
      expectBytes(into.subarray(0, bad.offset - PAGE), content(PAGE, bad.offset - PAGE));
      const line = into.subarray(bad.offset - PAGE, bad.offset - PAGE + bad.length);
      expect(line.every((byte) => byte === 0xee)).toBe(true);
      const kinds = mapping.takeEvents().events.map(({ kind }) => kind);
      expect(kinds).toEqual(latent ? ["required"] : []);
      expect(listed(file)).toEqual([[bad.offset, bad.length]]);
    }
  });

  test("copyMc() copies behind a bad line in its page and goes on", () => {
    const file = testFile();
    file.device.inject({ offset: PAGE, length: 1 });
    const into = new Uint8Array(PAGE * 2);
    expect(mapFile(file).copyMc(into, PAGE + 100)).toBe(0);
    expectBytes(into, content(PAGE + 100, PAGE * 2));
  });

  test("copyMc() has no address for a page that a machine check took away", () => {
    const file = testFile();
    daxDeviceOf(file.device).memoryFailure({ offset: PAGE + 512, lsb: 6 });
    expect(mapFile(file).copyMc(new Uint8Array(PAGE), PAGE - 10)).toBe(PAGE - 10);
  });

  test("copyMc() of the whole of good memory misses nothing", () => {
    const file = testFile();
    const into = new Uint8Array(file.size);
    expect(mapFile(file).copyMc(into, 0)).toBe(0);
    expectBytes(into, content(0, file.size));
    expect(() => mapFile(file).copyMc(into, 1)).toThrow(RangeError);
  });
});

describe("storeLine", () => {
  const line = new Uint8Array(64).fill(0x11);

  test("R3, R4: storeLine() heals its line, known or latent, where the device clears and stores as one", () => {
    for (const latent of [false, true]) {
      const file = testFile({ clear: "atomic", poisonUnit: 64, clearUnit: 64 });
      const other = file.device.inject({ offset: PAGE + 512, length: 1 });
      file.device.inject({ offset: PAGE + 128, length: 1 }, { latent });
      const mapping = mapFile(file);
      expect(mapping.storeLine(line, PAGE + 128)).toBe(64);
      expect(listed(file)).toEqual([[other.offset, other.length]]);
      expect(mapping.storeLine(line, other.offset)).toBe(64);
      expect(listed(file)).toEqual([]);
      const into = new Uint8Array(PAGE);
      mapping.load(into, PAGE);
      const wanted = content(PAGE, PAGE);
      wanted.fill(0x11, 128, 192);
      wanted.fill(0x11, 512, 576);
      expectBytes(into, wanted);
    }
  });

  test("storeLine() is the device's line store, through slices and tables too: no heal, and no sync where the line is good", () => {
    const file = testFile({ clear: "atomic", poisonUnit: 64, clearUnit: 64 });
    const lines = vi.spyOn(file.device, "storeLine");
    const writes = vi.spyOn(file.device, "write");
    const slice = sliceDevice(file.device, { offset: PAGE, length: PAGE });
    const rows = parseTable("0 16 linear disk 0", "table");
    const table = mappedDevice(loadTable(rows, { path: "table", lookup: () => file.device }), {
      name: "table",
    });
    file.device.inject({ offset: PAGE + 64, length: 1 });
    const whole = { extents: new ExtentTable([{ ...EXTENT, length: PAGE }]), size: PAGE };
    for (const device of [file.device, slice, table]) {
      const direct = device.direct as DirectAccess;
      const mapping = mapFile({ ...file, ...whole, device, direct });
      expect(mapping.storeLine(line, 64)).toBe(64);
    }
    expect(lines.mock.calls.map(([, offset]) => offset)).toEqual([64, PAGE + 64, 64]);
    expect(writes).not.toHaveBeenCalled();
    expect(listed(file)).toEqual([]);
  });

  test("S25: storeLine() elsewhere is an ordinary store, and faults on a known bad page", () => {
    for (const settings of [
      { clear: "firmware" },
      { clear: "atomic", poisonUnit: 256 },
      { clear: "overwrite" },
    ] as const) {
      const file = testFile(settings);
      const bad = file.device.inject({ offset: PAGE, length: 1 });
      const mapping = mapFile(file);
      expect(mapping.storeLine(line, 0)).toBe(64);
      const fault = faultOf(() => mapping.storeLine(line, PAGE));
      expect(fault.siCode).toBe(BUS_MCEERR_AR);
      expect(listed(file)).toEqual([[bad.offset, bad.length]]);
    }
  });

  test("R5: storeLine() that the device refuses faults, and the line is still bad", () => {
    const file = testFile({ clear: "atomic", poisonUnit: 64, clearUnit: 64 });
    const bad = file.device.inject({ offset: PAGE, length: 1 });
    file.device.setFault({ ...bad, kind: "refuses", on: true });
    const fault = faultOf(() => mapFile(file).storeLine(line, PAGE));
    expect(fault).toMatchObject({ syscall: "line store", siCode: BUS_MCEERR_AR });
    expect(fault.cause).toBeInstanceOf(MediaError);
    expect(listed(file)).toEqual([[bad.offset, bad.length]]);
  });

  test("storeLine() wants 64 aligned bytes of data, and a private page takes it as any store", () => {
    const mapping = mapFile(testFile({ clear: "atomic" }));
    expect(() => mapping.storeLine(line, 32)).toThrow(RangeError);
    expect(() => mapping.storeLine(new Uint8Array(63), 64)).toThrow(RangeError);
    const hole = testFile({
      clear: "atomic",
      extents: [{ offset: 0, length: PAGE, kind: "hole" }],
    });
    expect(() => mapFile(hole).storeLine(line, 0)).toThrow("EOPNOTSUPP");
    expect(mapFile(hole, { sharing: "private" }).storeLine(line, 0)).toBe(64);
  });
});

test("storeLine() heals a line in a page that a machine check took away, and the page comes back", () => {
  const file = testFile({ clear: "atomic", poisonUnit: 64, clearUnit: 64 });
  file.device.inject({ offset: PAGE, length: 1 }, { latent: true });
  file.device.inject({ offset: PAGE + 64, length: 1 }, { latent: true });
  const mapping = mapFile(file);
  faultOf(() => mapping.load(new Uint8Array(8), PAGE));
  expect(daxDeviceOf(file.device).pages.isPresent(1)).toBe(false);
  const line = new Uint8Array(64).fill(5);
  expect(mapping.storeLine(line, PAGE + 64)).toBe(64);
  expect(mapping.storeLine(line, PAGE)).toBe(64);
  const into = new Uint8Array(128);
  expect(mapping.load(into, PAGE)).toBe(128);
  expect(into.every((byte) => byte === 5)).toBe(true);
});
