/**
 * Fast commits against Linux and e2fsck: an image that Linux left with fast commits, read by the map, must have the owners, paths, sizes and extents
 * of the copies that Linux and e2fsck replayed, except for the inodes that the map itself says it cannot tell. `SEED=123 IMAGES=1` replays one
 * image, `IMAGES=1000` makes more, `KEEP=1` leaves the images.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { openExt4Volume } from "../../src/fs/ext4/open-volume.ts";
import {
  openFileMap,
  type FileInfo,
  type FileMap,
  type OwnedRange,
  type Owner,
} from "../../src/fs/index.ts";
import { compareMap } from "../interop/support/compare-map.ts";
import { expectMap } from "../interop/support/expected-map.ts";
import { makeFastCommitImage } from "../interop/support/fast-commit-image.ts";
import { FileSource } from "../interop/support/file-source.ts";
import { whyNotMountable } from "../interop/support/mounted-workload.ts";
import { requirePrograms } from "../interop/support/programs.ts";

const SEED = Number(process.env["SEED"] ?? 4000);
const IMAGES = Number(process.env["IMAGES"] ?? 40);
const DIFFERENCES_MAX = 10;

type Known = FileInfo & { readonly paths: readonly string[] };

interface Side {
  readonly map: FileMap;
  readonly files: ReadonlyMap<number, Known>;
  readonly owned: readonly OwnedRange[];
}

async function sideOf(map: FileMap): Promise<Side> {
  const files = new Map<number, Known>();
  for await (const file of map.files()) files.set(file.inode, file);
  return { map, files, owned: await map.owners([{ offset: 0, length: map.size }]) };
}

interface Judge {
  readonly unsettled: ReadonlySet<number>;
  /** Whether the oracle builds extent trees anew, elsewhere. */
  readonly movesTrees: boolean;
  readonly say: (text: string) => void;
}

function describeAt(owner: Owner, into: number): string {
  const { kind, what, inode } = owner;
  let left = into;
  let place = "";
  if (kind === "file" || kind === "directory")
    for (const range of owner.ranges) {
      if (left >= 0 && left < range.length) place = ` at ${range.offset + left}`;
      left -= range.length;
    }
  // Linux gives the fast-commit area back to the log when it has replayed it.
  if (kind === "journal") return kind;
  return `${kind}/${what} ${inode ?? ""}${place}`;
}

/** Whether a difference is about an inode that the map says it cannot tell, or a tree that e2fsck moved. */
function isExcused(ours: OwnedRange, theirs: OwnedRange, judge: Judge): boolean {
  const owners = [...ours.owners, ...theirs.owners];
  if (owners.some(({ inode }) => inode !== undefined && judge.unsettled.has(inode))) return true;
  if (judge.unsettled.size > 0 && ours.owners.every(({ kind }) => kind === "unknown")) return true;
  const whats = owners.map(({ what }) => what);
  // Linux 6.18 clears the bit of a cluster of which a part is freed, and e2fsck sets it again: no data either way.
  if (whats.every((what) => what === "cluster-slack" || what === "free-space")) return true;
  return (
    judge.movesTrees && whats.some((what) => what === "extent-tree" || what === "cluster-slack")
  );
}

function compareOwned(ours: Side, theirs: Side, judge: Judge): void {
  let other = 0;
  for (const piece of ours.owned) {
    for (let at = piece.offset; at < piece.offset + piece.length;) {
      const match = theirs.owned[other] as OwnedRange;
      const end = Math.min(piece.offset + piece.length, match.offset + match.length);
      const got = piece.owners.map((owner) => describeAt(owner, at - piece.offset)).sort();
      const wanted = match.owners.map((owner) => describeAt(owner, at - match.offset)).sort();
      if (got.join() !== wanted.join() && !isExcused(piece, match, judge))
        judge.say(`byte ${at}: map ${got.join(" and ")}; replayed ${wanted.join(" and ")}`);
      at = end;
      if (end === match.offset + match.length) other += 1;
    }
  }
}

