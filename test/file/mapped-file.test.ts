/** Mapped files: S24, S25, kernels before 6.5, holes, private mappings. */
import { describe, expect, test } from "vitest";
import { MediaError, StorageError } from "../../src/base/index.ts";
import { BUS_ADRERR, BUS_MCEERR_AR, daxDeviceOf } from "../../src/dax/index.ts";
import type { DirectAccess } from "../../src/device/index.ts";
import { mapFile } from "../../src/file/index.ts";
import { content, expectBytes, listed, PAGE, testFile } from "../dax/support/dax-file.ts";
import { faultOf } from "./support/fault-of.ts";

const HUGE = 2 * 1024 * 1024;

describe("load", () => {
  test("S24: load() of a known bad page is SIGBUS, BUS_MCEERR_AR, lsb 12, and a MediaError with code EIO", () => {
    const file = testFile();
    const bad = file.device.inject({ offset: PAGE + 512, length: 1 });
    const mapping = mapFile(file);
    const fault = faultOf(() => mapping.load(new Uint8Array(8), PAGE + 40));
    expect(fault).toBeInstanceOf(MediaError);
    expect(fault).toMatchObject({
      name: "MemoryError",
      code: "EIO",
      errno: -5,
      syscall: "load",
      path: "file",
      device: "memory",
      signal: "SIGBUS",
      siCode: BUS_MCEERR_AR,
      address: PAGE + 40,
      lsb: 12,
      range: { offset: PAGE, length: PAGE },
      copied: 0,
      ranges: [{ ...bad, state: "poisoned" }],
    });
    expect(fault.message).toMatch(/offset 4136: bytes 4096 to 8191 are bad .*si_code 4, lsb 12/);
  });

  test("load() of a known bad page is BUS_ADRERR without lsb in kernels before 6.5", () => {
    const file = testFile();
    file.device.inject({ offset: PAGE, length: 1 });
    const mapping = mapFile(file, { kernel: "before 6.5" });
    const fault = faultOf(() => mapping.load(new Uint8Array(8), PAGE));
    expect(fault).toMatchObject({ siCode: BUS_ADRERR, lsb: undefined, address: PAGE });
  });

  test("R1: load() delivers and counts the pages before a bad one, and nothing of it", () => {
    const file = testFile();
    file.device.inject({ offset: PAGE * 3 + 512, length: 1 });
    const into = new Uint8Array(PAGE * 4).fill(0xee);
    const mapping = mapFile(file);
    const fault = faultOf(() => mapping.load(into, PAGE + 100));
    expect(fault.copied).toBe(PAGE * 2 - 100);
    expectBytes(into.subarray(0, fault.copied), content(PAGE + 100, fault.copied));
    expect(into.subarray(fault.copied).every((byte) => byte === 0xee)).toBe(true);
  });

  test("R1: load() that meets latent poison stops at its line, which is known from then on", () => {
    const file = testFile();
    const bad = file.device.inject({ offset: PAGE + 128, length: 1 }, { latent: true });
    const mapping = mapFile(file, { kernel: "before 6.5" });
    const into = new Uint8Array(PAGE).fill(0xee);
    const fault = faultOf(() => mapping.load(into, PAGE));
    // The machine check is the same in every kernel: only the fault of a known page was told otherwise.
    expect(fault).toMatchObject({ siCode: BUS_MCEERR_AR, lsb: 12, copied: 128, range: bad });
    expect(fault.address).toBe(bad.offset);
    expectBytes(into.subarray(0, 128), content(PAGE, 128));
    expect(into.subarray(128, 192).every((byte) => byte === 0xee)).toBe(true);
    expect(listed(file)).toEqual([[bad.offset, bad.length]]);
    expect(daxDeviceOf(file.device).pages.isPresent(1)).toBe(false);
  });

  test("load() of what failed once and is no poison gives the bytes", () => {
    const file = testFile();
    file.device.setFault({ offset: PAGE, length: 64, kind: "transient", on: true });
    const into = new Uint8Array(PAGE * 2);
    expect(mapFile(file).load(into, 0)).toBe(into.length);
    expectBytes(into, content(0, into.length));
  });

  test("load() of holes and unwritten extents reads zeros, whatever is under them", () => {
    const file = testFile({
      extents: [
        { offset: 0, length: PAGE, kind: "data", device: PAGE * 4 },
        { offset: PAGE, length: PAGE, kind: "hole" },
        { offset: PAGE * 2, length: PAGE, kind: "unwritten", device: 0 },
        { offset: PAGE * 3, length: PAGE, kind: "data", device: PAGE * 2 },
      ],
      size: PAGE * 6,
    });
    file.device.inject({ offset: 0, length: 1 });
    const into = new Uint8Array(PAGE * 6).fill(1);
    expect(mapFile(file).load(into, 0)).toBe(into.length);
    const wanted = new Uint8Array(PAGE * 6);
    wanted.set(content(PAGE * 4, PAGE), 0);
    wanted.set(content(PAGE * 2, PAGE), PAGE * 3);
    expectBytes(into, wanted);
  });

  test("load() keeps every clean page of a 2 MiB range usable that holds a bad one", () => {
    const file = testFile({ pages: 1024 });
    file.device.inject({ offset: HUGE + PAGE * 100, length: 1 });
    const mapping = mapFile(file);
    for (const page of [511, 512, 611, 613, 1023]) {
      const into = new Uint8Array(PAGE);
      expect(mapping.load(into, page * PAGE)).toBe(PAGE);
      expectBytes(into, content(page * PAGE, PAGE));
    }
    const fault = faultOf(() => mapping.load(new Uint8Array(HUGE * 2), 0));
    expect(fault.copied).toBe(HUGE + PAGE * 100);
  });

  test("load() past the end, of a closed mapping, and of an unknown place, are refused", () => {
    const file = testFile({
      extents: [{ offset: 0, length: PAGE * 2, kind: "unknown" }],
      size: PAGE,
    });
    const mapping = mapFile(file);
    expect(() => mapping.load(new Uint8Array(2), PAGE - 1)).toThrow(RangeError);
    expect(() => mapping.load(new Uint8Array(1), -1)).toThrow(TypeError);
    expect(() => mapping.load(new Uint8Array(1), 0)).toThrow(StorageError);
    expect(mapping.load(new Uint8Array(0), PAGE)).toBe(0);
    mapping.close();
    mapping.close();
    expect(() => mapping.load(new Uint8Array(1), 0)).toThrow("closed");
  });
});

