/** wrongOwners(): what a map of a damaged volume tells that the map of the sound one contradicts: wrong is worse than unknown. */
import type { FileMap, OwnedRange, Owner } from "../../../../src/fs/index.ts";

/** Content that stands in an inode itself: where the inode cannot be told, its bytes are told as the inode. */
const INSIDE: ReadonlySet<string> = new Set([
  "inline-data",
  "inline-directory",
  "symlink-target",
  "reserved-inode",
]);

/** Where byte `at` of the volume is in the file or structure of an owner of a range; -1 where that says nothing. */
function placeOf(owner: Owner, range: OwnedRange, at: number): number {
  const first = owner.ranges[0];
  return first === undefined ? -1 : first.offset + at - range.offset;
}

function isBacked(told: Owner, range: OwnedRange, truth: OwnedRange): boolean {
  const at = Math.max(range.offset, truth.offset);
  return truth.owners.some((owner) => {
    if (told.inode !== owner.inode) return false;
    if (!(told.paths ?? []).every((path) => owner.paths?.includes(path))) return false;
    if (told.what === "inode" && INSIDE.has(owner.what)) return true;
    return (
      told.kind === owner.kind &&
      told.what === owner.what &&
      placeOf(told, range, at) === placeOf(owner, truth, at)
    );
  });
}

/** Compares the owners of every byte. @returns what is told and not true; unknown is never wrong */
export function wrongOwners(
  damaged: readonly OwnedRange[],
  sound: readonly OwnedRange[],
): readonly string[] {
  const wrong: string[] = [];
  let next = 0;
  for (const range of damaged) {
    while (sound[next]!.offset + sound[next]!.length <= range.offset) next += 1;
    for (let at = next; at < sound.length; at += 1) {
      const truth = sound[at]!;
      if (truth.offset >= range.offset + range.length) break;
      for (const told of range.owners)
        if (told.kind !== "unknown" && !isBacked(told, range, truth))
          wrong.push(
            `byte ${Math.max(range.offset, truth.offset)}: told ${brief(told)}, is ${truth.owners.map(brief).join(" and ")}`,
          );
    }
  }
  return wrong;
}

function brief({ kind, what, inode, paths, ranges }: Owner): string {
  return `${kind}/${what} ${inode ?? ""} ${paths?.join() ?? ""} at ${ranges[0]?.offset ?? "-"}`;
}

/** The owners of all bytes. */
export async function allOwners(map: FileMap): Promise<readonly OwnedRange[]> {
  return map.owners([{ offset: 0, length: map.size }]);
}