async function compareFiles(ours: Side, theirs: Side, judge: Judge): Promise<void> {
  for (const number of new Set([...ours.files.keys(), ...theirs.files.keys()])) {
    if (judge.unsettled.has(number)) continue;
    const got = ours.files.get(number);
    const wanted = theirs.files.get(number);
    if (got === undefined || wanted === undefined) {
      judge.say(`inode ${number}: map ${got?.paths.join()}; replayed ${wanted?.paths.join()}`);
      continue;
    }
    const facts = (file: Known): unknown => ({
      kind: file.kind,
      size: file.size,
      generation: file.generation,
      // e2fsck writes a tree with the inode as it was when it began to gather extents: an old time with them.
      modified: file.kind === "directory" || judge.movesTrees ? 0 : `${file.modifiedNs}`,
      links: file.kind === "directory" ? 0 : file.links,
      // A name in a directory that cannot be told cannot be told either.
      paths: judge.unsettled.size > 0 ? [] : file.paths,
    });
    if (JSON.stringify(facts(got)) !== JSON.stringify(facts(wanted)))
      judge.say(
        `inode ${number}: map ${JSON.stringify(facts(got))}; replayed ${JSON.stringify(facts(wanted))}`,
      );
    const lost = got.paths.filter((path) => !wanted.paths.includes(path));
    if (lost.length > 0)
      judge.say(`inode ${number}: map has ${lost.join()}; replayed ${wanted.paths.join()}`);
    const extents = JSON.stringify(await ours.map.extents(number, { pastEnd: true }));
    const theirExtents = JSON.stringify(await theirs.map.extents(number, { pastEnd: true }));
    if (extents !== theirExtents)
      judge.say(
        `extents of ${number}: map ${extents.slice(0, 300)}; replayed ${theirExtents.slice(0, 300)}`,
      );
  }
}

interface Outcome {
  readonly differences: readonly string[];
  readonly status: string;
  readonly changes: boolean;
  readonly e2fsck: boolean;
}

const unjudged = { differences: [], changes: false, e2fsck: false };

async function compareSeed(seed: number): Promise<Outcome> {
  const folder = mkdtempSync(join(tmpdir(), "theriac-fast-commit-"));
  const sources: FileSource[] = [];
  const open = (path: string): FileSource => {
    const source = new FileSource(path);
    sources.push(source);
    return source;
  };
  const differences: string[] = [];
  try {
    const made = makeFastCommitImage({ seed, folder });
    const source = open(made.image);
    const { journal, unsettled } = await openExt4Volume(source);
    const map = await openFileMap(source);
    const ours = await sideOf(map);
    // Linux 6.18 refuses an area that is full to its last block, of which e2fsck replays a part: nobody knows better than the map.
    if (made.byLinux === undefined) return { ...unjudged, status: journal.status };
    for (const [name, path] of [
      ["Linux", made.byLinux] as const,
      ["e2fsck", made.byE2fsck] as const,
    ]) {
      if (path === undefined) continue;
      const theirs = await sideOf(await openFileMap(open(path)));
      const say = (text: string): void => {
        if (differences.length < DIFFERENCES_MAX) differences.push(`${name}: ${text}`);
      };
      const judge: Judge = { unsettled: unsettled.inodes, movesTrees: name === "e2fsck", say };
      compareOwned(ours, theirs, judge);
      await compareFiles(ours, theirs, judge);
    }
    if (journal.status !== "unreadable")
      differences.push(...(await againstDebugfs(map, made.byLinux, open)));
    if (differences.length > 0)
      differences.unshift(`SEED=${seed}: ${made.story}; ${journal.message}`);
    const changes = journal.message.includes("fast commits");
    return { differences, status: journal.status, changes, e2fsck: made.byE2fsck !== undefined };
  } finally {
    for (const source of sources) source.close();
    if (process.env["KEEP"] === undefined) rmSync(folder, { recursive: true, force: true });
    else console.log(`kept ${folder}`);
  }
}

/** Everything against debugfs, but the times and link counts that a replay gives directories by itself. */
async function againstDebugfs(
  map: FileMap,
  oracle: string,
  open: (path: string) => FileSource,
): Promise<string[]> {
  const expected = expectMap(oracle);
  const { differences } = await compareMap(map, expected, {
    source: open(oracle),
    oracle,
    dirty: true,
    partial: false,
  });
  return differences.filter((text) => {
    const inode = Number(/^info\((\d+)\)\.(modifiedNs|links)/.exec(text)?.[1]);
    return expected.inodes.get(inode)?.type !== "directory";
  });
}

test(`owners, paths and extents after fast commits equal Linux's and e2fsck's on ${IMAGES} random images`, async (context) => {
  requirePrograms(context, "mke2fs", "debugfs", "dumpe2fs", "e2fsck", "xfs_io");
  const why = whyNotMountable();
  if (why !== undefined) context.skip(why);
  const disagreements: string[] = [];
  const total = { replayed: 0, none: 0, unreadable: 0, fast: 0, e2fsck: 0 };
  for (let seed = SEED; seed < SEED + IMAGES; seed += 1) {
    const { differences, status, changes, e2fsck } = await compareSeed(seed);
    total[status as "replayed" | "none" | "unreadable"] += 1;
    if (changes) total.fast += 1;
    if (e2fsck) total.e2fsck += 1;
    if (differences.length > 0) disagreements.push(differences.join("\n  "));
  }
  console.log(`fast commits: seeds ${SEED} to ${SEED + IMAGES - 1}: ${JSON.stringify(total)}`);
  expect(disagreements).toEqual([]);
  if (IMAGES >= 40) expect(total.replayed).toBeGreaterThan(IMAGES / 4);
});
