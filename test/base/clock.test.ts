/** What clock promises. */
import { expect, test, vi } from "vitest";
import { systemClock } from "../../src/base/index.ts";

test("sleep() of more than a timer takes does not end at once", async () => {
  vi.useFakeTimers();
  let done = false;
  const sleeping = systemClock.sleep(2 ** 31 + 5).then(() => (done = true));
  await vi.advanceTimersByTimeAsync(2 ** 31 + 4);
  expect(done).toBe(false);
  await vi.advanceTimersByTimeAsync(1);
  await sleeping;
  expect(done).toBe(true);
  vi.useRealTimers();
});
