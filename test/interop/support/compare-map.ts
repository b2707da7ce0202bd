/** CompareMap: a FileMap against what debugfs says of the same image; every difference as one sentence. */
import { createHash } from "node:crypto";
import {
  textToName,
  type Extent,
  type FileMap,
  type OwnedRange,
  type Owner,
} from "../../../src/fs/index.ts";
import type { InodeText } from "./debugfs.ts";
import { dumpFiles } from "./debugfs.ts";
import type { ExpectedMap, ExpectedOwner, ExpectedRange } from "./expected-map.ts";

const DIFFERENCES_MAX = 12;
const SPOT_CHECKS = 25;
const ROOT = 2;

/** What was compared, and what differs. */
export interface Comparison {
  readonly differences: readonly string[];
  readonly bytes: number;
  readonly inodes: number;
  readonly paths: number;
  readonly contents: number;
}

/** Where the map's bytes are read, for contents. */
export interface CompareOptions {
  /** Image that the map reads. */
  readonly source: { read(into: Uint8Array, offset: number): unknown };
  /** Image that the expectation was made of. */
  readonly oracle: string;
  /** Whether the oracle's journal was replayed, which frees orphans. */
  readonly dirty: boolean;
  /** Whether fast commits are left out of the map: what it tells as unknown is not compared, nor are paths and contents. */
  readonly partial: boolean;
}

/** Compares owners of every byte, paths, sizes, times and extents of every inode, and the content of some files. */
export async function compareMap(
  map: FileMap,
  expected: ExpectedMap,
  options: CompareOptions,
): Promise<Comparison> {
  const differences: string[] = [];
  const say = (text: string): void => {
    if (differences.length < DIFFERENCES_MAX) differences.push(text);
  };
  const { dump } = expected;
  const bytes = dump.blockCount * dump.blockSize;
  if (map.uuid !== dump.uuid) say(`uuid: map ${map.uuid}, dumpe2fs ${dump.uuid}`);
  if (map.size !== bytes || map.blockSize !== dump.blockSize)
    say(`size: map ${map.size} in blocks of ${map.blockSize}`);
  const orphans = options.dirty ? await orphansOf(map, expected) : new Set<number>();
  compareOwners(await map.owners([{ offset: 0, length: bytes }]), expected, {
    say,
    orphans,
    partial: options.partial,
  });
  if (options.partial) return { differences, bytes, inodes: 0, paths: 0, contents: 0 };
  const paths = await comparePaths(map, expected, say);
  for (const inode of expected.inodes.values())
    if (!orphans.has(inode.inode)) await compareInode(map, inode, { expected, say });
  const contents = await compareContents(map, expected, { ...options, say });
  return { differences, bytes, inodes: expected.inodes.size, paths, contents };
}

type Say = (text: string) => void;

function describeOwner(owner: Owner): string {
  const ranges = owner.ranges.map((range) => `${range.offset}+${range.length}`).join(",");
  return `${owner.kind}/${owner.what}${owner.inode === undefined ? "" : ` inode ${owner.inode}`}${ranges === "" ? "" : ` [${ranges}]`}`;
}

function describeExpected(range: ExpectedRange): string {
  if (range.slotOf !== undefined) return `slot of inode ${range.slotOf}`;
  return (
    range.owners
      .map(
        (owner) =>
          `${owner.uses.join("|")} inode ${owner.inode ?? "-"} at ${owner.fileOffset ?? "-"}`,
      )
      .join(" and ") || "none"
  );
}

/** Whether one owner of the map, for bytes that begin `into` bytes after where the owned range does, is the expected one. */
function isOwner(
  owner: Owner,
  expected: ExpectedOwner,
  into: { readonly owned: number; readonly expected: number },
): boolean {
  if (!expected.uses.includes(`${owner.kind}/${owner.what}`)) return false;
  if (expected.inode !== undefined && owner.inode !== expected.inode) return false;
  if (expected.fileOffset === undefined || owner.kind === "metadata") return true;
  return fileOffsetAt(owner, into.owned) === expected.fileOffset + into.expected;
}

