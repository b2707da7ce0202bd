/** Slow zones, by a clock that no test waits for. */
import { expect, test } from "vitest";
import type { Clock } from "../../src/base/index.ts";
import { createMemoryDevice } from "../../src/device/index.ts";

/** A clock that moves when it is told to. */
function handClock(): Clock & { readonly asked: number[]; wake(): void } {
  const asked: number[] = [];
  let sleepers: (() => void)[] = [];
  return {
    asked,
    now: () => 0,
    sleep: (delayMs) => {
      asked.push(delayMs);
      return new Promise((resolve) => sleepers.push(resolve));
    },
    wake: () => {
      for (const resolve of sleepers) resolve();
      sleepers = [];
    },
  };
}

test("a read that touches a slow zone waits slowMs, and one beside it does not", async () => {
  const clock = handClock();
  const device = createMemoryDevice({ size: 8192, slowMs: 70, clock });
  device.setFault({ offset: 1000, length: 10, kind: "slow", on: true });
  expect(device.read(new Uint8Array(1000), 0)).toEqual({ missing: [] });
  expect(clock.asked).toEqual([]);
  const into = new Uint8Array(1);
  device.write(Uint8Array.of(5), 1009);
  const answer = device.read(into, 1009);
  expect(clock.asked).toEqual([70]);
  clock.wake();
  expect((await answer).missing).toEqual([]);
  expect(into[0]).toBe(5);
  device.setFault({ offset: 0, length: 8192, kind: "slow", on: false });
  expect(device.read(new Uint8Array(8192), 0)).toEqual({ missing: [] });
});

test("a read that waits sees all of a write made meanwhile, and what became bad (R1)", async () => {
  const clock = handClock();
  const device = createMemoryDevice({ size: 8192, clock });
  device.setFault({ offset: 0, length: 4096, kind: "slow", on: true });
  const into = new Uint8Array(4096);
  const answer = device.read(into, 0);
  device.write(new Uint8Array(4096).fill(9), 0);
  device.inject({ offset: 64, length: 64 });
  clock.wake();
  expect((await answer).missing).toEqual([{ offset: 64, length: 64, state: "poisoned" }]);
  expect(into.every((byte, at) => byte === (at >= 64 && at < 128 ? 0 : 9))).toBe(true);
});
