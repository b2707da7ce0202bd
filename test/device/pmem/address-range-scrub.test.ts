/** Firmware's look through the media. */
import { expect, test } from "vitest";
import {
  AddressRangeScrub,
  createMemoryDevice,
  type SimulatedDevice,
} from "../../../src/device/index.ts";

const SIZE = 65_536;

/** Latent poison at two places, known at a third. */
function poisoned(): SimulatedDevice {
  const device = createMemoryDevice({ size: SIZE });
  device.inject({ offset: 4096, length: 64 }, { latent: true });
  device.inject({ offset: 40_960, length: 128 }, { latent: true });
  device.inject({ offset: 20_000, length: 1 });
  return device;
}

function listOf(device: SimulatedDevice): number[] {
  return Array.from(device.poison.bad({ offset: 0, length: SIZE }), ({ offset }) => offset);
}

test("capabilities() tells the clear unit and the room for 170 records", () => {
  const scrub = new AddressRangeScrub(createMemoryDevice({ size: SIZE, clearUnit: 512 }));
  expect(scrub.capabilities()).toEqual({ maxOutBytes: 44 + 170 * 24, clearErrorUnit: 512 });
});

test("a long scrub tells its progress, and what it finds becomes known when it is done", () => {
  const device = poisoned();
  const scrub = new AddressRangeScrub(device);
  expect(scrub.status().state).toBe("none");
  scrub.start();
  expect(scrub.advance(32_768)).toBe(true);
  expect(scrub.status()).toMatchObject({
    state: "busy",
    bytesDone: 32_768,
    restart: { offset: 32_768, length: 32_768 },
    records: [],
  });
  expect(listOf(device)).toEqual([19_968]);
  expect(scrub.advance(32_768)).toBe(false);
  expect(scrub.status()).toMatchObject({ state: "done", bytesDone: SIZE, overflow: false });
  expect(scrub.status().records).toEqual([
    { offset: 4096, length: 64 },
    { offset: 19_968, length: 64 },
    { offset: 40_960, length: 128 },
  ]);
  expect(listOf(device)).toEqual([4096, 19_968, 40_960]);
});

test("start() while a scrub is under way is EBUSY; behind it a new one begins", () => {
  const scrub = new AddressRangeScrub(poisoned());
  scrub.start({ range: { offset: 0, length: 8192 } });
  expect(() => scrub.start()).toThrow(/^EBUSY/);
  scrub.advance(8192);
  scrub.start();
  expect(scrub.status()).toMatchObject({ state: "busy", bytesDone: 0 });
});

test("a short scrub gives what is known, and finds nothing", () => {
  const device = poisoned();
  const scrub = new AddressRangeScrub(device);
  scrub.start({ previousData: true });
  expect(scrub.status()).toMatchObject({
    state: "done",
    records: [{ offset: 19_968, length: 64 }],
  });
  expect(listOf(device)).toEqual([19_968]);
});

test("abort() stops a scrub where it is; what it found is known", () => {
  const device = poisoned();
  const scrub = new AddressRangeScrub(device);
  scrub.start();
  scrub.advance(8192);
  scrub.abort();
  expect(scrub.status()).toMatchObject({
    state: "stopped",
    restart: { offset: 8192, length: SIZE - 8192 },
    records: [{ offset: 4096, length: 64 }],
  });
  expect(listOf(device)).toEqual([4096, 19_968]);
  expect(scrub.advance(1)).toBe(false);
});

test("a scrub without room for the next record stops before it with overflow, and goes on from there", async () => {
  const device = poisoned();
  const scrub = new AddressRangeScrub(device, { maxRecords: 2 });
  scrub.start();
  scrub.advance(SIZE);
  const { state, overflow, records, restart } = scrub.status();
  expect([state, overflow, records.length]).toEqual(["stopped", true, 2]);
  expect(restart).toEqual({ offset: 40_960, length: SIZE - 40_960 });
  expect(listOf(device)).toEqual([4096, 19_968]);
  scrub.start({ range: restart });
  expect(await scrub.run()).toEqual([{ offset: 40_960, length: 128 }]);
  expect(listOf(device)).toEqual([4096, 19_968, 40_960]);
});

test("run() gives all records over every overflow, one that steps cut is one, and takes its time from the clock", async () => {
  let sleptMs = 0;
  const clock = {
    now: () => 0,
    sleep: (delayMs: number) => {
      sleptMs += delayMs;
      return Promise.resolve();
    },
  };
  const device = poisoned();
  device.inject({ offset: 8192 - 64, length: 128 }, { latent: true });
  const scrub = new AddressRangeScrub(device, { maxRecords: 1, clock });
  scrub.start();
  const found = await scrub.run({ durationMs: 800, chunk: 8192 });
  expect(found.map(({ offset, length }) => [offset, length])).toEqual([
    [4096, 64],
    [8128, 128],
    [19_968, 64],
    [40_960, 128],
  ]);
  expect(sleptMs).toBe(800);
});

test("run() ends where its signal is aborted", async () => {
  const scrub = new AddressRangeScrub(poisoned());
  scrub.start();
  expect(await scrub.run({ signal: AbortSignal.abort() })).toEqual([]);
  expect(scrub.status().state).toBe("stopped");
});

test("R4: what is lost stays lost when a scrub finds poison around it", () => {
  const device = poisoned();
  device.recordBad({ offset: 4096, length: 64 }, "lost");
  const scrub = new AddressRangeScrub(device);
  scrub.start();
  scrub.advance(SIZE);
  expect([...device.poison.bad({ offset: 4096, length: 64 })]).toEqual([
    { offset: 4096, length: 64, state: "lost" },
  ]);
});
