/** Errors as `ndctl inject-error` puts them in. S30 and S31 are its scenarios on a kernel with nfit_test. */
import { expect, test } from "vitest";
import {
  AddressRangeScrub,
  createMemoryDevice,
  DriverBadblocks,
  ErrorInjection,
  type SimulatedDevice,
} from "../../../src/device/index.ts";

function deviceOf(clearUnit = 256): SimulatedDevice {
  return createMemoryDevice({ bytes: new Uint8Array(65_536).fill(1), clearUnit });
}

function faultsOf(device: SimulatedDevice): number[][] {
  return Array.from(device.faults(), ({ offset, length }) => [offset, length]);
}

test("inject() poisons the first clear unit of each block, with saturate all of it", () => {
  const device = deviceOf();
  const injection = new ErrorInjection(device);
  injection.inject({ block: 10, count: 2 });
  expect(faultsOf(device)).toEqual([
    [5120, 256],
    [5632, 256],
  ]);
  injection.inject({ block: 20, count: 2 }, { saturate: true });
  expect(faultsOf(device).at(-1)).toEqual([10_240, 1024]);
  expect(injection.status()).toEqual({
    badblocks: [
      { block: 10, count: 2 },
      { block: 20, count: 2 },
    ],
  });
});

test("inject() on a device with clear units of a block and more poisons whole blocks", () => {
  const device = deviceOf(512);
  new ErrorInjection(device).inject({ block: 3, count: 2 });
  expect(faultsOf(device)).toEqual([[1536, 1024]]);
});

test("S30: inject() without notice is known to nobody until a scrub", () => {
  const device = deviceOf();
  const driver = new DriverBadblocks(device);
  new ErrorInjection(device).inject({ block: 8, count: 8 }, { notify: false });
  expect(driver.read()).toBe("");
  const scrub = new AddressRangeScrub(device);
  scrub.start();
  scrub.advance(device.size);
  expect(driver.read()).toBe("8 8\n");
});

test("inject() with notice is known at once, also while a scrub that passed there is under way only once it ends", () => {
  const device = deviceOf();
  const scrub = new AddressRangeScrub(device);
  const injection = new ErrorInjection(device, { scrub });
  injection.inject({ block: 1, count: 1 });
  expect(new DriverBadblocks(device).read()).toBe("1 1\n");
  scrub.start();
  injection.inject({ block: 5, count: 1 });
  expect(new DriverBadblocks(device).read()).toBe("1 1\n");
  scrub.advance(device.size);
  expect(new DriverBadblocks(device).read()).toBe("1 1\n5 1\n");
});

test("S31, R1: uninject() leaves the driver's record until data is written", () => {
  const device = deviceOf();
  const injection = new ErrorInjection(device);
  const driver = new DriverBadblocks(device);
  injection.inject({ block: 8, count: 1 });
  injection.uninject({ block: 8, count: 1 });
  expect(injection.status()).toEqual({ badblocks: [] });
  expect(driver.read()).toBe("8 1\n");
  expect(device.readSync(new Uint8Array(512), 4096).missing.length).toBe(1);
  device.write(new Uint8Array(512), 4096);
  expect(driver.read()).toBe("");
});

test("R1: uninject() of latent poison leaves it lost, because its bytes are gone", () => {
  const device = deviceOf();
  const injection = new ErrorInjection(device);
  injection.inject({ block: 8, count: 1 }, { notify: false });
  injection.uninject({ block: 8, count: 1 });
  expect([...device.poison.bad({ offset: 0, length: 65_536 })]).toEqual([
    { offset: 4096, length: 256, state: "lost" },
  ]);
});

test("inject() counts blocks from the namespace's data, and refuses blocks that are none", () => {
  const device = deviceOf();
  const injection = new ErrorInjection(device, { dataOffset: 4096 });
  injection.inject({ block: 0, count: 1 });
  expect(faultsOf(device)).toEqual([[4096, 256]]);
  expect(injection.status()).toEqual({ badblocks: [{ block: 0, count: 1 }] });
  expect(() => injection.inject({ block: 119, count: 2 })).toThrow(/^EINVAL/);
  expect(() => injection.uninject({ block: 0, count: 0 })).toThrow(/^EINVAL/);
});