describe("store", () => {
  test("S25: store() to a known bad page is the same SIGBUS; it recovers nothing, the list is unchanged", () => {
    const file = testFile();
    const bad = file.device.inject({ offset: PAGE, length: 1 });
    const mapping = mapFile(file);
    const fault = faultOf(() => mapping.store(new Uint8Array(PAGE), PAGE));
    expect(fault).toMatchObject({ siCode: BUS_MCEERR_AR, lsb: 12, syscall: "store", copied: 0 });
    expect(listed(file)).toEqual([[bad.offset, bad.length]]);
  });

  test("store() is read back, and what lies before a bad page is stored and counted", () => {
    const file = testFile();
    const mapping = mapFile(file);
    const data = new Uint8Array(PAGE * 3).fill(0x5a);
    expect(mapping.store(data.subarray(0, 10), 5)).toBe(10);
    file.device.inject({ offset: PAGE * 2, length: 1 });
    const fault = faultOf(() => mapping.store(data, PAGE - 8));
    expect(fault.copied).toBe(PAGE + 8);
    expect(fault.address).toBe(PAGE * 2);
    const into = new Uint8Array(PAGE * 2);
    mapping.load(into, 0);
    const wanted = content(0, PAGE * 2);
    wanted.fill(0x5a, 5, 15);
    wanted.fill(0x5a, PAGE - 8);
    expectBytes(into, wanted);
    expect(() => mapping.store(data, file.size - 1)).toThrow(RangeError);
  });

  test("store() into a hole, unwritten or inline bytes is EOPNOTSUPP before any byte moves", () => {
    for (const kind of ["hole", "unwritten", "inline"] as const) {
      const rest = { offset: PAGE, length: PAGE, kind, device: PAGE };
      const file = testFile({
        extents: [{ offset: 0, length: PAGE, kind: "data", device: 0 }, rest],
      });
      const mapping = mapFile(file);
      expect(() => mapping.store(new Uint8Array(PAGE + 1), 0)).toThrow("EOPNOTSUPP");
      expectBytes(file.bytes, content(0, file.bytes.length));
    }
  });

  test("store() of a frozen file is refused with its reason", () => {
    const frozen = { code: "ECANCELED", why: "the journal is not replayed" } as const;
    const mapping = mapFile(testFile(), { frozen });
    expect(() => mapping.store(new Uint8Array(1), 0)).toThrow("ECANCELED");
    expect(() => mapping.store(new Uint8Array(1), 0)).toThrow("not replayed");
  });

  test("store() that a disk's block refuses, because it is latently bad, is a fault", () => {
    const file = testFile({ clear: "overwrite", poisonUnit: 512, clearUnit: 512 });
    const bad = file.device.inject({ offset: PAGE, length: 1 }, { latent: true });
    const fault = faultOf(() => mapFile(file).store(new Uint8Array(10), PAGE + 3));
    expect(fault).toMatchObject({ siCode: BUS_MCEERR_AR, copied: 0 });
    expect(listed(file).map(([offset]) => offset)).toContain(bad.offset);
  });
});

