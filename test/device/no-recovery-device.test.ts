/** NoRecoveryDevice: segments and windows: plain access and direct access, no list, and recovery refused before any byte moves. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  checkedDevice,
  createSegment,
  createWindow,
  openSegment,
  openWindow,
  thoroughMode,
  type ManagedDevice,
} from "../../src/device/index.ts";

const SIZE = 16_384;
const bytes = (): Uint8Array => Uint8Array.from({ length: SIZE * 2 }, (_, at) => at % 251);
let folder = "";
let path = "";

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "theriac-segment-"));
  path = join(folder, "host.bin");
  writeFileSync(path, bytes());
});
afterAll(() => rmSync(folder, { recursive: true }));

const KINDS: readonly (readonly [string, number, () => ManagedDevice])[] = [
  ["a segment in memory", 0, () => createSegment(bytes())],
  ["a segment in a file", 0, () => openSegment(path, { access: "write" })],
  ["a window onto memory", 4096, () => createWindow(bytes(), { offset: 4096, length: SIZE })],
  [
    "a window onto a file",
    4096,
    () => openWindow(path, { offset: 4096, length: SIZE }, { access: "write" }),
  ],
];

describe.each(KINDS)("%s", (_name, start, make) => {
  test("gives its bytes, on both faces, and takes writes", async () => {
    const device = checkedDevice(make());
    const into = new Uint8Array(300);
    expect((await device.read(into, 100)).missing).toEqual([]);
    expect(into).toEqual(bytes().subarray(start + 100, start + 400));
    const { direct } = device;
    expect(direct?.load(into, 200)).toBe(300);
    expect(into).toEqual(bytes().subarray(start + 200, start + 500));
    expect(direct?.loadUpTo(into, 0, "failFast")).toBe(300);
    expect(direct?.probe(1, 100, "access")).toBe(device.size / 4096 - 1);
    expect(direct?.probe(1, 1, "recovery")).toBe(1);
    const before = into.slice();
    direct?.store(new Uint8Array(300).fill(1), 0);
    await device.read(into, 0, "failFast");
    expect(into.every((byte) => byte === 1)).toBe(true);
    await device.write(before, 0);
    await device.flush();
    await device.read(into, 0);
    expect(into).toEqual(before);
    expect(() => direct?.view({ offset: device.size, length: 1 })).toThrow(RangeError);
    await device.close();
    await device.close();
  });

  test("refuses recovery with EOPNOTSUPP before any byte moves, and lists nothing", async () => {
    const device = make();
    expect(device.capabilities).toMatchObject({ recovers: false, clear: "none" });
    expect(thoroughMode(device)).toBe("access");
    const zeros = new Uint8Array(4096);
    const calls: (() => unknown)[] = [
      () => device.read(zeros.slice(), 0, "recovery"),
      () => device.write(zeros, 0, "recovery"),
      () => device.clear({ offset: 0, length: 4096 }),
      () => device.recordBad({ offset: 0, length: 1 }, "poisoned"),
      () => device.direct?.loadUpTo(zeros.slice(), 0, "recovery"),
      () => device.direct?.heal(zeros, 0),
    ];
    for (const call of calls) expect(call).toThrow("EOPNOTSUPP");
    expect(await device.heal([{ offset: 0, data: zeros }])).toMatchObject([{ code: "EOPNOTSUPP" }]);
    expect(device.direct?.recoveryWrite(zeros, 0)).toBe(0);
    const into = new Uint8Array(4096);
    await device.read(into, 0);
    expect(into).toEqual(bytes().subarray(start, start + 4096));
    device.recordRead({ offset: 0, length: device.size });
    const { unread, total } = device.poison.totals();
    expect({ unread, empty: device.poison.empty }).toEqual({ unread: total, empty: true });
    await device.close();
  });
});

test("openSegment() for reading takes no write, on either face", () => {
  const device = openSegment(path);
  expect(() => device.write(new Uint8Array(1), 0)).toThrow("EACCES");
  expect(() => device.direct?.store(new Uint8Array(1), 0)).toThrow("EACCES");
  expect(() => device.direct?.zeroPages(0, 1)).toThrow("EACCES");
  device.close();
});

test("openWindow() refuses a window that its file ends before", () => {
  expect(() => openWindow(path, { offset: SIZE, length: SIZE + 1 })).toThrow("EBADMSG");
  openSegment(path, { access: "write" }).close();
});
