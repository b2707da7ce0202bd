/**
 * openXfsMap() with each class of metadata poisoned in turn, on the images that Linux filled (fixtures/make.sh): what is hidden is only what the
 * poisoned structure alone knew, and it is said; nothing that is told is wrong; and the maps of inodes and the reverse map tell the same.
 */
import { describe, expect, test } from "vitest";
import { openFileMap, type FileMap, type OwnedRange, type Owner } from "../../../src/fs/index.ts";
import { openXfsMap } from "../../../src/fs/xfs/index.ts";
import { MutatedSource } from "../../support/mutated-source.ts";
import {
  XFS_FIXTURES,
  loadXfsFixture,
  type Structure,
  type XfsFixture,
} from "./support/fixture.ts";
import { lies, omissions, pieces } from "./support/truth.ts";

/** Structures that every answer needs, and says that they are gone even where they hid nothing. */
const NEEDED = new Set([
  "superblock",
  "free-space-header",
  "inode-header",
  "free-list",
  "inode",
  "extent-tree",
  "directory-block",
]);

/** First, last and middle one of each kind. */
function chosen(fixture: XfsFixture): readonly Structure[] {
  return fixture.whats.flatMap((what) => {
    const all = fixture.of(what);
    const places = new Set([0, all.length >> 1, all.length - 1]);
    return [...places].map((at) => all[at]!);
  });
}

/** What may be unknown when a structure is poisoned, by what it is in truth. */
function mayHide(
  fixture: XfsFixture,
  { what, ag, inode }: Structure,
): (range: OwnedRange, owner: Owner) => boolean {
  const { features, agBlocks, blockSize } = fixture.superblock;
  const reverse = features.reverseMap;
  const here = ({ offset }: OwnedRange): boolean =>
    Math.floor(offset / (agBlocks * blockSize)) === ag;
  const one =
    (...whats: readonly string[]) =>
    (range: OwnedRange, owner: Owner): boolean =>
      here(range) && whats.includes(owner.what);
  const space = [
    "free-space",
    "tree-reserve",
    "free-space-tree",
    "reverse-map-tree",
    "reference-count-tree",
  ];
  if (what === "superblock") return (_, owner) => owner.what === "quota";
  if (what === "free-space-header") return one(...space);
  if (what === "reverse-map-tree") return one("reverse-map-tree", "tree-reserve");
  if (reverse) return () => false;
  if (what === "free-list") return one("tree-reserve");
  if (what === "reference-count-tree") return one("reference-count-tree");
  if (what === "inode" || what === "extent-tree") return (_, owner) => owner.inode === inode;
  // Whatever inodes of the AG own, in any AG: which they are is told by their numbers.
  const { agBlockBits, inodesPerBlockBits } = fixture.superblock;
  const unit = 2 ** (agBlockBits + inodesPerBlockBits);
  if (what === "inode-header" || what === "inode-tree")
    return (_, owner) =>
      owner.what === "inode-tree" ||
      (owner.inode !== undefined && Math.floor(owner.inode / unit) === ag);
  return () => false;
}

function isUnknown({ owners }: OwnedRange): boolean {
  return owners.every(({ kind }) => kind === "unknown");
}

async function wholeOf(map: FileMap): Promise<readonly OwnedRange[]> {
  return map.owners([{ offset: 0, length: map.size }]);
}

/** Owners without their reasons, as text. */
function bare(range: OwnedRange, from: number): string {
  return range.owners
    .map(({ kind, what, inode, ranges }) =>
      [kind, what, inode, (ranges[0]?.offset ?? 0) + from - range.offset].join(" "),
    )
    .sort()
    .join();
}

/** What is hidden and need not be, and what is hidden and nobody says why. */
function hiddenWrongly(
  fixture: XfsFixture,
  structure: Structure,
  owned: readonly OwnedRange[],
): readonly string[] {
  const wrong: string[] = [];
  const may = mayHide(fixture, structure);
  for (const { told, real } of pieces(owned, fixture.truth)) {
    if (!isUnknown(told)) continue;
    if (!real.owners.every((owner) => may(real, owner)))
      wrong.push(`hides ${JSON.stringify(real)}`);
    const { why } = told.owners[0]!;
    if (!/ (?:cannot be read|is hidden|does not tell|contradict)/.test(why))
      wrong.push(`says ${why}`);
  }
  return wrong;
}

/** Where both sources tell owners, and not the same. */
function contradictions(
  one: readonly OwnedRange[],
  other: readonly OwnedRange[],
): readonly string[] {
  const wrong: string[] = [];
  for (const { told, real, from } of pieces(one, other)) {
    if ([...told.owners, ...real.owners].some(({ kind }) => kind === "unknown")) continue;
    if (bare(told, from) !== bare(real, from))
      wrong.push(`${from}: ${bare(told, from)}; ${bare(real, from)}`);
  }
  return wrong;
}

/** Whether a map says that a structure is gone. */
function isSaid(map: FileMap, { offset, length }: Structure): boolean {
  return map.problems.some(
    ({ range }) =>
      range !== undefined && range.offset < offset + length && range.offset + range.length > offset,
  );
}

/** What is wrong in the answers of a map with one structure poisoned. */
async function wrongAnswers(fixture: XfsFixture, structure: Structure): Promise<readonly string[]> {
  const { what, offset, length, inode } = structure;
  const source = new MutatedSource(fixture.image, { poison: [{ offset, length }] });
  const map = await openFileMap(source);
  const owned = await wholeOf(map);
  for await (const file of map.files()) await map.extents(file.inode);
  const byReverseMap = await wholeOf(await openXfsMap(source, { source: "reverse-map" }));
  const wrong = [
    ...lies(owned, fixture),
    ...lies(byReverseMap, fixture),
    ...hiddenWrongly(fixture, structure, owned),
    ...contradictions(owned, byReverseMap),
    ...(fixture.superblock.features.reverseMap ? omissions(owned, fixture) : []),
  ];
  if (what === "journal-log") {
    // Behind the last record nothing is looked at.
    const first = structure === fixture.of(what)[0];
    if (!map.journal.pending && (first || JSON.stringify(map.journal) !== fixture.journal))
      wrong.push("the log counts as empty");
  } else if (!isSaid(map, structure) && (NEEDED.has(what) || owned.some(isUnknown)))
    wrong.push("is not said");
  return wrong.map((each) => `${what} at ${offset} (inode ${inode}): ${each}`).slice(0, 3);
}

describe("each class of metadata, poisoned", () => {
  test.each(XFS_FIXTURES)(
    "R1: owners() hides only what it alone knew, says so, and never lies: %s",
    { timeout: 120_000 },
    async (name) => {
      const fixture = await loadXfsFixture(name);
      const structures = chosen(fixture);
      const wrong: string[] = [];
      for (const structure of structures) wrong.push(...(await wrongAnswers(fixture, structure)));
      expect(wrong).toEqual([]);
      expect(new Set(structures.map(({ what }) => what)).size).toBeGreaterThan(10);
    },
  );
});
