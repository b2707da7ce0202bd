/**
 * Report: what is known of a target and what was done to it, as one document, `theriac.report/1`, from which the page (page.ts) and the text (text.ts) are made.
 *
 * It says what the survey says, and beside it the history (history.ts). Everything that stands in it is bounded, but for `files` and `elsewhere`, which follow the
 * damage; the page shows the first of them and says how many there are.
 */
import { RangeSet, type ByteRange } from "../../base/index.ts";
import type { OwnerKind, OwnerWhat } from "../../fs/index.ts";
import type { PoisonTotals } from "../../poison/index.ts";
import type { Damage } from "../damage.ts";
import { survey, type SurveyedVolume, type SurveyOptions } from "../survey.ts";
import type { Target } from "../target.ts";
import { damageMap, type DamageMap } from "./damage-map.ts";
import type { DoneRun } from "./history.ts";

/** A range of a file that is missing. */
export interface MissingRange {
  /** Bytes of the file; `undefined` where the place in it is unknown. */
  readonly offset: number | undefined;
  readonly length: number;
  readonly state: "poisoned" | "lost";
  /** Where it is, in bytes of the target. */
  readonly at: number;
}

/** A file that misses bytes. */
export interface HitFile {
  /** Every name; none where directories are unreadable, or it has none. */
  readonly paths: readonly string[];
  readonly volume: number | null;
  readonly inode: number | null;
  /** "data" and others of docs/owners.md. */
  readonly what: OwnerWhat;
  /** Bytes that are missing. */
  readonly bytes: number;
  readonly ranges: readonly MissingRange[];
}

/** A class of bytes that are no file's content. */
export interface HitClass {
  readonly kind: OwnerKind;
  readonly what: OwnerWhat;
  readonly bytes: number;
  readonly ranges: number;
  /** First byte of the first of them, of the target. */
  readonly at: number;
  /** What the loss means. */
  readonly why: string;
}

/** The document `theriac.report/1`. */
export interface Report {
  readonly schema: "theriac.report/1";
  readonly target: string;
  /** When it was made, ISO 8601. */
  readonly made: string;
  /** Bytes. */
  readonly size: number;
  readonly totals: PoisonTotals;
  /** Bytes of data that are missing. */
  readonly missing: number;
  /** Bytes by what became of them over all runs, and `refused` and its kin of the last one: what moved beside the four states. */
  readonly moved: Readonly<Record<string, number>>;
  readonly volumes: readonly SurveyedVolume[];
  /** Most missing bytes first. */
  readonly files: readonly HitFile[];
  /** Everything else that is bad. */
  readonly elsewhere: readonly HitClass[];
  /** Oldest first. */
  readonly history: readonly DoneRun[];
  readonly map: DamageMap;
  readonly notes: readonly string[];
}

/** How a report is made. */
export interface ReportOptions extends SurveyOptions {
  /** What was done, oldest first. @default nothing is known */
  readonly history?: readonly DoneRun[];
  /** @default now */
  readonly made?: Date;
}

/**
 * Makes the report of a target; reads metadata, and data only with `scan`.
 *
 * @throws {StorageError} if the device itself fails
 */
export async function report(target: Target, options: ReportOptions = {}): Promise<Report> {
  const history = options.history ?? [];
  const surveyed = await survey(target, options);
  const { damage } = surveyed;
  const problems = surveyed.volumes.flatMap((volume) =>
    volume.problems.map(({ message }) => message),
  );
  return {
    schema: "theriac.report/1",
    target: target.path,
    made: (options.made ?? new Date()).toISOString(),
    size: target.device.size,
    totals: surveyed.totals,
    missing: surveyed.missing,
    moved: movedBy(history),
    volumes: surveyed.volumes,
    files: hitFiles(damage),
    elsewhere: hitClasses(damage),
    history,
    map: damageMap({
      poison: target.device.poison,
      damage,
      repaired: healedBy(history),
      reported: options.reported ?? [],
    }),
    notes: [...surveyed.notes, ...problems],
  };
}

/** What is done once and for all adds up over runs; what was left undone is of the last run that says so. */
const UNDONE: ReadonlySet<string> = new Set([
  "failed",
  "refused",
  "unavailable",
  "left",
  "not given",
]);

function movedBy(history: readonly DoneRun[]): Record<string, number> {
  const moved: Record<string, number> = {};
  for (const { sums } of history) {
    for (const [name, bytes] of Object.entries(sums))
      moved[name] = UNDONE.has(name) ? bytes : (moved[name] ?? 0) + bytes;
  }
  return moved;
}

/** Ranges that runs healed whole, but for what was undone since. */
function healedBy(history: readonly DoneRun[]): RangeSet {
  const healed = new RangeSet();
  for (const { steps } of history) {
    for (const { offset, length, outcome } of steps) {
      if (outcome === "healed") healed.add(offset, length);
      if (outcome === "undone") healed.delete(offset, length);
    }
  }
  return healed;
}

function hitFiles(damage: readonly Damage[]): HitFile[] {
  const files = new Map<string, HitFile & { bytes: number; ranges: MissingRange[] }>();
  for (const one of damage) {
    for (const owner of one.owners) {
      if (owner.kind !== "file") continue;
      const key = `${one.volume ?? ""}:${owner.inode ?? one.offset}:${owner.what}`;
      const file = files.get(key) ?? {
        paths: owner.paths ?? [],
        volume: one.volume ?? null,
        inode: owner.inode ?? null,
        what: owner.what,
        bytes: 0,
        ranges: [],
      };
      files.set(key, file);
      file.bytes += one.length;
      file.ranges.push(...rangesOf(one, owner.ranges));
    }
  }
  return [...files.values()].sort((one, other) => other.bytes - one.bytes);
}

function rangesOf(damage: Damage, ranges: readonly ByteRange[]): MissingRange[] {
  const { state, offset: at } = damage;
  if (ranges.length === 0) return [{ offset: undefined, length: damage.length, state, at }];
  let before = 0;
  return ranges.map(({ offset, length }) => {
    const range = { offset, length, state, at: at + before };
    before += length;
    return range;
  });
}

function hitClasses(damage: readonly Damage[]): HitClass[] {
  const classes = new Map<string, HitClass & { bytes: number; ranges: number }>();
  for (const one of damage) {
    const [owner] = one.owners;
    if (owner?.kind === "file") continue;
    const kind = owner?.kind ?? "unknown";
    const what = owner?.what ?? "unknown";
    const key = `${kind}/${what}`;
    const known = classes.get(key);
    const hit = known ?? { kind, what, bytes: 0, ranges: 0, at: one.offset, why: owner?.why ?? "" };
    classes.set(key, hit);
    hit.bytes += one.length;
    hit.ranges += 1;
  }
  return [...classes.values()].sort((one, other) => other.bytes - one.bytes);
}
