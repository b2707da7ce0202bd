/**
 * Progress: how far long work is, as events: what a worker says of itself (`ProgressStep`), and what a listener gets (`ProgressEvent`), with
 * rate and remaining time.
 *
 *     const meter = new ProgressMeter(options.onProgress);
 *     meter.report({ phase: "reading", done, total, zone: range, failingReads, badBytes });
 *
 * A worker reports as often as it likes: an event goes out at most every `intervalMs`, and always at the start of a phase and at its end.
 */
import type { ByteRange } from "./byte-range.ts";
import { systemClock, type Clock } from "./clock.ts";

/** What a worker says: where it is. */
export interface ProgressStep {
  /** What is going on, in one or two words: "reading", "scanning inodes". Another phase begins its figures anew. */
  readonly phase: string;
  /** Done and wanted, in `unit`; `total` 0 where nobody knows. */
  readonly done: number;
  readonly total: number;
  /** @default "bytes" */
  readonly unit?: "bytes" | "items";
  /** The range that is being read or written, in bytes of the target. @default none */
  readonly zone?: ByteRange;
  /** Reads of this phase that failed until now. @default 0 */
  readonly failingReads?: number;
  /** Bytes of this phase that did not come until now. @default 0 */
  readonly badBytes?: number;
}

/** What a listener is told. */
export interface ProgressEvent {
  readonly phase: string;
  /** Done and wanted, in `unit`; `total` 0 where nobody knows. */
  readonly done: number;
  readonly total: number;
  readonly unit: "bytes" | "items";
  /** The range that is being read or written, in bytes of the target, where there is one. */
  readonly zone: ByteRange | undefined;
  /** Reads of this phase that failed. */
  readonly failingReads: number;
  /** Bytes of this phase that did not come. */
  readonly badBytes: number;
  /** Milliseconds since the phase began. */
  readonly elapsedMs: number;
  /** Units a second over the last ten seconds; `undefined` while there is too little to tell. */
  readonly perSecond: number | undefined;
  /** Milliseconds that are left at this rate; `undefined` where rate or total is unknown. */
  readonly remainingMs: number | undefined;
}

/** Who is told. Called between steps of the work: what it throws ends the work. */
export type ProgressListener = (event: ProgressEvent) => void;

/** How a meter runs. */
export interface ProgressMeterOptions {
  /** Milliseconds between two events of a phase at least. @default 100 */
  readonly intervalMs?: number;
  /** @default the machine's own time */
  readonly clock?: Clock;
}

/** The rate is that of this long a time. */
const WINDOW_MS = 10_000;
/** A sample is kept this often, and the rate of less time is not told. */
const SAMPLE_MS = 500;

/** Makes events of what a worker reports. Without a listener it costs nothing. */
export class ProgressMeter {
  readonly #listener: ProgressListener | undefined;
  readonly #intervalMs: number;
  readonly #clock: Clock;
  #phase: string | undefined;
  #startMs = 0;
  #nextMs = 0;
  /** Oldest first: where the work was, at most `WINDOW_MS` ago. */
  #samples: { atMs: number; done: number }[] = [];

  /** @param listener who is told; `undefined`: nobody */
  constructor(listener: ProgressListener | undefined, options: ProgressMeterOptions = {}) {
    this.#listener = listener;
    this.#intervalMs = options.intervalMs ?? 100;
    this.#clock = options.clock ?? systemClock;
  }

  /** Says where the work is; tells the listener where it is time. */
  report(step: ProgressStep): void {
    if (this.#listener === undefined) return;
    const now = this.#clock.now();
    if (step.phase !== this.#phase) this.#begin(step, now);
    const whole = step.total > 0 && step.done >= step.total;
    if (now < this.#nextMs && !whole) return;
    this.#nextMs = now + this.#intervalMs;
    this.#listener(this.#event(step, now));
  }

  #begin(step: ProgressStep, now: number): void {
    this.#phase = step.phase;
    this.#startMs = now;
    this.#nextMs = now;
    this.#samples = [{ atMs: now, done: step.done }];
  }

  #event(step: ProgressStep, now: number): ProgressEvent {
    const perSecond = this.#rate(step.done, now);
    const left = step.total - step.done;
    const known = step.total > 0 && perSecond !== undefined && perSecond > 0;
    return {
      phase: step.phase,
      done: step.done,
      total: step.total,
      unit: step.unit ?? "bytes",
      zone: step.zone,
      failingReads: step.failingReads ?? 0,
      badBytes: step.badBytes ?? 0,
      elapsedMs: Math.max(0, now - this.#startMs),
      perSecond,
      remainingMs: known ? (Math.max(0, left) / perSecond) * 1000 : undefined,
    };
  }

  /** Units a second since the oldest sample of the window; a clock or a count that goes back begins anew. */
  #rate(done: number, now: number): number | undefined {
    const last = this.#samples.at(-1);
    if (last === undefined || done < last.done || now < last.atMs)
      this.#samples = [{ atMs: now, done }];
    else if (now - last.atMs >= SAMPLE_MS) this.#samples.push({ atMs: now, done });
    while (this.#samples.length > 2 && now - (this.#samples[1]?.atMs ?? now) >= WINDOW_MS)
      this.#samples.shift();
    const first = this.#samples[0];
    if (first === undefined || now - first.atMs < SAMPLE_MS) return undefined;
    return ((done - first.done) / (now - first.atMs)) * 1000;
  }
}
