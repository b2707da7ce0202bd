/** Clock: time as a thing that is handed in, so that tests need not wait. */

/** Where an operation gets its time from. */
export interface Clock {
  /** Milliseconds since 1970. */
  now(): number;
  /** Resolves after `delayMs` milliseconds. */
  sleep(delayMs: number): Promise<void>;
}

/** Longest time that one timer takes; Node fires a longer one at once. */
const TIMER_MAX_MS = 2 ** 31 - 1;

function wait(delayMs: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, delayMs);
  });
}

/** The machine's own time. */
export const systemClock: Clock = {
  now: () => Date.now(),
  sleep: async (delayMs) => {
    let left = delayMs;
    for (; left > TIMER_MAX_MS; left -= TIMER_MAX_MS) await wait(TIMER_MAX_MS);
    await wait(left);
  },
};
