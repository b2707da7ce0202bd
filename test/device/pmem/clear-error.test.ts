/** The firmware's clear without data. */
import { expect, test } from "vitest";
import { clearError, createMemoryDevice, type SimulatedDevice } from "../../../src/device/index.ts";

function poisoned(): SimulatedDevice {
  const device = createMemoryDevice({ size: 8192, clearUnit: 256 });
  device.inject({ offset: 1024, length: 1024 });
  return device;
}

function listOf(device: SimulatedDevice): unknown[] {
  return [...device.poison.bad({ offset: 0, length: device.size })];
}

test("R4: clearError() clears, and what it cleared is lost until data is written", () => {
  const device = poisoned();
  expect(clearError(device, { offset: 1024, length: 512 })).toBe(512);
  expect(listOf(device)).toEqual([
    { offset: 1024, length: 512, state: "lost" },
    { offset: 1536, length: 512, state: "poisoned" },
  ]);
  expect(device.readSync(new Uint8Array(64), 1024).missing.length).toBe(1);
  device.write(new Uint8Array(1024), 1024);
  expect(device.poison.empty).toBe(true);
});

test("R4: clearError() that stops half-way says how far it came, and that part is lost", () => {
  const device = poisoned();
  device.setFault({ offset: 1024, length: 1024, kind: "partial", on: true });
  expect(clearError(device, { offset: 1024, length: 1024 })).toBe(512);
  expect(listOf(device)).toEqual([
    { offset: 1024, length: 512, state: "lost" },
    { offset: 1536, length: 512, state: "poisoned" },
  ]);
});

test("R5: clearError() that is refused is EIO, and the list stays", () => {
  const device = poisoned();
  device.setFault({ offset: 1024, length: 64, kind: "refuses", on: true });
  expect(() => clearError(device, { offset: 1024, length: 256 })).toThrow(/^EIO/);
  expect(listOf(device)).toEqual([{ offset: 1024, length: 1024, state: "poisoned" }]);
});

test.each([
  [1100, 256],
  [1024, 100],
  [1024, 0],
  [-256, 256],
  [8192, 256],
])("clearError() of %i + %i is EINVAL, and nothing changes", (offset, length) => {
  const device = poisoned();
  expect(() => clearError(device, { offset, length })).toThrow(/^EINVAL/);
  expect(listOf(device)).toEqual([{ offset: 1024, length: 1024, state: "poisoned" }]);
});

test.each(["none", "overwrite"] as const)(
  "clearError() of a device that clears by %s is EOPNOTSUPP",
  (clear) => {
    const device = createMemoryDevice({ size: 8192, clear });
    expect(() => clearError(device, { offset: 0, length: 256 })).toThrow(/^EOPNOTSUPP/);
  },
);