function fileOffsetAt(owner: Owner, into: number): number | undefined {
  let left = into;
  for (const range of owner.ranges) {
    if (left < range.length) return range.offset + left;
    left -= range.length;
  }
  return undefined;
}

function isUnknown(owned: OwnedRange): boolean {
  return owned.owners.every((owner) => owner.kind === "unknown");
}

function isRight(owned: OwnedRange, range: ExpectedRange, at: number): boolean {
  const into = { owned: at - owned.offset, expected: at - range.offset };
  if (range.slotOf !== undefined)
    return owned.owners.every(
      (owner) => owner.inode === range.slotOf && owner.kind !== "free" && owner.kind !== "unknown",
    );
  const rest = [...owned.owners];
  for (const wanted of range.owners) {
    const found = rest.findIndex((owner) => isOwner(owner, wanted, into));
    if (found < 0) return false;
    rest.splice(found, 1);
  }
  return rest.length === 0;
}

/**
 * Whether the oracle has freed what an orphan still holds: replay frees orphans without links, and what files in the list of
 * orphans have past their end. The map tells both as they stand on the device.
 */
function isOfOrphan(
  owned: OwnedRange,
  range: ExpectedRange,
  orphans: ReadonlySet<number>,
): boolean {
  const isFree = range.owners.every(
    (owner) =>
      owner.uses[0]?.startsWith("free/") === true || owner.uses[0] === "slack/cluster-slack",
  );
  return (
    isFree &&
    owned.owners.every(
      (owner) => owner.kind === "slack" || (owner.inode !== undefined && orphans.has(owner.inode)),
    )
  );
}

/** Inodes in use without a link, and the attribute inodes that nothing has but them. */
async function orphansOf(map: FileMap, expected: ExpectedMap): Promise<Set<number>> {
  const orphans = new Set<number>();
  for await (const file of map.files())
    if (file.links === 0 || (file.paths.length === 0 && expected.dump.freeInodes.has(file.inode)))
      orphans.add(file.inode);
  return orphans;
}

function compareOwners(
  owned: readonly OwnedRange[],
  expected: ExpectedMap,
  {
    say,
    orphans,
    partial,
  }: { readonly say: Say; readonly orphans: ReadonlySet<number>; readonly partial: boolean },
): void {
  let at = 0;
  let index = 0;
  for (const piece of owned) {
    if (piece.offset !== at || piece.length <= 0)
      say(`owners: a piece at ${piece.offset}+${piece.length} where ${at} is next`);
    if (piece.owners.length === 0) say(`owners: none at ${piece.offset}`);
    const end = piece.offset + piece.length;
    while (at < end && index < expected.ranges.length) {
      const range = expected.ranges[index] as ExpectedRange;
      const rangeEnd = range.offset + range.length;
      if (
        !isRight(piece, range, at) &&
        !isOfOrphan(piece, range, orphans) &&
        !(partial && isUnknown(piece))
      ) {
        const block = Math.floor(at / expected.dump.blockSize);
        say(
          `block ${block} (byte ${at}): map ${piece.owners.map(describeOwner).join(" and ")}; debugfs ${describeExpected(range)}; piece ${piece.offset}+${piece.length}`,
        );
      }
      at = Math.min(end, rangeEnd);
      if (at === rangeEnd) index += 1;
    }
    at = end;
  }
  if (at !== expected.dump.blockCount * expected.dump.blockSize) say(`owners: end at ${at}`);
}

/** A path of the map as bytes, one character each, the way debugfs prints it. */
function bytesOfPath(path: string): string {
  return path
    .split("/")
    .map((name) => Buffer.from(textToName(name)).toString("latin1"))
    .join("/");
}

