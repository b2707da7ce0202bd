/** Progress: how far a command is, on stderr: a bar on a terminal, nothing when silent, NDJSON on request. */
import {
  formatSize,
  ProgressMeter,
  systemClock,
  type Clock,
  type ProgressEvent,
  type ProgressStep,
} from "../base/index.ts";
import { createStyle } from "./style.ts";

/** How progress is shown. "auto" is a bar where stderr is a terminal, else nothing. */
export const PROGRESS_MODES = ["auto", "bar", "json", "none"] as const;

/** How progress is shown. */
export type ProgressMode = (typeof PROGRESS_MODES)[number];

/** Where a command tells how far it is. */
export interface Progress {
  /** Shows an event of the library: hand it on as its `onProgress`. */
  show(event: ProgressEvent): void;
  /** The same of a command's own work; call it as often as you like: it prints at most ten times a second. */
  report(step: ProgressStep): void;
  /** Ends the display, so that what is printed next starts on a line of its own. The frame calls it. */
  end(): void;
}

/** Where progress goes. */
export interface ProgressOptions {
  readonly mode: ProgressMode;
  readonly isTerminal: boolean;
  readonly color: boolean;
  /** Columns of the terminal. */
  readonly columns: number;
  write(text: string): void;
  /** @default the machine's own time */
  readonly clock?: Clock;
}

const ERASE_LINE = "\r\u001B[K";

/** Without news for this long, a bar says so: a disk may be trying, or a server be gone. */
const STALLED_MS = 3000;
const TICK_MS = 1000;

/** Makes the display. */
export function createProgress(options: ProgressOptions): Progress {
  const mode = options.mode === "auto" ? (options.isTerminal ? "bar" : "none") : options.mode;
  if (mode === "none") return { show: () => {}, report: () => {}, end: () => {} };
  const { clock = systemClock } = options;
  let drawn = false;
  let last = { event: undefined as ProgressEvent | undefined, atMs: 0 };
  let ticking: NodeJS.Timeout | undefined;
  const tick = (): void => {
    const stalledMs = clock.now() - last.atMs;
    if (last.event !== undefined && stalledMs >= STALLED_MS)
      options.write(ERASE_LINE + progressBar(last.event, options, stalledMs));
  };
  const show = (event: ProgressEvent): void => {
    options.write(mode === "json" ? progressLine(event) : ERASE_LINE + progressBar(event, options));
    drawn = mode === "bar";
    last = { event, atMs: clock.now() };
    if (drawn) ticking ??= setInterval(tick, TICK_MS).unref();
  };
  const meter = new ProgressMeter(show, { clock });
  return {
    show,
    report: (step) => meter.report(step),
    end() {
      clearInterval(ticking);
      ticking = undefined;
      if (drawn) options.write(ERASE_LINE);
      drawn = false;
    },
  };
}

/** One line of `--progress json`: what is not known is null. */
function progressLine(event: ProgressEvent): string {
  const { phase, done, total, unit, failingReads, badBytes } = event;
  const whole = (value: number | undefined): number | null =>
    value === undefined ? null : Math.round(value);
  const document = {
    schema: "theriac.progress/1",
    phase,
    done,
    total,
    unit,
    perSecond: whole(event.perSecond),
    elapsedMs: whole(event.elapsedMs),
    remainingMs: whole(event.remainingMs),
    failingReads,
    badBytes,
    zone: event.zone ?? null,
  };
  return `${JSON.stringify(document)}\n`;
}

/** Narrowest bar that says anything. */
const LEAST_BAR = 8;
const WIDEST_BAR = 40;

/**
 * One line, without a newline, shorter than the terminal: phase, percent, bar, figures. What does not fit is left out, the least important
 * first: the zone, the rate, the remaining time; failing reads stay longest.
 *
 * @param stalledMs since when nothing was heard, where that is long. @default it goes on
 */
function progressBar(event: ProgressEvent, options: ProgressOptions, stalledMs?: number): string {
  const { phase, done, total } = event;
  const room = Math.max(0, options.columns - 1);
  const style = createStyle(options.color);
  const known = total > 0;
  const fraction = known ? Math.min(1, done / total) : 0;
  const percent = `${String(Math.floor(fraction * 100)).padStart(3)}%`;
  const label = `${phase.slice(0, 20).padEnd(12)} ${known ? `${percent} ` : ""}`;
  const least = known ? LEAST_BAR : 0;
  let figures = ` ${figureOf(event, done)}${known ? ` of ${figureOf(event, total)}` : ""}`;
  const taken = new Set<string>();
  const parts = partsOf(event, stalledMs);
  for (const { text } of parts.toSorted((one, other) => one.rank - other.rank)) {
    const length = label.length + figures.length + least;
    if (length + [...taken, text].reduce((sum, part) => sum + part.length + 2, 0) <= room)
      taken.add(text);
  }
  for (const { text } of parts) if (taken.has(text)) figures += `  ${text}`;
  const width = known ? Math.max(0, Math.min(WIDEST_BAR, room - label.length - figures.length)) : 0;
  const filled = Math.round(width * fraction);
  const bar = style.cyan("█".repeat(filled)) + style.dim("░".repeat(width - filled));
  return `${label.slice(0, room)}${bar}${figures.slice(0, Math.max(0, room - label.length - width))}`;
}

/** What stands behind the figures, in its order there, with how early it is taken where not all fits. */
function partsOf(
  event: ProgressEvent,
  stalledMs: number | undefined,
): readonly { text: string; rank: number }[] {
  const { perSecond, remainingMs, failingReads, badBytes, zone } = event;
  const parts: { text: string; rank: number }[] = [];
  if (stalledMs !== undefined)
    parts.push({ text: `no answer for ${formatDuration(stalledMs)}`, rank: -1 });
  else if (perSecond !== undefined)
    parts.push({ text: `${figureOf(event, perSecond)}/s`, rank: 2 });
  if (stalledMs === undefined && remainingMs !== undefined && event.done < event.total)
    parts.push({ text: `${formatDuration(remainingMs)} left`, rank: 1 });
  if (failingReads > 0) parts.push({ text: `${failingReads} failing`, rank: 0 });
  if (badBytes > 0) parts.push({ text: `${formatSize(badBytes)} bad`, rank: 3 });
  if (zone !== undefined && event.done < event.total)
    parts.push({ text: `at ${formatSize(zone.offset)}`, rank: 4 });
  return parts;
}

function figureOf({ unit }: ProgressEvent, value: number): string {
  return unit === "bytes" ? formatSize(Math.round(value)) : String(Math.round(value));
}

/** A time for people, in its two largest units: "3 h 20 min", "45 s". */
export function formatDuration(durationMs: number): string {
  const seconds = Math.ceil(durationMs / 1000);
  const pairs = [
    [86_400, "d", 3600, "h"],
    [3600, "h", 60, "min"],
    [60, "min", 1, "s"],
  ] as const;
  for (const [large, name, small, lesser] of pairs) {
    if (seconds < large) continue;
    const rest = Math.floor((seconds % large) / small);
    return `${Math.floor(seconds / large)} ${name}${rest === 0 ? "" : ` ${rest} ${lesser}`}`;
  }
  return `${seconds} s`;
}
