/** What the display of progress promises: silence, a bar that fits, lines of JSON. */
import { describe, expect, test, vi } from "vitest";
import type { ProgressEvent } from "../../src/base/index.ts";
import { createProgress, formatDuration, type ProgressMode } from "../../src/cli/progress.ts";
import { textWidth } from "../../src/cli/table.ts";

const ERASE = "\r\u001B[K";

interface Watched {
  readonly mode: ProgressMode;
  readonly isTerminal?: boolean;
  readonly columns?: number;
}

/** A thousand steps, one each millisecond. */
function show(how: Watched): string {
  let text = "";
  let nowMs = 0;
  const progress = createProgress({
    mode: how.mode,
    isTerminal: how.isTerminal ?? false,
    color: false,
    columns: how.columns ?? 60,
    write: (piece) => (text += piece),
    clock: { now: () => nowMs, sleep: () => Promise.resolve() },
  });
  for (let done = 0; done <= 1000; done += 1) {
    progress.report({ phase: "reading", done, total: 1000, failingReads: 2, badBytes: 4096 });
    nowMs += 1;
  }
  progress.end();
  return text;
}

function bar(event: Partial<ProgressEvent>, columns: number): string {
  let text = "";
  const progress = createProgress({
    mode: "bar",
    isTerminal: true,
    color: false,
    columns,
    write: (piece) => (text += piece),
  });
  progress.show({
    phase: "reading",
    done: 2 ** 30,
    total: 2 ** 40,
    unit: "bytes",
    zone: { offset: 2 ** 30, length: 4096 },
    failingReads: 3,
    badBytes: 1536,
    elapsedMs: 10_000,
    perSecond: 2 ** 27,
    remainingMs: 8_000_000,
    ...event,
  });
  return text.replace(ERASE, "");
}

describe("createProgress()", () => {
  test("is silent where nobody watches, and where it is told to be", () => {
    expect(show({ mode: "auto" })).toBe("");
    expect(show({ mode: "none", isTerminal: true })).toBe("");
  });

  test("draws a bar that goes away, at most ten times a second", () => {
    const text = show({ mode: "auto", isTerminal: true });
    const bars = text.split(ERASE);
    expect(bars.length).toBeGreaterThan(9);
    expect(bars.length).toBeLessThan(15);
    expect(bars.at(-2)).toContain("100%");
    expect(text.endsWith(ERASE)).toBe(true);
  });

  test("writes lines of JSON, the last one whole", () => {
    const lines = show({ mode: "json" }).trim().split("\n");
    expect(lines.length).toBeLessThan(15);
    expect(JSON.parse(lines.at(-1) ?? "")).toEqual({
      schema: "theriac.progress/1",
      phase: "reading",
      done: 1000,
      total: 1000,
      unit: "bytes",
      perSecond: 1000,
      elapsedMs: 1000,
      remainingMs: 0,
      failingReads: 2,
      badBytes: 4096,
      zone: null,
    });
  });

  test("the bar tells rate, remaining time, failing reads, bad bytes and the zone where there is room", () => {
    expect(bar({}, 120)).toMatch(
      /^reading +0% ░+ 1\.0 GiB of 1\.0 TiB {2}128 MiB\/s {2}2 h 13 min left {2}3 failing {2}1\.5 KiB bad {2}at 1\.0 GiB$/,
    );
  });

  test.each([20, 40, 60, 80, 200])(
    "the bar is shorter than a terminal of %i columns",
    (columns) => {
      expect(textWidth(bar({}, columns))).toBeLessThan(columns);
      expect(textWidth(bar({ total: 0, phase: "x".repeat(300) }, columns))).toBeLessThan(columns);
    },
  );

  test("failing reads are told before rate and zone where there is little room", () => {
    const line = bar({}, 64);
    expect(line).toContain("3 failing");
    expect(line).not.toContain("at 1.0 GiB");
  });
});

test("a bar that hears nothing for three seconds says so, until it does or ends", () => {
  vi.useFakeTimers();
  try {
    let text = "";
    const options = { isTerminal: true, color: false, columns: 120 };
    const progress = createProgress({ ...options, mode: "bar", write: (one) => (text += one) });
    const zone = { offset: 2 ** 30, length: 4096 };
    progress.report({ phase: "reading", done: 1, total: 9, zone });
    vi.advanceTimersByTime(2500);
    expect(text).not.toContain("no answer");
    vi.advanceTimersByTime(2000);
    expect(text).toMatch(/no answer for [34] s {2}at 1\.0 GiB$/);
    progress.report({ phase: "reading", done: 9, total: 9 });
    expect(text.split(ERASE).at(-1)).not.toContain("no answer");
    progress.end();
    const ended = text;
    vi.advanceTimersByTime(10_000);
    expect(text).toBe(ended);
  } finally {
    vi.useRealTimers();
  }
});

describe("formatDuration()", () => {
  test.each([
    [0, "0 s"],
    [44_001, "45 s"],
    [60_000, "1 min"],
    [12_000_000, "3 h 20 min"],
    [200_000_000, "2 d 7 h"],
  ])("of %i ms is %s", (durationMs, text) => {
    expect(formatDuration(durationMs)).toBe(text);
  });
});
