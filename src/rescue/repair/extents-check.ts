/** ExtentsCheck: proof that a repair moves nothing (R8): the extents of touched files, as a hash each, before and after. */
import { openFileMap, type Extent } from "../../fs/index.ts";
import type { PlanStep } from "../plan/plan-file.ts";
import { sha256 } from "../plan/planner.ts";
import type { Target } from "../target.ts";

/** Inodes that steps touch, by volume. */
export type TouchedInodes = ReadonlyMap<number, ReadonlySet<number>>;

/** The inodes whose content is written. */
export function touchedInodes(steps: readonly PlanStep[]): TouchedInodes {
  const touched = new Map<number, Set<number>>();
  for (const { action, owner } of steps) {
    if (
      (action !== "write" && action !== "zero") ||
      owner.volume === undefined ||
      owner.inode === undefined
    )
      continue;
    const inodes = touched.get(owner.volume) ?? new Set<number>();
    touched.set(owner.volume, inodes.add(owner.inode));
  }
  return touched;
}

/**
 * A hash of the extents of each inode, by "volume:inode". An inode whose map is partly unknown has none: healing its metadata
 * makes more of it known, which is no move.
 *
 * @param how `reopen`: the maps are read from the device again, past everything that the open ones remember
 */
export async function extentHashes(
  target: Target,
  inodes: TouchedInodes,
  how: { readonly reopen?: boolean } = {},
): Promise<Map<string, string>> {
  const hashes = new Map<string, string>();
  for (const [index, numbers] of inodes) {
    const volume = target.volumes[index];
    if (volume?.map === undefined) continue;
    const map =
      how.reopen === true
        ? await openFileMap(target.device, { offset: volume.offset, length: volume.length })
        : volume.map;
    for (const inode of numbers) {
      const extents = await map.extents(inode, { pastEnd: true });
      if (extents.length === 0 || extents.some(({ kind }) => kind === "unknown")) continue;
      hashes.set(`${index}:${inode}`, sha256(Buffer.from(JSON.stringify(placesOf(extents)))));
    }
  }
  return hashes;
}

/** Where extents are, and as what. Who shares them is no part of it: that may have been hidden before, and cuts an extent in parts. */
function placesOf(extents: readonly Extent[]): readonly Extent[] {
  const places: Extent[] = [];
  for (const { offset, length, kind, device } of extents) {
    const last = places.at(-1);
    const follows =
      last?.kind === kind &&
      (last.device === undefined ? device === undefined : last.device + last.length === device);
    if (follows) places[places.length - 1] = { ...last, length: last.length + length };
    else places.push({ offset, length, kind, ...(device === undefined ? {} : { device }) });
  }
  return places;
}
