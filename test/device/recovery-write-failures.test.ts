/** Heals and clears that the medium does not bring to their end: what is said, and what is on the list afterwards. */
import { expect, test } from "vitest";
import {
  createMemoryDevice,
  type ClearKind,
  type SimulatedDevice,
} from "../../src/device/index.ts";

const RANGE = { offset: 256, length: 512 };

function poisoned(clear: ClearKind): SimulatedDevice {
  const device = createMemoryDevice({ size: 4096, clear, poisonUnit: 64, clearUnit: 256 });
  device.write(new Uint8Array(4096).fill(7), 0);
  device.inject(RANGE);
  return device;
}

function listOf(device: SimulatedDevice): unknown[] {
  return [...device.poison.bad({ offset: 0, length: device.size })];
}

test.each(["firmware", "atomic"] as const)(
  "R5: write() over a clear that stops half-way says how far, and what was cleared is lost (%s)",
  (clear) => {
    const device = poisoned(clear);
    device.setFault({ ...RANGE, kind: "partial", on: true });
    expect(() => device.write(new Uint8Array(512), 256)).toThrow(/cleared 256 bytes of 512/);
    expect(listOf(device)).toEqual([
      { offset: 256, length: 256, state: "lost" },
      { offset: 512, length: 256, state: "poisoned" },
    ]);
    expect(() => device.clear(RANGE)).toThrow(/cleared 256 bytes of 512/);
  },
);

test("R5: write() over a clear that is refused says so, and one that pretends is found out", () => {
  const refusing = poisoned("firmware");
  refusing.setFault({ ...RANGE, kind: "refuses", on: true });
  expect(() => refusing.write(new Uint8Array(512), 256)).toThrow(/refuses to clear/);
  const pretending = poisoned("pretends");
  expect(() => pretending.write(new Uint8Array(512), 256)).toThrow(/answered well/);
  for (const device of [refusing, pretending])
    expect(listOf(device)).toEqual([{ ...RANGE, state: "poisoned" }]);
});

test("R1: good bytes that a half-done clear took are lost, the others are what they were", () => {
  const device = poisoned("overwrite");
  device.setFault({ offset: 300, length: 100, kind: "partial", on: true });
  expect(() => device.clear({ offset: 256, length: 1024 })).toThrow(/cleared/);
  const into = new Uint8Array(4096);
  const { missing } = device.readSync(into, 0, "recovery");
  expect(missing.map(({ offset, length }) => ({ offset, length }))[0]?.offset).toBe(256);
  for (const hole of missing) into.fill(7, hole.offset, hole.offset + hole.length);
  expect(into.every((byte) => byte === 7)).toBe(true);
});

test.each(["head", "tail"] as const)(
  "write() that heals, and meets latent poison in a unit that it covers in part, comes to an end (%s)",
  (side) => {
    const device = poisoned("firmware");
    device.inject({ offset: side === "tail" ? 1024 : 0, length: 64 }, { latent: true });
    const data = new Uint8Array(800).fill(9);
    const offset = side === "tail" ? 240 : 32;
    device.write(data, offset);
    const into = new Uint8Array(800);
    expect(device.readSync(into, offset).missing).toEqual([]);
    expect(into).toEqual(data);
  },
);
