/** What the meter of progress promises: few events, none lost that matters, a rate of the last seconds. */
import { describe, expect, test } from "vitest";
import { ProgressMeter, type ProgressEvent } from "../../src/base/index.ts";

function watched(): {
  meter: ProgressMeter;
  events: ProgressEvent[];
  readonly at: (ms: number) => ProgressMeter;
} {
  let nowMs = 0;
  const events: ProgressEvent[] = [];
  const clock = { now: () => nowMs, sleep: () => Promise.resolve() };
  const meter = new ProgressMeter((event) => events.push(event), { clock });
  const at = (ms: number): ProgressMeter => {
    nowMs = ms;
    return meter;
  };
  return { meter, events, at };
}

describe("ProgressMeter", () => {
  test("report() tells at most every hundred milliseconds, and always the first and the last of a phase", () => {
    const { events, at } = watched();
    for (let ms = 0; ms <= 950; ms += 1) at(ms).report({ phase: "reading", done: ms, total: 950 });
    at(951).report({ phase: "writing", done: 0, total: 10 });
    expect(events.length).toBe(12);
    expect(events.map(({ phase, done }) => `${phase} ${done}`).slice(-3)).toEqual([
      "reading 900",
      "reading 950",
      "writing 0",
    ]);
  });

  test("report() tells the rate of the last ten seconds, and the time that is left at it", () => {
    const { events, at } = watched();
    for (let second = 0; second <= 100; second += 1)
      at(second * 1000).report({ phase: "reading", done: second * 1000, total: 1_000_000 });
    // from here on a tenth of it
    for (let second = 101; second <= 120; second += 1)
      at(second * 1000).report({
        phase: "reading",
        done: 100_000 + (second - 100) * 100,
        total: 1_000_000,
      });
    expect(events[0]?.perSecond).toBeUndefined();
    expect(events[0]?.remainingMs).toBeUndefined();
    expect(events[100]?.perSecond).toBeCloseTo(1000);
    expect(events[100]?.remainingMs).toBeCloseTo(900_000);
    expect(events[120]?.perSecond).toBeCloseTo(100);
  });

  test("report() begins the rate where an earlier run left off", () => {
    const { events, at } = watched();
    at(0).report({ phase: "salvaging", done: 10_000, total: 20_000 });
    at(1000).report({ phase: "salvaging", done: 10_100, total: 20_000 });
    expect(events.at(-1)?.perSecond).toBeCloseTo(100);
  });

  test("report() tells no rate where count or clock went back", () => {
    const { events, at } = watched();
    at(5000).report({ phase: "reading", done: 100, total: 0 });
    at(6000).report({ phase: "reading", done: 50, total: 0 });
    expect(events.at(-1)?.perSecond).toBeUndefined();
    at(1000).report({ phase: "reading", done: 100, total: 100 });
    expect(events.at(-1)).toMatchObject({ perSecond: undefined, elapsedMs: 0 });
  });

  test("report() hands on zone, failing reads and bad bytes", () => {
    const { events, meter } = watched();
    const zone = { offset: 4096, length: 512 };
    meter.report({ phase: "reading", done: 0, total: 0, zone, failingReads: 3, badBytes: 512 });
    expect(events).toEqual([
      {
        phase: "reading",
        done: 0,
        total: 0,
        unit: "bytes",
        zone,
        failingReads: 3,
        badBytes: 512,
        elapsedMs: 0,
        perSecond: undefined,
        remainingMs: undefined,
      },
    ]);
  });

  test("what a listener throws ends the work", () => {
    const stop = new Error("stop");
    const meter = new ProgressMeter(() => {
      throw stop;
    });
    expect(() => meter.report({ phase: "reading", done: 0, total: 1 })).toThrow(stop);
  });
});
