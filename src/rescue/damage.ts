/**
 * Damage: every bad range of a target with its owners, over all volumes and what lies between them.
 *
 * A range counts as missing data unless all its owners are slack or free: unknown counts, because nobody may say that
 * nothing is gone where nobody knows.
 */
import { RangeSet, type BadRange, type ByteRange } from "../base/index.ts";
import type { OwnedRange, Owner } from "../fs/index.ts";
import type { PoisonTotals } from "../poison/index.ts";
import type { Target, Volume } from "./target.ts";

/** A bad range of the target and whose bytes they are. Offsets are bytes of the target. */
export interface Damage extends ByteRange {
  readonly state: "poisoned" | "lost";
  readonly owners: readonly Owner[];
  /** Which of the target's volumes; absent outside all of them. */
  readonly volume?: number;
}

/** Whether data of the target is missing here. */
export function isMissing(damage: { readonly owners: readonly Owner[] }): boolean {
  return !damage.owners.every(({ kind }) => kind === "slack" || kind === "free");
}

/** Bytes of missing data. @param within only what of it lies there. @default all of it */
export function missingBytes(damage: readonly Damage[], within?: Iterable<ByteRange>): number {
  const wanted = within === undefined ? undefined : RangeSet.from(within);
  let sum = 0;
  for (const one of damage) {
    if (!isMissing(one)) continue;
    if (wanted === undefined) sum += one.length;
    else for (const { length } of wanted.within(one.offset, one.length)) sum += length;
  }
  return sum;
}

/**
 * All bad ranges with their owners, ascending. Reads metadata of the volumes, never data.
 *
 * @param reported ranges to count as poisoned beside the device's list; in memory only
 */
export async function findDamage(
  target: Target,
  reported: Iterable<ByteRange> = [],
): Promise<readonly Damage[]> {
  const before = target.device.poison.totals();
  const damage = await damageOnce(target, reported);
  const after = target.device.poison.totals();
  // Walking the metadata may touch poison that nobody knew of: then the list has grown, and is asked again, once.
  return before.poisoned === after.poisoned && before.lost === after.lost
    ? damage
    : await damageOnce(target, reported);
}

async function damageOnce(
  target: Target,
  reported: Iterable<ByteRange>,
): Promise<readonly Damage[]> {
  const all = { offset: 0, length: target.device.size };
  const bad: Record<BadRange["state"], BadRange[]> = { poisoned: [], lost: [], unread: [] };
  for (const range of target.device.poison.bad(all)) bad[range.state].push(range);
  const sets = { poisoned: RangeSet.from(bad.poisoned), lost: RangeSet.from(bad.lost) };
  for (const range of reported) {
    for (const gap of sets.lost.gaps(range.offset, range.length))
      sets.poisoned.add(gap.offset, gap.length);
  }
  return await ownersOf(target, sets);
}

/** Ranges of a target in the one state and the other, with their owners, ascending. Reads metadata of the volumes, never data. */
export async function ownersOf(
  target: Pick<Target, "volumes" | "outside">,
  sets: Readonly<Record<"poisoned" | "lost", RangeSet>>,
): Promise<readonly Damage[]> {
  const damage: Damage[] = [];
  for (const state of ["poisoned", "lost"] as const) {
    if (sets[state].size === 0) continue;
    for (const [index, volume] of target.volumes.entries()) {
      const found = await ownersIn(volume, [...sets[state].within(volume.offset, volume.length)]);
      for (const { offset, length, owners } of found)
        damage.push({ offset: volume.offset + offset, length, state, owners, volume: index });
    }
    for (const part of target.outside) {
      for (const { offset, length } of sets[state].within(part.offset, part.length))
        damage.push({ offset, length, state, owners: [outsideOwner(part, offset, length)] });
    }
  }
  return damage.sort((one, other) => one.offset - other.offset);
}

async function ownersIn(
  volume: Volume,
  ranges: readonly ByteRange[],
): Promise<readonly OwnedRange[]> {
  if (ranges.length === 0) return [];
  const relative = ranges.map(({ offset, length }) => ({ offset: offset - volume.offset, length }));
  if (volume.map === undefined) {
    const why = volume.why ?? "no known file system is here";
    return relative.map((range) => ({
      ...range,
      owners: [{ kind: "unknown", what: "unknown", ranges: [], why }] as const,
    }));
  }
  const { size } = volume.map;
  const inside = relative
    .filter((range) => range.offset < size)
    .map(({ offset, length }) => ({ offset, length: Math.min(length, size - offset) }));
  const owned = [...(await volume.map.owners(inside))];
  for (const { offset, length } of relative) {
    if (offset + length <= size) continue;
    const from = Math.max(offset, size);
    const why = "It lies behind the end of the file system: nothing is there that it uses";
    owned.push({
      offset: from,
      length: offset + length - from,
      owners: [{ kind: "free", what: "unpartitioned", ranges: [], why }],
    });
  }
  return owned;
}

function outsideOwner(part: Target["outside"][number], offset: number, length: number): Owner {
  const ranges = [{ offset: offset - part.offset, length }];
  return part.what === "partition-table"
    ? {
        kind: "metadata",
        what: "partition-table",
        ranges,
        why: "It tells where the partitions lie",
      }
    : { kind: "free", what: "unpartitioned", ranges, why: "No partition holds it" };
}

/** The totals of the target's list, with ranges that are reported beside it counted as poisoned (R7 holds). */
export function totalsWith(target: Target, reported: Iterable<ByteRange>): PoisonTotals {
  const totals = { ...target.device.poison.totals() };
  for (const range of RangeSet.from(reported)) {
    for (const part of target.device.poison.states(range)) {
      if (part.state !== "clean" && part.state !== "unread") continue;
      totals[part.state] -= part.length;
      totals.poisoned += part.length;
    }
  }
  return totals;
}
