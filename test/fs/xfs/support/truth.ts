/** Truth: what owners that a map tells of a harmed image are beside those of the unharmed one. */
import type { OwnedRange, Owner } from "../../../../src/fs/index.ts";
import type { XfsFixture } from "./fixture.ts";

/** What an owner may be called where only the reverse map tells it, which knows fewer kinds. */
const VAGUE: Readonly<Record<string, readonly string[]>> = {
  "inode-table": ["inode", "unused-inode"],
  "free-space-tree": ["free-space-tree", "reverse-map-tree", "tree-reserve"],
  // The size is hidden with the inode: what is past the end of a file is not known to be.
  data: ["data", "file-slack"],
};

function fileOffset(owner: Owner, into: number): number {
  let left = into;
  for (const range of owner.ranges) {
    if (left < range.length) return range.offset + left;
    left -= range.length;
  }
  return -1;
}

function isTrue(
  told: { readonly owner: Owner; readonly at: number },
  truth: { readonly owner: Owner; readonly at: number },
): boolean {
  const { what, inode } = told.owner;
  if (!(VAGUE[what] ?? [what]).includes(truth.owner.what)) return false;
  if (inode !== undefined && truth.owner.inode !== undefined && inode !== truth.owner.inode)
    return false;
  // Where nobody tells which inode, nothing is said that could be wrong.
  if (told.owner.kind !== "file" && told.owner.kind !== "directory") return true;
  return fileOffset(told.owner, told.at) === fileOffset(truth.owner, truth.at);
}

/** Pieces of told ranges that lie in one range of the truth. */
/** Pieces of told ranges that lie in one range of the truth. */
export function* pieces(
  owned: readonly OwnedRange[],
  truth: readonly OwnedRange[],
): Generator<{ readonly told: OwnedRange; readonly real: OwnedRange; readonly from: number }> {
  let first = 0;
  for (const told of owned) {
    while (first < truth.length && truth[first]!.offset + truth[first]!.length <= told.offset)
      first += 1;
    for (let at = first; at < truth.length; at += 1) {
      const real = truth[at]!;
      if (real.offset >= told.offset + told.length) break;
      yield { told, real, from: Math.max(told.offset, real.offset) };
    }
  }
}

/** Owners that are told and are none in truth, and paths that are not theirs. "unknown" is never false. */
export function lies(owned: readonly OwnedRange[], { truth, paths }: XfsFixture): string[] {
  const wrong: string[] = [];
  for (const { told, real, from } of pieces(owned, truth)) {
    for (const owner of told.owners) {
      if (owner.kind === "unknown") continue;
      const at = from - told.offset;
      const known = real.owners.some((each) =>
        isTrue({ owner, at }, { owner: each, at: from - real.offset }),
      );
      if (!known)
        wrong.push(`${from}: ${JSON.stringify(owner)}; in truth ${JSON.stringify(real.owners)}`);
      for (const path of owner.paths ?? [])
        if (paths.get(owner.inode ?? 0)?.has(path) !== true)
          wrong.push(`${from}: path ${path} of ${JSON.stringify(owner)}`);
    }
  }
  return wrong;
}

/** Owners in truth that are not told, where others are and nothing says that one is unknown. */
export function omissions(owned: readonly OwnedRange[], { truth }: XfsFixture): string[] {
  const missing: string[] = [];
  for (const { told, real, from } of pieces(owned, truth)) {
    if (told.owners.some(({ kind }) => kind === "unknown")) continue;
    for (const { inode, what } of real.owners)
      if (inode !== undefined && !told.owners.some((owner) => owner.inode === inode))
        missing.push(`${from}: ${what} of ${inode}; told ${JSON.stringify(told.owners)}`);
  }
  return missing;
}