/** Whether a map must know the inode: in use, linked, and none of the reserved ones. */
function isUserFile(inode: InodeText, expected: ExpectedMap): boolean {
  // The project quota file has an ordinary number, but no name.
  const named = (expected.paths.get(inode.inode)?.length ?? 0) > 0;
  const isUser = inode.inode === ROOT || (inode.inode >= expected.dump.firstInode && named);
  return isUser && inode.links > 0 && inode.type !== "bad type";
}

async function comparePaths(map: FileMap, expected: ExpectedMap, say: Say): Promise<number> {
  let count = 0;
  const seen = new Set<number>();
  for await (const file of map.files()) {
    if (seen.has(file.inode)) say(`files(): inode ${file.inode} twice`);
    seen.add(file.inode);
    const wanted = [...(expected.paths.get(file.inode) ?? [])].sort();
    const got = file.paths.map(bytesOfPath).sort();
    if (JSON.stringify(wanted) !== JSON.stringify(got))
      say(`paths of ${file.inode}: map ${JSON.stringify(got)}; debugfs ${JSON.stringify(wanted)}`);
    for (const path of file.paths) {
      count += 1;
      const inode = await map.lookup(path);
      if (inode !== file.inode)
        say(`lookup(${JSON.stringify(path)}): map ${inode}; debugfs ${file.inode}`);
    }
  }
  for (const inode of expected.paths.keys())
    if (!seen.has(inode))
      say(`files(): inode ${inode} is missing: ${expected.paths.get(inode)?.join(" ")}`);
  for (const inode of expected.inodes.values())
    if (isUserFile(inode, expected) && !seen.has(inode.inode))
      say(`files(): inode ${inode.inode} (${inode.type}) is missing`);
  return count;
}

const KINDS: Readonly<Record<string, string>> = {
  regular: "file",
  directory: "directory",
  symlink: "symlink",
};

async function compareInode(
  map: FileMap,
  inode: InodeText,
  { expected, say }: { readonly expected: ExpectedMap; readonly say: Say },
): Promise<void> {
  const info = await map.info(inode.inode);
  if (info === undefined) {
    if (isUserFile(inode, expected)) say(`info(${inode.inode}): none`);
    return;
  }
  const facts = {
    kind: [info.kind, KINDS[inode.type] ?? "other"],
    size: [info.size, inode.size],
    // e2fsck writes quota files anew when it replays.
    modifiedNs: [
      isUserFile(inode, expected) ? info.modifiedNs : inode.modifiedNs,
      inode.modifiedNs,
    ],
    generation: [info.generation, inode.generation],
    links: [info.links, inode.links],
  };
  for (const [name, [got, wanted]] of Object.entries(facts))
    if (got !== wanted) say(`info(${inode.inode}).${name}: map ${got}; debugfs ${wanted}`);
  const extents = await map.extents(inode.inode, { pastEnd: true });
  const got = runsOfMap(inode.inode, extents, say);
  const wanted = runsOfDebugfs(inode, expected.dump.blockSize);
  if (got !== wanted)
    say(
      `extents(${inode.inode}, size ${inode.size}, flags ${inode.flags.toString(16)}): map ${got}; debugfs ${wanted}`,
    );
  await compareClipped(map, inode, { extents, say });
}

/** Without `pastEnd` the extents are the same, clipped, and cover the size without a gap. */
async function compareClipped(
  map: FileMap,
  inode: InodeText,
  found: { readonly extents: readonly Extent[]; readonly say: Say },
): Promise<void> {
  const clipped = await map.extents(inode.inode);
  let at = 0;
  for (const extent of clipped) {
    if (extent.offset !== at || extent.length <= 0)
      found.say(`extents(${inode.inode}): a gap or overlap at ${at}: ${JSON.stringify(extent)}`);
    at = extent.offset + extent.length;
    const whole = found.extents.find(
      (other) => other.offset <= extent.offset && at <= other.offset + other.length,
    );
    const same =
      whole?.kind === extent.kind &&
      (extent.device ?? 0) - (whole.device ?? 0) ===
        (extent.device === undefined ? 0 : extent.offset - whole.offset);
    if (!same && extent.kind !== "hole")
      found.say(`extents(${inode.inode}): ${JSON.stringify(extent)} is not in those with pastEnd`);
  }
  if (at !== inode.size) found.say(`extents(${inode.inode}): end at ${at} of ${inode.size}`);
}

