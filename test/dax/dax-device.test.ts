/** Failure of memory: who hears of it, and what becomes known. */
import { expect, test } from "vitest";
import { StorageError } from "../../src/base/index.ts";
import {
  BUS_MCEERR_AO,
  daxDeviceOf,
  MF_ACTION_REQUIRED,
  MF_MEM_PRE_REMOVE,
  MF_MUST_KILL,
  type DaxHolder,
  type FailureResult,
  type MappingListener,
} from "../../src/dax/index.ts";
import { sliceDevice } from "../../src/device/index.ts";
import { listed, PAGE, testFile } from "./support/dax-file.ts";

/** A holder that remembers what it was told. */
function holderOf(result: FailureResult): DaxHolder & { readonly told: unknown[] } {
  const told: unknown[] = [];
  return {
    told,
    notifyFailure(range, flags) {
      told.push([range.offset, range.length, flags]);
      return result;
    },
  };
}

/** A mapping of all of a device that remembers what it heard. */
function listenerOf(): MappingListener & { readonly heard: unknown[] } {
  const heard: unknown[] = [];
  return {
    heard,
    maps: () => true,
    failed: ({ offset, length }, siCode) => heard.push(["failed", offset, length, siCode]),
    healed: ({ offset, length }) => heard.push(["healed", offset, length]),
    removed: () => heard.push(["removed"]),
  };
}

test("daxDeviceOf() is one for a device, and another for a slice of it", () => {
  const { device } = testFile();
  expect(daxDeviceOf(device)).toBe(daxDeviceOf(device));
  const slice = sliceDevice(device, { offset: 0, length: PAGE * 4 });
  expect(daxDeviceOf(slice)).not.toBe(daxDeviceOf(device));
  const none = sliceDevice(device, { offset: 512, length: PAGE });
  expect(() => daxDeviceOf(none)).toThrow("EOPNOTSUPP");
});

test("hold() lets one holder in, until it lets go", () => {
  const dax = daxDeviceOf(testFile().device);
  const letGo = dax.hold(holderOf("handled"));
  expect(() => dax.hold(holderOf("handled"))).toThrow(StorageError);
  expect(() => dax.hold(holderOf("handled"))).toThrow("EBUSY");
  letGo();
  const second = holderOf("EIO");
  dax.hold(second);
  letGo();
  expect(dax.notifyFailure({ offset: 0, length: PAGE }, 0)).toBe("EIO");
});

test("notifyFailure() is ENXIO of a dead device, EOPNOTSUPP without a holder, else what the holder says", () => {
  const dax = daxDeviceOf(testFile().device);
  const range = { offset: PAGE, length: PAGE };
  expect(dax.notifyFailure(range, 0)).toBe("EOPNOTSUPP");
  const holder = holderOf("EFSCORRUPTED");
  dax.hold(holder);
  expect(dax.notifyFailure(range, MF_MUST_KILL)).toBe("EFSCORRUPTED");
  expect(holder.told).toEqual([[PAGE, PAGE, MF_MUST_KILL]]);
  dax.kill();
  expect(dax.notifyFailure(range, 0)).toBe("ENXIO");
});

test("kill() tells the holder of the whole device before it goes, then the mappings, once", () => {
  const file = testFile();
  const dax = daxDeviceOf(file.device);
  const holder = holderOf("handled");
  const mapping = listenerOf();
  dax.hold(holder);
  dax.attach(mapping);
  dax.kill();
  dax.kill();
  expect(holder.told).toEqual([[0, file.device.size, MF_MEM_PRE_REMOVE]]);
  expect(mapping.heard).toEqual([["removed"]]);
  expect(dax.alive).toBe(false);
  expect(() => dax.hold(holder)).toThrow("EIO");
  expect(dax.memoryFailure({ offset: 0, lsb: 6 })).toBe("ENXIO");
  expect(listed(file)).toEqual([]);
});

test("memoryFailure() without a holder lists the unit, takes the page away, and tells who maps it", () => {
  for (const [lsb, offset, length] of [
    [6, PAGE + 192, 64],
    [8, PAGE, 256],
    [12, PAGE, PAGE],
  ] as const) {
    const file = testFile();
    const dax = daxDeviceOf(file.device);
    const mapping = listenerOf();
    dax.attach(mapping);
    expect(dax.memoryFailure({ offset: PAGE + 200, lsb })).toBe("handled");
    expect(listed(file)).toEqual([[offset, length]]);
    expect(mapping.heard).toEqual([["failed", offset, length, BUS_MCEERR_AO]]);
    expect([dax.pages.isPoisoned(1), dax.pages.isPresent(1)]).toEqual([true, false]);
    expect([dax.pages.isPoisoned(2), dax.pages.isPresent(2)]).toEqual([false, true]);
  }
});

