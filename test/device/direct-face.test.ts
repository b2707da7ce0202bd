/** DirectFace: pages that are not present, and what lifts them. Its contract is testing/direct-access-suite.ts. */
import { expect, test } from "vitest";
import { MediaError } from "../../src/base/index.ts";
import {
  createMemoryDevice,
  type DirectAccess,
  type SimulatedDevice,
} from "../../src/device/index.ts";

const PAGE_SIZE = 4096;

/** Eight pages of ones, page 2 not present. */
function withoutPage(): { readonly device: SimulatedDevice; readonly direct: DirectAccess } {
  const device = createMemoryDevice({ bytes: new Uint8Array(8 * PAGE_SIZE).fill(1) });
  device.pages.markNotPresent(2);
  return { device, direct: device.direct as DirectAccess };
}

test("load() stops at a page that is not present, though the list names nothing", () => {
  const { device, direct } = withoutPage();
  const into = new Uint8Array(3 * PAGE_SIZE);
  expect(direct.probe(0, 8, "access")).toBe(8);
  expect(direct.load(into, PAGE_SIZE + 10)).toBe(PAGE_SIZE - 10);
  expect(direct.loadUpTo(into, 2 * PAGE_SIZE, "recovery")).toBe(0);
  expect(direct.load(into, 3 * PAGE_SIZE)).toBe(into.length);
  expect(device.poison.empty).toBe(true);
});

test("load() works on a page with HWPoison alone, as after madvise()", () => {
  const { device, direct } = withoutPage();
  device.pages.markPoisoned(5);
  expect(direct.load(new Uint8Array(PAGE_SIZE), 5 * PAGE_SIZE)).toBe(PAGE_SIZE);
});

test("store() and recoveryWrite() to a page that is not present and not listed fail, and change nothing", () => {
  const { device, direct } = withoutPage();
  const data = new Uint8Array(PAGE_SIZE).fill(7);
  expect(() => direct.store(data, PAGE_SIZE + 1)).toThrow(MediaError);
  expect(direct.recoveryWrite(data, 2 * PAGE_SIZE)).toBe(0);
  const into = new Uint8Array(2 * PAGE_SIZE);
  device.readSync(into, PAGE_SIZE);
  expect(into.every((byte) => byte === 1)).toBe(true);
});

test("recoveryWrite() over listed poison of a whole page lifts the page, one of another page does not", () => {
  const { device, direct } = withoutPage();
  const data = new Uint8Array(PAGE_SIZE).fill(7);
  device.inject({ offset: 2 * PAGE_SIZE + 64, length: 64 });
  device.inject({ offset: 4 * PAGE_SIZE, length: 64 });
  expect(direct.recoveryWrite(data, 4 * PAGE_SIZE)).toBe(PAGE_SIZE);
  expect(device.pages.isPresent(2)).toBe(false);
  expect(direct.recoveryWrite(data, 2 * PAGE_SIZE)).toBe(PAGE_SIZE);
  expect(device.pages.empty).toBe(true);
  expect(direct.load(new Uint8Array(PAGE_SIZE), 2 * PAGE_SIZE)).toBe(PAGE_SIZE);
});

test("zeroPages() lifts only the pages in which it cleared", () => {
  const { device, direct } = withoutPage();
  device.pages.markPoisoned(3);
  device.inject({ offset: 2 * PAGE_SIZE, length: PAGE_SIZE });
  direct.zeroPages(0, 8);
  expect([device.pages.isPoisoned(2), device.pages.isPoisoned(3)]).toEqual([false, true]);
});

test("R2: heal() of a part of a page lifts nothing, of a whole page it does, listed or not", () => {
  const { device, direct } = withoutPage();
  direct.heal(new Uint8Array(512), 2 * PAGE_SIZE);
  expect(device.pages.isPresent(2)).toBe(false);
  direct.heal(new Uint8Array(PAGE_SIZE), 2 * PAGE_SIZE);
  expect(device.pages.isPresent(2)).toBe(true);
});

test("goodView() is the memory where nothing hides under it, and nothing elsewhere (R1)", () => {
  const { device, direct } = withoutPage();
  expect(direct.goodView?.(0, PAGE_SIZE)).toBeUndefined();
  device.pages.noteClear({ offset: 2 * PAGE_SIZE, length: PAGE_SIZE });
  expect(direct.goodView?.(10, PAGE_SIZE)).toEqual(new Uint8Array(PAGE_SIZE).fill(1));
  device.inject({ offset: PAGE_SIZE, length: 64 }, { latent: true });
  expect(direct.goodView?.(0, PAGE_SIZE + 1)).toBeUndefined();
  expect(direct.goodView?.(0, PAGE_SIZE)).toHaveLength(PAGE_SIZE);
  expect(() => direct.goodView?.(0, 9 * PAGE_SIZE)).toThrow(RangeError);
});