interface Run {
  offset: number;
  length: number;
  kind: string;
  device: number;
}

function joined(runs: readonly Run[]): string {
  const merged: Run[] = [];
  for (const run of runs) {
    const last = merged.at(-1);
    const joins =
      last?.kind === run.kind &&
      last.offset + last.length === run.offset &&
      last.device + last.length === run.device;
    if (joins) last.length += run.length;
    else merged.push({ ...run });
  }
  return merged.map((run) => `${run.kind} ${run.offset}+${run.length}@${run.device}`).join(" ");
}

function runsOfMap(inode: number, extents: readonly Extent[], say: Say): string {
  for (const extent of extents)
    if (extent.kind === "unknown")
      say(`extents(${inode}): unknown at ${extent.offset}: ${extent.why}`);
  const mapped = extents.filter((extent) => extent.kind === "data" || extent.kind === "unwritten");
  return joined(
    mapped.map((extent) => ({
      offset: extent.offset,
      length: extent.length,
      kind: extent.kind,
      device: extent.device ?? -1,
    })),
  );
}

function runsOfDebugfs(inode: InodeText, blockSize: number): string {
  const runs = [...inode.runs].sort((one, other) => one.logical - other.logical);
  return joined(
    runs.map((run) => ({
      offset: run.logical * blockSize,
      length: run.count * blockSize,
      kind: run.unwritten ? "unwritten" : "data",
      device: run.block * blockSize,
    })),
  );
}

function hash(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** The first files of every way to hold content, then others. */
function spotChecks(expected: ExpectedMap): InodeText[] {
  const files = [...expected.inodes.values()].filter(
    (inode) =>
      inode.type === "regular" && inode.inode >= expected.dump.firstInode && inode.size < 2 ** 24,
  );
  const inline = files.filter((inode) => inode.inlineSize !== undefined).slice(0, SPOT_CHECKS / 3);
  const mapped = files
    .filter((inode) => inode.runs.length > 1 && inode.inlineSize === undefined)
    .slice(0, SPOT_CHECKS / 3);
  const others = files.filter(
    (inode) => inode.size > 0 && !inline.includes(inode) && !mapped.includes(inode),
  );
  return [...inline, ...mapped, ...others].slice(0, SPOT_CHECKS);
}

async function compareContents(
  map: FileMap,
  expected: ExpectedMap,
  options: CompareOptions & { readonly say: Say },
): Promise<number> {
  const inodes = spotChecks(expected);
  const dumps = dumpFiles(
    options.oracle,
    inodes.map((inode) => inode.inode),
  );
  for (const [at, inode] of inodes.entries()) {
    const content = new Uint8Array(inode.size);
    for (const extent of await map.extents(inode.inode)) {
      if (extent.kind !== "data" && extent.kind !== "inline") continue;
      options.source.read(
        content.subarray(extent.offset, extent.offset + extent.length),
        extent.device as number,
      );
    }
    // debugfs dumps the room that an inode has for inline data: more than the file, or less, where Linux reads zeros.
    const dump =
      inode.inlineSize === undefined
        ? (dumps[at] as Buffer)
        : Buffer.concat([dumps[at] as Buffer, Buffer.alloc(inode.size)]);
    if (hash(content) !== hash(dump.subarray(0, inode.size)))
      options.say(`content of ${inode.inode}: differs from debugfs dump`);
  }
  return inodes.length;
}
