/** loadTable: what the kernel refuses when it loads a table is refused, in its words, with line and wish. */
import { describe, expect, test } from "vitest";
import { StorageError } from "../../src/base/index.ts";
import { createMemoryDevice, type ManagedDevice } from "../../src/device/index.ts";
import {
  loadTable,
  mappedDevice,
  parseTable,
  type MappedManagedDevice,
} from "../../src/mapper/index.ts";
import { checkAreas, usedAreas } from "../../src/mapper/load-table.ts";

const leaf = (name: string): ManagedDevice => createMemoryDevice({ size: 65_536, name });

function load(text: string): MappedManagedDevice {
  const leaves = new Map(["a", "b"].map((name) => [name, leaf(name)]));
  const rows = loadTable(parseTable(text, "t"), { path: "t", lookup: (word) => leaves.get(word) });
  return mappedDevice(rows, { name: "t" }) as MappedManagedDevice;
}

describe("loadTable()", () => {
  test.each([
    ["", "line 1: want at least one row: got none"],
    ["8 8 zero", "line 1: Gap in table: want start 0: got 8"],
    ["0 8 zero\n16 8 zero", "line 2: Gap in table: want start 8: got 16"],
    ["0 8 zero\n4 8 zero", "line 2: Gap in table: want start 8: got 4"],
    [
      "0 8 raid6 a 0",
      "unknown target type: want one of linear, striped, unstriped, error, zero, dust, log-writes",
    ],
    ["0 8 linear a", "linear: Invalid argument count: want DEVICE START: got 1 words"],
    ["0 8 linear a 0 1", "Invalid argument count"],
    ["0 8 linear a x", 'Invalid device sector: want sectors of 512 bytes: got "x"'],
    ["0 8 linear c 0", 'Device lookup failed: want a device that the file names: got "c"'],
    ["0 256 linear a 0", "a too small for target: start=0, len=256, dev_size=128"],
    ["0 8 striped 2", "Not enough arguments"],
    ["0 8 striped 0 8 a 0", 'Invalid stripe count: want a number from 1 to 4294967295: got "0"'],
    ["0 8 striped 2 x a 0 b 0", 'Invalid chunk_size: want a number from 1 to 4294967295: got "x"'],
    ["0 9 striped 2 8 a 0 b 0", "Target length not divisible by number of stripes"],
    ["0 24 striped 2 8 a 0 b 0", "Target length not divisible by chunk size"],
    ["0 16 striped 2 8 a 0", "Not enough destinations specified"],
    ["0 16 striped 2 8 a 0 c 0", "Device lookup failed"],
    ["0 8 unstriped 2 8 0 a", "unstriped: Invalid number of arguments: want COUNT CHUNK STRIPE"],
    ["0 8 unstriped 0 8 0 a 0", "Invalid stripe count: want a number from 1 to 4294967295"],
    ["0 8 unstriped 2 x 0 a 0", 'Invalid chunk_size: want a number from 1 to 4294967295: got "x"'],
    ["0 8 unstriped 2 8 y a 0", "Invalid stripe number: want a number from 0"],
    ["0 8 unstriped 2 8 3 a 0", "Please provide stripe between [0, # of stripes]: want at most 2"],
    ["0 8 unstriped 2 8 0 c 0", "Device lookup failed"],
    [
      "0 8 unstriped 2 8 0 a z",
      'Invalid striped device offset: want sectors of 512 bytes: got "z"',
    ],
    ["0 9 unstriped 2 8 0 a 0", "Target length not divisible by chunk size"],
    ["0 72 unstriped 2 8 0 a 0", "a too small for target: start=0, len=136, dev_size=128"],
    ["0 8 unstriped 2 8 0 a 0\n8 8 linear a 0", "sector 0 of a is used twice"],
    ["0 16 unstriped 2 8 0 a 0\n16 8 linear a 8", "sector 8 of a is used twice"],
    ["0 8 zero a", "zero: No arguments required: got 1 words"],
    ["0 8 error a", "error: Invalid argument count: want none, or DEVICE START: got 1 words"],
    ["0 8 linear a 0\n8 8 linear a 4", "line 2: sector 4 of a is used twice"],
    ["0 16 striped 2 8 a 0 a 0", "sector 0 of a is used twice"],
  ])("%j is EBADMSG: %s", (text, message) => {
    expect(() => load(text)).toThrow(StorageError);
    expect(() => load(text)).toThrow(message);
  });

  test.each([
    ["in each other's gaps", [0, 8, 2], [1, 8, 2], true],
    ["of other chunks that fit", [0, 8, 2], [2, 4, 4], true],
    ["of other chunks that do not", [0, 8, 2], [1, 4, 4], false],
    ["of other steps", [0, 8, 2], [1, 8, 3], false],
  ] as const)("two stripes of one device %s", (...[, one, other, isGood]) => {
    const row = ([stripe, chunk, count]: readonly number[]): string =>
      `0 ${2 * (chunk ?? 0)} unstriped ${count} ${chunk} ${stripe} a 0`;
    const leaves = new Map([["a", leaf("a")]]);
    const areas = [row(one), row(other)].flatMap((text) => {
      const rows = loadTable(parseTable(text, "t"), {
        path: "t",
        lookup: (word) => leaves.get(word),
      });
      return usedAreas(rows, "t");
    });
    if (isGood) checkAreas(areas);
    else expect(() => checkAreas(areas)).toThrow("of a is used twice");
  });

  test("allows what the kernel allows: one device at two places that share no byte, in any order", () => {
    expect(load("0 8 linear a 64\n8 8 linear a 0\n16 16 striped 2 8 a 8 a 16").size).toBe(32 * 512);
  });
});

describe("error", () => {
  test("is poisoned all over, fails whatever comes, and turns direct access off for the whole table", async () => {
    const device = load("0 8 linear a 0\n8 8 error");
    expect(device.direct).toBeUndefined();
    expect(device.capabilities.clear).toBe("firmware");
    expect([...device.poison.bad({ offset: 0, length: 8192 })]).toEqual([
      { offset: 4096, length: 4096, state: "poisoned" },
    ]);
    const { missing } = await device.read(new Uint8Array(8192), 0);
    expect(missing).toEqual([{ offset: 4096, length: 4096, state: "poisoned" }]);
    const [first, second] = await device.heal([
      { offset: 0, data: new Uint8Array(512) },
      { offset: 8000, data: new Uint8Array(10) },
    ]);
    expect(first).toBeUndefined();
    expect(second).toMatchObject({ code: "EIO", ranges: [{ offset: 8000, length: 10 }] });
    expect(device.poison.totals().poisoned).toBe(4096);
  });
});

describe("zero", () => {
  test("reads as zeros, forgets what is written, is clean, and has no direct access", async () => {
    const device = load("0 8 zero\n8 8 linear a 0");
    await device.write(new Uint8Array(8192).fill(7), 0);
    const bytes = new Uint8Array(8192).fill(1);
    expect((await device.read(bytes, 0)).missing).toEqual([]);
    expect(bytes.subarray(0, 4096).every((byte) => byte === 0)).toBe(true);
    expect(bytes.subarray(4096).every((byte) => byte === 7)).toBe(true);
    expect(device.poison.totals()).toMatchObject({ clean: 4096, unread: 4096 });
    expect(device.holeFrom(0)).toBe(4096);
    expect(device.direct).toBeUndefined();
  });
});
