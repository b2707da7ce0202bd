/** Files on a device that knows nothing of poison (a window, a segment): plain calls reach the memory, what asks for recovery is refused. */
import { describe, expect, test } from "vitest";
import { createWindow, type NoRecoveryDevice } from "../../src/device/index.ts";
import {
  failFastHandle,
  openFile,
  recoveryHandle,
  RWF_RECOVERY_DATA,
  type Face,
} from "../../src/file/index.ts";
import { loadTable, mappedDevice, parseTable } from "../../src/mapper/index.ts";
import { RecordedDevice } from "./support/recorded-device.ts";

const PAGE = 4096;
const FACES: readonly Face[] = ["dax", "direct", "buffered"];
const REFUSED = { code: "EOPNOTSUPP", errno: -95 };

function makeWindow(): { readonly device: NoRecoveryDevice; readonly bytes: Uint8Array } {
  const bytes = new Uint8Array(8 * PAGE).fill(7);
  return { bytes, device: createWindow(bytes, { offset: PAGE, length: 4 * PAGE }) };
}

describe.each(FACES)("on the %s face", (face) => {
  test("C9: preadv2() and pwritev2() without the flag are plain copies", async () => {
    const { device, bytes } = makeWindow();
    const file = await openFile(device, { face });
    expect(await file.pwritev2(new Uint8Array(PAGE).fill(9), PAGE)).toBe(PAGE);
    const into = new Uint8Array(3 * PAGE);
    expect(await file.preadv2(into, 0)).toBe(3 * PAGE);
    expect([into[0], into[PAGE], into[2 * PAGE]]).toEqual([7, 9, 7]);
    expect([bytes[2 * PAGE - 1], bytes[2 * PAGE], bytes[3 * PAGE]]).toEqual([7, 9, 7]);
    expect(await failFastHandle(file).preadv2(into, 0)).toBe(3 * PAGE);
  });

  test("pwritev2() with RWF_RECOVERY_DATA is EOPNOTSUPP before any byte moves", async () => {
    const { device, bytes } = makeWindow();
    const file = await openFile(device, { face });
    const data = new Uint8Array(PAGE).fill(9);
    await expect(file.pwritev2(data, 0, RWF_RECOVERY_DATA)).rejects.toMatchObject(REFUSED);
    await expect(recoveryHandle(file).pwritev2(data, 0)).rejects.toMatchObject(REFUSED);
    expect(bytes.every((byte) => byte === 7)).toBe(true);
  });

  test("preadv2() with RWF_RECOVERY_DATA, and readRecover(), are EOPNOTSUPP before any byte moves", async () => {
    const file = await openFile(makeWindow().device, { face });
    const into = new Uint8Array(PAGE);
    await expect(file.preadv2(into, 0, RWF_RECOVERY_DATA)).rejects.toMatchObject(REFUSED);
    await expect(recoveryHandle(file).preadv2(into, 0)).rejects.toMatchObject(REFUSED);
    await expect(file.readRecover(into, 0)).rejects.toMatchObject(REFUSED);
    expect(into.every((byte) => byte === 0)).toBe(true);
  });

  test("pwritev2() with RWF_RECOVERY_DATA over a table with one row that cannot recover writes no row", async () => {
    const { device: window, bytes } = makeWindow();
    const pmem = new RecordedDevice(new Uint8Array(4 * PAGE).fill(7));
    const table = parseTable("0 32 linear pmem 0\n32 32 linear window 0", "table");
    const rows = loadTable(table, {
      path: "table",
      lookup: (word) => (word === "pmem" ? pmem : window),
    });
    const device = mappedDevice(rows, { name: "table" });
    const file = await openFile(device, { face });
    pmem.makeBad({ offset: 3 * PAGE, length: 512 });
    const data = new Uint8Array(2 * PAGE).fill(9);
    await expect(file.pwritev2(data, 3 * PAGE, RWF_RECOVERY_DATA)).rejects.toMatchObject(REFUSED);
    expect(bytes.every((byte) => byte === 7)).toBe(true);
    expect(pmem.poison.totals().poisoned).toBe(512);
    // The row that can recover still does.
    expect(await file.pwritev2(data.subarray(PAGE), 3 * PAGE, RWF_RECOVERY_DATA)).toBe(PAGE);
    expect(pmem.poison.empty).toBe(true);
  });
});
