/** Progress: how far a command is, on stderr: a bar on a terminal, nothing when silent, NDJSON on request. */
import { formatSize } from "../base/index.ts";
import { createStyle } from "./style.ts";

/** How progress is shown. "auto" is a bar where stderr is a terminal, else nothing. */
export const PROGRESS_MODES = ["auto", "bar", "json", "none"] as const;

/** How progress is shown. */
export type ProgressMode = (typeof PROGRESS_MODES)[number];

/** How far a command is. */
export interface ProgressReport {
  /** What is going on, in one or two words: "reading", "scanning inodes". */
  readonly phase: string;
  /** Done and wanted, in `unit`; `total` 0 where nobody knows. */
  readonly done: number;
  readonly total: number;
  /** @default "bytes" */
  readonly unit?: "bytes" | "items";
}

/** Where a command tells how far it is. Call it as often as you like: it prints at most ten times a second. */
export interface Progress {
  report(report: ProgressReport): void;
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
  /** Milliseconds, of any origin. */
  now(): number;
}

const INTERVAL_MS = 100;
const ERASE_LINE = "\r\u001B[K";

/** Makes the display. */
export function createProgress(options: ProgressOptions): Progress {
  const mode = options.mode === "auto" ? (options.isTerminal ? "bar" : "none") : options.mode;
  if (mode === "none") return { report: () => {}, end: () => {} };
  let nextMs = 0;
  let phase = "";
  let drawn = false;
  return {
    report(report) {
      const now = options.now();
      const whole = report.total > 0 && report.done >= report.total;
      if (now < nextMs && report.phase === phase && !whole) return;
      nextMs = now + INTERVAL_MS;
      phase = report.phase;
      options.write(
        mode === "json" ? progressLine(report) : ERASE_LINE + progressBar(report, options),
      );
      drawn = mode === "bar";
    },
    end() {
      if (drawn) options.write(ERASE_LINE);
      drawn = false;
    },
  };
}

/** One line of `--progress json`. */
function progressLine(report: ProgressReport): string {
  const { phase, done, total, unit = "bytes" } = report;
  return `${JSON.stringify({ schema: "theriac.progress/1", phase, done, total, unit })}\n`;
}

/** One line of the bar, without a newline, shorter than the terminal. */
function progressBar(report: ProgressReport, options: ProgressOptions): string {
  const { phase, done, total, unit = "bytes" } = report;
  const figure = (value: number): string => (unit === "bytes" ? formatSize(value) : String(value));
  const style = createStyle(options.color);
  if (total <= 0) return `${phase} ${figure(done)}`.slice(0, options.columns - 1);
  const fraction = Math.min(1, done / total);
  const label = `${phase.slice(0, 20).padEnd(12)} ${String(Math.floor(fraction * 100)).padStart(3)}% `;
  const figures = ` ${figure(done)} of ${figure(total)}`;
  const width = Math.max(0, Math.min(40, options.columns - 1 - label.length - figures.length));
  const filled = Math.round(width * fraction);
  return `${label}${style.cyan("█".repeat(filled))}${style.dim("░".repeat(width - filled))}${figures}`;
}
