/**
 * textfile: the figures of watched targets as Prometheus reads them from node_exporter's textfile collector (`--collector.textfile.directory`).
 *
 * The collector reads whole files, at any moment: a file is written beside it and renamed over it, and readable by all, since the exporter is another user.
 * All samples of one name stand together under its HELP and TYPE; label values escape `\`, `"` and newline.
 */
import { chmodSync, closeSync, openSync, renameSync, rmSync, writeSync } from "node:fs";
import { toStorageError } from "../../base/index.ts";
import type { WatchChange } from "./watch-event.ts";
import type { TargetStatus } from "./watched-target.ts";

interface Metric {
  readonly name: string;
  readonly type: "gauge" | "counter";
  readonly help: string;
  readonly samples: (status: TargetStatus) => Iterable<Sample>;
}

interface Sample {
  readonly labels?: Readonly<Record<string, string>>;
  readonly value: number;
}

const STATES = ["clean", "unread", "poisoned", "lost"] as const;
const CHANGES: readonly WatchChange[] = [
  "watching",
  "appeared",
  "changed",
  "healed",
  "gone",
  "returned",
  "reported",
  "failed",
  "recovered",
  "health",
  "repaired",
  "refused",
];

const METRICS: readonly Metric[] = [
  {
    name: "theriac_target_present",
    type: "gauge",
    help: "Whether the target was there at the last look.",
    samples: ({ present }) => [{ value: present ? 1 : 0 }],
  },
  {
    name: "theriac_target_bytes",
    type: "gauge",
    help: "Bytes of the target by state; they add up to its size.",
    samples: ({ totals }) => STATES.map((state) => ({ labels: { state }, value: totals[state] })),
  },
  {
    name: "theriac_target_bad_ranges",
    type: "gauge",
    help: "Bad ranges of the target by state.",
    samples: ({ ranges }) =>
      (["poisoned", "lost"] as const).map((state) => ({ labels: { state }, value: ranges[state] })),
  },
  {
    name: "theriac_target_last_check_timestamp_seconds",
    type: "gauge",
    help: "When the target was seen last, in seconds since 1970; 0 before the first time.",
    samples: ({ checkedMs }) => [{ value: checkedMs / 1000 }],
  },
  {
    name: "theriac_target_sources_failing",
    type: "gauge",
    help: "Sources of bad ranges that gave no list at the last look.",
    samples: ({ failing }) => [{ value: failing.length }],
  },
  {
    name: "theriac_target_events_total",
    type: "counter",
    help: "Events of the target since the watch began, by what happened.",
    samples: ({ events }) =>
      CHANGES.map((change) => ({ labels: { change }, value: events[change] ?? 0 })),
  },
];

/** The text, in the exposition format 0.0.4. */
export function formatTextfile(statuses: readonly TargetStatus[]): string {
  let text = "";
  for (const { name, type, help, samples } of METRICS) {
    text += `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n`;
    for (const status of statuses)
      for (const { labels = {}, value } of samples(status)) {
        const pairs = Object.entries({ target: status.path, ...labels });
        const inside = pairs.map(([key, label]) => `${key}="${escaped(label)}"`).join(",");
        text += `${name}{${inside}} ${value}\n`;
      }
  }
  return text;
}

function escaped(label: string): string {
  return label.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}

/**
 * Puts the text in the place of a file in one step.
 *
 * @throws {StorageError} ENOENT, EACCES, ENOSPC and others: then the old file stands
 */
export function writeTextfile(path: string, text: string): void {
  // the collector takes every name that ends in .prom, and no other
  const temporary = `${path}.${process.pid}.new`;
  try {
    rmSync(temporary, { force: true });
    const fd = openSync(temporary, "wx", 0o644);
    try {
      const bytes = Buffer.from(text);
      for (let done = 0; done < bytes.length;) done += writeSync(fd, bytes, done);
    } finally {
      closeSync(fd);
    }
    // a umask may have taken the exporter's right to read it
    chmodSync(temporary, 0o644);
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw toStorageError(error, { path, syscall: "write" });
  }
}
