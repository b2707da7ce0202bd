/**
 * event-owners: whose bytes an event is about: the target's file systems are asked, unlocked, only when there is something to ask.
 *
 * Where they cannot be asked, the event is told without owners and with the reason: news of damage waits for no map.
 */
import { RangeSet, StorageError } from "../../base/index.ts";
import { openImage } from "../../mapper/index.ts";
import type { HostFiles } from "../../os/index.ts";
import { ownersOf } from "../damage.ts";
import { describeTarget } from "../describe-target.ts";
import type { Target } from "../target.ts";
import type { BadSets } from "./list-change.ts";
import { unlockedFiles } from "../unlocked-files.ts";
import { EVENT_FILES, EVENT_RANGES, type EventRange, type WatchEvent } from "./watch-event.ts";

/** What of an event is about ranges. */
export type EventRanges = Pick<
  WatchEvent,
  "bytes" | "rangeCount" | "ranges" | "files" | "fileCount" | "why"
>;

/** The first ranges of both sets, ascending, and how many there are. */
export function rangesOf(sets: BadSets): {
  readonly first: readonly EventRange[];
  readonly count: number;
} {
  const first: EventRange[] = [];
  for (const state of ["poisoned", "lost"] as const) {
    let taken = 0;
    for (const { offset, length } of sets[state]) {
      if (taken === EVENT_RANGES) break;
      taken += 1;
      first.push({ offset, length, state });
    }
  }
  first.sort((one, other) => one.offset - other.offset);
  return { first: first.slice(0, EVENT_RANGES), count: sets.poisoned.size + sets.lost.size };
}

/** An event's ranges without owners. */
export function plainRanges(sets: BadSets): EventRanges {
  const { first, count } = rangesOf(sets);
  const bytes = sets.poisoned.byteLength + sets.lost.byteLength;
  return { bytes, rangeCount: count, ranges: first, files: [], fileCount: 0 };
}

/** An event's ranges in a live file: its own bytes. */
export function fileRanges(path: string, sets: BadSets): EventRanges {
  const plain = plainRanges(sets);
  const owner = { kind: "file", what: "data", why: "Content of the file", paths: [path] } as const;
  const ranges = plain.ranges.map(({ offset, length, state }) => ({
    offset,
    length,
    state,
    owners: [{ ...owner, ranges: [{ offset, length }] }],
  }));
  return { ...plain, ranges, files: [path], fileCount: 1 };
}

/** Opens targets for their owners. */
export interface OwnerOptions {
  /** @default the machine's, unlocked */
  readonly files?: HostFiles;
  /** What is known to be bad of a target that keeps no list itself: its metadata is then not read there. @default nothing */
  readonly known?: BadSets;
}

/** Opens a target as it is, without a lock, for reading its file systems. @throws {StorageError} */
export async function openUnlocked(path: string, options: OwnerOptions = {}): Promise<Target> {
  const { files = unlockedFiles, known } = options;
  const poison = known === undefined ? [] : rangesOf(known).first;
  const device = await openImage(path, { access: "read", files, poison });
  try {
    return await describeTarget(device, { path });
  } catch (error) {
    await device.close();
    throw error;
  }
}

/** An event's ranges with their owners, as the target's file systems tell them at this moment. */
export async function ownedRanges(
  path: string,
  sets: BadSets,
  options: OwnerOptions = {},
): Promise<EventRanges> {
  const plain = plainRanges(sets);
  let target: Target;
  try {
    target = await openUnlocked(path, options);
  } catch (error) {
    if (!(error instanceof StorageError)) throw error;
    return { ...plain, why: `Owners are not known: ${error.message}` };
  }
  try {
    return await withOwners(target, plain);
  } catch (error) {
    if (!(error instanceof StorageError)) throw error;
    return { ...plain, why: `Owners are not known: ${error.message}` };
  } finally {
    await target.close();
  }
}

/** The ranges of an event with their owners on an open target. */
export async function withOwners(
  target: Pick<Target, "volumes" | "outside">,
  plain: EventRanges,
): Promise<EventRanges> {
  const asked = { poisoned: new RangeSet(), lost: new RangeSet() };
  for (const { offset, length, state } of plain.ranges) asked[state].add(offset, length);
  const damage = await ownersOf(target, asked);
  const files = new Set<string>();
  for (const { owners } of damage)
    for (const { kind, paths } of owners)
      if (kind === "file" || kind === "directory") for (const path of paths ?? []) files.add(path);
  const ranges = damage
    .slice(0, EVENT_RANGES)
    .map(({ offset, length, state, owners }) => ({ offset, length, state, owners }));
  const more = damage.length - plain.ranges.length;
  return {
    ...plain,
    ranges,
    rangeCount: plain.rangeCount + Math.max(0, more),
    files: [...files].sort().slice(0, EVENT_FILES),
    fileCount: files.size,
  };
}