test("S44: memoryFailure() by madvise poisons the page, lists nothing, and leaves the kernel its address", () => {
  const file = testFile();
  const dax = daxDeviceOf(file.device);
  expect(dax.memoryFailure({ offset: PAGE, lsb: 12, source: "madvise" })).toBe("handled");
  expect(listed(file)).toEqual([]);
  expect([dax.pages.isPoisoned(1), dax.pages.isPresent(1)]).toEqual([true, true]);
  expect(file.direct.load(new Uint8Array(PAGE), PAGE)).toBe(PAGE);
});

test("memoryFailure() that a holder handles reaches nobody else; the unit is listed all the same", () => {
  const file = testFile();
  const dax = daxDeviceOf(file.device);
  const holder = holderOf("handled");
  const mapping = listenerOf();
  dax.hold(holder);
  dax.attach(mapping);
  expect(dax.memoryFailure({ offset: PAGE, lsb: 6 })).toBe("handled");
  expect(holder.told).toEqual([[PAGE, PAGE, 0]]);
  expect(mapping.heard).toEqual([]);
  expect(listed(file)).toEqual([[PAGE, 64]]);
  expect([dax.pages.isPoisoned(1), dax.pages.isPresent(1)]).toEqual([true, false]);
});

test("memoryFailure() gives what a holder cannot handle back, and marks no page", () => {
  const dax = daxDeviceOf(testFile().device);
  dax.hold(holderOf("EFSCORRUPTED"));
  expect(dax.memoryFailure({ offset: PAGE, lsb: 6 })).toBe("EFSCORRUPTED");
  expect(dax.pages.empty).toBe(true);
});

test("killMappings() is a holder's way to those who map its file", () => {
  const dax = daxDeviceOf(testFile().device);
  const mapping = listenerOf();
  const other = { ...listenerOf(), maps: () => false };
  dax.attach(mapping);
  dax.attach(other);
  dax.accessor = mapping;
  dax.killMappings({ offset: PAGE, length: PAGE }, MF_ACTION_REQUIRED);
  expect(mapping.heard).toEqual([["failed", PAGE, PAGE, 4]]);
  expect(other.heard).toEqual([]);
  expect(dax.pages.isPoisoned(1)).toBe(true);
});

test("memoryFailure() keeps what is lost lost, knows no byte past the end, and checks its words", () => {
  const file = testFile();
  const dax = daxDeviceOf(file.device);
  file.device.recordBad({ offset: PAGE, length: 64 }, "lost");
  dax.memoryFailure({ offset: PAGE, lsb: 8 });
  const states = Array.from(file.device.poison.bad({ offset: PAGE, length: PAGE }));
  expect(states).toEqual([
    { offset: PAGE, length: 64, state: "lost" },
    { offset: PAGE + 64, length: 192, state: "poisoned" },
  ]);
  expect(dax.memoryFailure({ offset: file.device.size, lsb: 6 })).toBe("ENXIO");
  expect(() => dax.memoryFailure({ offset: 0, lsb: 31 })).toThrow(RangeError);
  expect(() => dax.memoryFailure({ offset: -1, lsb: 6 })).toThrow(TypeError);
});

test("attach() lets a mapping hear what a scrub finds and what is healed, until it is detached", () => {
  const file = testFile();
  const dax = daxDeviceOf(file.device);
  const mapping = listenerOf();
  const detach = dax.attach(mapping);
  const bad = file.device.inject({ offset: PAGE, length: 1 }, { latent: true });
  file.device.readSync(new Uint8Array(PAGE), PAGE);
  expect(mapping.heard).toEqual([["failed", bad.offset, bad.length, BUS_MCEERR_AO]]);
  expect(dax.pages.isPresent(1)).toBe(false);
  file.device.write(new Uint8Array(256), PAGE);
  expect(mapping.heard.slice(1)).toEqual([["healed", PAGE, 256]]);
  expect(dax.pages.empty).toBe(true);
  detach();
  file.device.inject({ offset: 0, length: 1 }, { latent: true });
  file.device.readSync(new Uint8Array(PAGE), 0);
  expect(mapping.heard.length).toBe(2);
});