describe("private mappings", () => {
  test("store() copies the page, and the file never changes", () => {
    const file = testFile({ size: PAGE * 16 - 100 });
    const mapping = mapFile(file, { sharing: "private" });
    const other = mapFile(file);
    const into = new Uint8Array(PAGE * 3);
    expect(mapping.load(into, 0)).toBe(into.length);
    expect(mapping.store(new Uint8Array(PAGE).fill(9), PAGE + 10)).toBe(PAGE);
    expect(mapping.store(new Uint8Array(5).fill(8), file.size - 5)).toBe(5);
    mapping.load(into, 0);
    const wanted = content(0, PAGE * 3);
    wanted.fill(9, PAGE + 10, PAGE * 2 + 10);
    expectBytes(into, wanted);
    other.load(into, 0);
    expectBytes(into, content(0, PAGE * 3));
    expectBytes(file.bytes, content(0, file.bytes.length));
  });

  test("store() to a page that is bad, known or latent, faults at the store; a copied page is never asked again", () => {
    for (const latent of [false, true]) {
      const file = testFile();
      const mapping = mapFile(file, { sharing: "private" });
      mapping.store(Uint8Array.of(1), PAGE * 2);
      file.device.inject({ offset: PAGE + 512, length: 1 }, { latent });
      file.device.inject({ offset: PAGE * 2, length: 1 });
      const fault = faultOf(() => mapping.store(Uint8Array.of(1), PAGE + 1));
      expect(fault).toMatchObject({ siCode: BUS_MCEERR_AR, syscall: "store", copied: 0 });
      const byte = new Uint8Array(1);
      expect(mapping.load(byte, PAGE * 2)).toBe(1);
      expect(byte[0]).toBe(1);
    }
  });

  test("store() into a hole or a frozen file makes a page of its own", () => {
    const file = testFile({ extents: [{ offset: 0, length: PAGE, kind: "hole" }] });
    const frozen = { code: "EOPNOTSUPP", why: "it can never change" } as const;
    const mapping = mapFile(file, { sharing: "private", frozen });
    expect(mapping.store(Uint8Array.of(7), 3)).toBe(1);
    const into = new Uint8Array(5);
    mapping.load(into, 0);
    expect([...into]).toEqual([0, 0, 0, 7, 0]);
  });
});

test("load() and store() of good bytes cost one probe and one copy each", () => {
  const file = testFile();
  file.device.inject({ offset: PAGE * 10, length: 1 });
  const calls: string[] = [];
  const { direct } = file;
  const counted: DirectAccess = {
    ...direct,
    probe: (page, pages, mode) => {
      calls.push("probe");
      return direct.probe(page, pages, mode);
    },
    load: (into, offset) => {
      calls.push("load");
      return direct.load(into, offset);
    },
    store: (from, offset) => {
      calls.push("store");
      direct.store(from, offset);
    },
  };
  const mapping = mapFile({ ...file, direct: counted });
  mapping.load(new Uint8Array(PAGE * 3), 5);
  mapping.store(new Uint8Array(PAGE * 3), 5);
  expect(calls).toEqual(["probe", "load", "probe", "store"]);
});
