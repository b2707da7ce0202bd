/**
 * Survey: which bytes of which files are gone. It reads metadata and no data, so it finds no poison that nobody touched.
 *
 * The document is `theriac.survey/1`; every damaged byte of the list is in exactly one entry of `damage`.
 */
import type { ByteRange } from "../base/index.ts";
import type { JournalState, Problem } from "../fs/index.ts";
import type { PoisonTotals } from "../poison/index.ts";
import { findDamage, missingBytes, totalsWith, type Damage } from "./damage.ts";
import { scan, type ScanOptions } from "./scan.ts";
import type { Target } from "./target.ts";

/** What a survey tells of one volume. */
export interface SurveyedVolume extends ByteRange {
  readonly name: string;
  readonly filesystem: string | null;
  readonly uuid: string | null;
  readonly label: string | null;
  readonly journal: JournalState | null;
  readonly why: string | null;
  /** What its map met that is wrong, and what that hides. */
  readonly problems: readonly Problem[];
}

/** The document `theriac.survey/1`. */
export interface Survey {
  readonly schema: "theriac.survey/1";
  readonly target: string;
  /** Of the first volume that has one. */
  readonly filesystem: string | null;
  readonly totals: PoisonTotals;
  /** Ascending by offset, in bytes of the target. */
  readonly damage: readonly Damage[];
  /** Bytes of damage that are data: all but slack and free space. */
  readonly missing: number;
  readonly volumes: readonly SurveyedVolume[];
  /** Sentences on the target as a whole: a broken partition table, an image that is cut off, a list that is not whole. */
  readonly notes: readonly string[];
}

/** How a survey is made. */
export interface SurveyOptions extends ScanOptions {
  /** Ranges that a kernel log reports: surveyed as poisoned, in memory only. */
  readonly reported?: readonly ByteRange[];
  /** Whether everything is read first, so that latent poison becomes known. @default false */
  readonly scan?: boolean;
}

/**
 * Surveys a target.
 *
 * @throws {StorageError} if the device itself fails
 */
export async function survey(target: Target, options: SurveyOptions = {}): Promise<Survey> {
  if (options.scan === true) await scan(target, options);
  const reported = options.reported ?? [];
  const damage = await findDamage(target, reported);
  const volumes = target.volumes.map((volume) => ({
    name: volume.name,
    offset: volume.offset,
    length: volume.length,
    filesystem: volume.map?.filesystem ?? null,
    uuid: volume.map?.uuid ?? null,
    label: volume.map?.label ?? null,
    journal: volume.map?.journal ?? null,
    why: volume.why ?? null,
    problems: volume.map?.problems ?? [],
  }));
  return {
    schema: "theriac.survey/1",
    target: target.path,
    filesystem: volumes.find((volume) => volume.filesystem !== null)?.filesystem ?? null,
    totals: totalsWith(target, reported),
    damage,
    missing: missingBytes(damage),
    volumes,
    notes: target.notes ?? [],
  };
}
