/** R6: what a read or write asks of the list. */
import { afterEach, expect, test, vi } from "vitest";
import { createMemoryDevice } from "../../src/device/index.ts";
import { PoisonList } from "../../src/poison/index.ts";

afterEach(() => vi.restoreAllMocks());

test("R6: with an empty list a read and a write look nothing up; with a list a read looks once", () => {
  const device = createMemoryDevice({ size: 8192 });
  const asked = (["bad", "states", "hasBad"] as const).map((name) =>
    vi.spyOn(PoisonList.prototype, name),
  );
  const count = (): number => asked.reduce((sum, spy) => sum + spy.mock.calls.length, 0);
  for (const mode of ["access", "recovery", "failFast"] as const) {
    void device.read(new Uint8Array(4096), 0, mode);
    device.readSync(new Uint8Array(4096), 0, mode);
    device.write(new Uint8Array(4096), 0, mode);
  }
  expect(count()).toBe(0);
  device.inject({ offset: 8000, length: 64 });
  for (const spy of asked) spy.mockClear();
  void device.read(new Uint8Array(4096), 0);
  expect(count()).toBe(1);
  device.readSync(new Uint8Array(4096), 0);
  expect(count()).toBe(2);
});
