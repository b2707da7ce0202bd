/**
 * The peers' scenarios of recovery reads and writes, S20 to S22 and S31 to S37 by their numbers there; S36 is test/simulation/file-calls-crash.
 *
 * The kernel's own scenarios have the same numbers for other things. Those that need no kernel: S01 to S17, S27 to S29, S47 and S51 are the rows R,
 * W, U, C and B of dax-calls-linux and block-calls-linux; S18, S20, S22, S33, S34, S52 and S53 driver-badblocks; S21 and S23 badblocks-table; S24 and
 * S25 mapped-file; S26 zero-range; S30 and S31 error-injection; S35 to S37 layout-vectors; S43 cxl-mailbox; S46 file-calls; S49 the crash sweeps;
 * S48 is here. S19 cannot happen: buffers are this process' own.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { BUS_MCEERR_AR, daxDeviceOf } from "../../src/dax/index.ts";
import {
  clearError,
  createImage,
  createMemoryDevice,
  CxlMailbox,
  ErrorInjection,
  type SimulatedDevice,
} from "../../src/device/index.ts";
import { mapFile, openFile, RWF_RECOVERY_DATA, type Face } from "../../src/file/index.ts";
import { openFileMap } from "../../src/fs/index.ts";
import { content, expectBytes, listed, PAGE, testFile } from "../dax/support/dax-file.ts";
import { treeImage } from "../rescue/support/tree.ts";
import { faultOf } from "./support/fault-of.ts";

const SECTOR = 512;
const FACES: readonly Face[] = ["dax", "direct", "buffered"];

function statesOf(device: SimulatedDevice): (readonly [string, number, number])[] {
  return [...device.poison.bad({ offset: 0, length: device.size })].map(
    ({ state, offset, length }) => [state, offset, length],
  );
}

describe.each(FACES)("on the %s face", (face) => {
  test("S20: of 8 sectors of which the first 256 bytes are bad, recovery gives 2048 bytes and 8 holes; saturated nothing", async () => {
    for (const saturate of [false, true]) {
      const { device } = testFile({ clearUnit: 256, poisonUnit: 256 });
      new ErrorInjection(device).inject({ block: 42, count: 8 }, { saturate });
      const into = new Uint8Array(PAGE).fill(0xee);
      const file = await openFile(device, { face });
      const { holes } = await file.readRecover(into, 42 * SECTOR);
      const wanted = content(42 * SECTOR, PAGE);
      for (const hole of holes)
        wanted.fill(0xee, hole.offset - 42 * SECTOR, hole.offset + hole.length - 42 * SECTOR);
      expectBytes(into, wanted);
      const found = holes.map(({ offset, length }) => [offset, length]);
      const eighth = Array.from({ length: 8 }, (_, index) => [(42 + index) * SECTOR, 256]);
      expect(found).toEqual(saturate ? [[42 * SECTOR, PAGE]] : eighth);
    }
  });

  test("S21: one bad sector in a page: a plain read is an I/O error, recovery gives 3584 bytes and one hole at 512", async () => {
    const { device } = testFile();
    device.inject({ offset: SECTOR, length: SECTOR });
    const file = await openFile(device, { face });
    const into = new Uint8Array(PAGE);
    await expect(file.preadv2(into, 0)).rejects.toMatchObject({ code: "EIO" });
    const { holes } = await file.readRecover(into, 0);
    expect(holes).toEqual([{ offset: SECTOR, length: SECTOR, state: "poisoned" }]);
    expectBytes(into.subarray(0, SECTOR), content(0, SECTOR));
    expectBytes(into.subarray(2 * SECTOR), content(2 * SECTOR, 3072));
  });

  test("S31: R2, R4, R8: a recovery write over a bad 4 KiB of a file: new bytes, neighbours as they were, at the same place", async () => {
    const bytes = treeImage();
    const pristine = bytes.slice();
    const device = createMemoryDevice({ bytes, poisonUnit: 64, clearUnit: 256 });
    const map = await openFileMap(device);
    const inode = (await map.lookup("/docs/archive.bin")) as number;
    const before = await map.extents(inode);
    const [extent] = before;
    const place = (extent?.device ?? 0) + 2 * PAGE;
    device.inject({ offset: place, length: PAGE });
    const file = await openFile(device, { map, path: "/docs/archive.bin", face });
    const data = new Uint8Array(PAGE).fill(0x5a);
    expect(await file.pwritev2(data, 2 * PAGE, RWF_RECOVERY_DATA)).toBe(PAGE);
    expect(statesOf(device)).toEqual([]);
    const into = new Uint8Array(PAGE);
    expect(await file.preadv2(into, 2 * PAGE)).toBe(PAGE);
    expectBytes(into, data);
    pristine.set(data, place);
    expect(Buffer.compare(bytes, pristine)).toBe(0);
    expect(await (await openFileMap(device)).extents(inode)).toEqual(before);
  });

  test("S32: R5: where the device refuses to clear the write fails, and list and bytes are what they were", async () => {
    for (const latent of [false, true]) {
      const { device, bytes } = testFile();
      const bad = device.inject({ offset: PAGE, length: PAGE }, { latent });
      device.setFault({ ...bad, kind: "refuses", on: true });
      const old = bytes.slice();
      const file = await openFile(device, { face });
      const write = file.pwritev2(new Uint8Array(PAGE).fill(9), PAGE, RWF_RECOVERY_DATA);
      await expect(write).rejects.toMatchObject({ code: "EIO", ranges: [bad] });
      expect(statesOf(device)).toEqual([["poisoned", PAGE, PAGE]]);
      const into = new Uint8Array(device.size);
      const { holes } = await file.readRecover(into, 0);
      expect(holes).toEqual([{ ...bad, state: "poisoned" }]);
      old.fill(0, PAGE, 2 * PAGE);
      expectBytes(into, old);
    }
  });

  test("S33: R3, R5: a clear of 3 of 8 units fails the write; 3 are lost, 5 stay, and none of the 8 is readable", async () => {
    const device = createMemoryDevice({
      bytes: content(0, 4 * PAGE),
      poisonUnit: SECTOR,
      clearUnit: SECTOR,
      clear: "firmware",
      clearLimit: 3 * SECTOR,
    });
    const bad = device.inject({ offset: PAGE, length: PAGE });
    const file = await openFile(device, { face });
    const write = file.pwritev2(new Uint8Array(PAGE).fill(9), PAGE);
    await expect(write).rejects.toMatchObject({ code: "EIO" });
    expect(statesOf(device)).toEqual([
      ["lost", PAGE, 3 * SECTOR],
      ["poisoned", PAGE + 3 * SECTOR, 5 * SECTOR],
    ]);
    const into = new Uint8Array(3 * PAGE).fill(0xee);
    const { holes } = await file.readRecover(into, 0);
    expect(holes.reduce((sum, { length }) => sum + length, 0)).toBe(bad.length);
    expect(into.subarray(PAGE, 2 * PAGE).every((byte) => byte === 0xee)).toBe(true);
    // With the flag the firmware is asked for less, and the write lands.
    expect(await file.pwritev2(new Uint8Array(PAGE), PAGE, RWF_RECOVERY_DATA)).toBe(PAGE);
    expect(statesOf(device)).toEqual([]);
  });
});

test("S22: R1: a mapped load of a page with 8 bad sectors is one fault with its address and size, and no loop", () => {
  const file = testFile();
  file.device.inject({ offset: 0, length: 8 * SECTOR });
  const mapping = mapFile(file);
  const fault = faultOf(() => mapping.load(new Uint8Array(PAGE), 0));
  expect(fault).toMatchObject({ siCode: BUS_MCEERR_AR, address: 0, lsb: 12 });
  expect(mapping.takeEvents().events).toEqual([]);
  const section = mapping.section(() => mapping.load(new Uint8Array(PAGE), 0));
  expect(section.value).toBe(0);
  const event = { siCode: BUS_MCEERR_AR, address: 0, lsb: 12 };
  expect(section.events).toEqual([expect.objectContaining(event)]);
});

test("S34: R5: a clear that clears less than it is asked is an error, and success only where it is all", () => {
  const options = {
    size: 4 * PAGE,
    poisonUnit: SECTOR,
    clearUnit: SECTOR,
    clear: "firmware",
  } as const;
  for (const clearLimit of [0, 3 * SECTOR, PAGE]) {
    const device = createMemoryDevice({ ...options, clearLimit });
    device.inject({ offset: PAGE, length: PAGE });
    const clear = (): void => device.clear({ offset: PAGE, length: PAGE });
    if (clearLimit === PAGE) clear();
    else expect(clear).toThrow("EIO");
    const { poisoned, lost } = device.poison.totals();
    expect([poisoned, lost]).toEqual([PAGE - clearLimit, clearLimit]);
  }
  const device = createMemoryDevice({ ...options, clearLimit: 3 * SECTOR });
  device.inject({ offset: PAGE, length: PAGE });
  expect(clearError(device, { offset: PAGE, length: PAGE })).toBe(3 * SECTOR);
});

test("S35: R1, R4: a bare clear leaves the line lost until data is written or it is acknowledged; with zeros as data it reads as zeros", async () => {
  const device = createMemoryDevice({ size: 2 * PAGE, clear: "atomic", clearUnit: 64 });
  device.inject({ offset: 640, length: 64 });
  device.clear({ offset: 640, length: 64 });
  expect(statesOf(device)).toEqual([["lost", 640, 64]]);
  const file = await openFile(device);
  await expect(file.preadv2(new Uint8Array(64), 640)).rejects.toMatchObject({ code: "EIO" });
  expect(await file.pwritev2(new Uint8Array(64).fill(3), 640, RWF_RECOVERY_DATA)).toBe(64);
  expect(statesOf(device)).toEqual([]);
  const mailbox = new CxlMailbox(device);
  mailbox.injectPoison(640);
  mailbox.clearPoison(640);
  const into = new Uint8Array(64).fill(0xee);
  expect(await file.preadv2(into, 640)).toBe(64);
  expect(into.every((byte) => byte === 0)).toBe(true);
});

test("S37: a request to move a page away is refused, hard poison is a fault, and a write in place makes the page usable again", () => {
  const file = testFile();
  const dax = daxDeviceOf(file.device);
  const mapping = mapFile(file);
  expect(() => dax.softOffline({ offset: PAGE, length: 1 })).toThrow("EOPNOTSUPP");
  expect(mapping.load(new Uint8Array(PAGE), PAGE)).toBe(PAGE);
  dax.memoryFailure({ offset: PAGE + 512, lsb: 6 });
  expect(faultOf(() => mapping.load(new Uint8Array(8), PAGE)).siCode).toBe(BUS_MCEERR_AR);
  file.direct.heal(new Uint8Array(PAGE).fill(9), PAGE);
  const into = new Uint8Array(PAGE);
  expect(mapping.load(into, PAGE)).toBe(PAGE);
  expect(into.every((byte) => byte === 9)).toBe(true);
  expect(listed(file)).toEqual([]);
});

const folder = mkdtempSync(join(tmpdir(), "theriac-scenarios-"));
afterAll(() => rmSync(folder, { recursive: true }));

test.each(["direct", "buffered"] as const)(
  "S48 of the kernel: R1, R3: beside two writers that heal, a reader gets EIO or the data of one of them, never a mixture: %s",
  async (face) => {
    // So long that a read waits in the thread pool while writes come and go.
    const length = 512 * 1024;
    const device = createImage(join(folder, face), { size: length, clear: "firmware" });
    const file = await openFile(device, { face });
    for (let round = 0; round < 12; round += 1) {
      device.inject({ offset: 0, length });
      const buffers = Array.from({ length: 4 }, () => new Uint8Array(length));
      const read = (into: Uint8Array): Promise<number> =>
        file.preadv2(into, 0, RWF_RECOVERY_DATA).catch((error: { code: string }) => {
          expect(error.code).toBe("EIO");
          return 0;
        });
      const write = (byte: number): Promise<number> =>
        file.pwritev2(new Uint8Array(length).fill(byte), 0, RWF_RECOVERY_DATA);
      const [first, second, third, fourth] = buffers as [
        Uint8Array,
        Uint8Array,
        Uint8Array,
        Uint8Array,
      ];
      const calls = [read(first), write(1), read(second), write(2), read(third)];
      const counts = await Promise.all(calls);
      expect([counts[1], counts[3]]).toEqual([length, length]);
      expect(await read(fourth)).toBe(length);
      for (const [index, into] of [first, second, third, fourth].entries()) {
        const count = [counts[0], counts[2], counts[4], length][index] as number;
        expect([0, length]).toContain(count);
        expect(into.subarray(0, count).every((byte) => byte === into[0])).toBe(true);
      }
    }
    device.close();
  },
);
