/**
 * owners: whose bytes are these ranges? The hot path of a survey.
 *
 * Order: what the geometry knows needs no reading. For the rest all inodes are scanned once, in big reads, and each extent is tested
 * against the sorted set of asked blocks; nothing is kept but what hits. What nobody claims is told by the block bitmaps. Then one pass over the
 * directories finds the paths of the few inodes that matter. Memory grows with the damage and with the directories, not with the files.
 *
 * What can go wrong: bitmap, inode and tree may each be poisoned, wrong or hostile, and contradict each other. A block in use that no
 * readable inode claims is unknown, with what is hidden as the reason; a claim by an inode whose checksum is wrong is told, not believed.
 */
import { endOf, type ByteRange } from "../../base/index.ts";
import type { OwnedRange } from "../file-map.ts";
import { ClaimOwners } from "./claim-owners.ts";
import { ClaimSweep } from "../claim-sweep.ts";
import { REASONS_MAX, scanClaims, whatIsHidden, type ScanResult } from "./claims.ts";
import { DirectoryTable } from "./directory-table.ts";
import { hasFeature } from "./features.ts";
import { collectNames } from "./paths.ts";
import {
  normalizeRanges,
  SegmentList,
  shifted,
  toOwnedRanges,
  type Segment,
} from "../owner-draft.ts";
import { draftOf, unknownDraft } from "../owner-texts.ts";
import { slotSegments } from "./slot-owners.ts";
import type { StaticMap } from "./static-map.ts";
import { staticSegments } from "./static-owners.ts";
import { unclaimedSegments } from "./unclaimed.ts";
import type { Ext4Volume, StaticRun } from "./volume.ts";
import { WantedBlocks, type BlockRun } from "../wanted-blocks.ts";

/** A part of the asked ranges: of static use, or `undefined` where only inodes and bitmaps can tell. */
interface Part extends ByteRange {
  readonly run: StaticRun | undefined;
}

/** Owners of every byte of the ranges. @throws {TypeError} if a range is no range */
export async function ownersOf(
  volume: Ext4Volume,
  statics: StaticMap,
  ranges: Iterable<ByteRange>,
): Promise<readonly OwnedRange[]> {
  const { blockSize, blockCount } = volume.superblock;
  const size = blockSize * blockCount;
  const { inside, past } = normalizeRanges(ranges, size);
  const segments = new SegmentList();
  let pathsOf: (inode: number) => readonly string[] = () => [];
  if (volume.unknownFeatures.length > 0) {
    const why = `The file system has features that are not known here: ${volume.unknownFeatures.join(", ")}`;
    for (const range of inside) segments.add({ ...range, owners: [unknownDraft(why)] });
  } else {
    const parts = inside.flatMap((range) => partsOf(volume, statics, range));
    const scan = await scanFor(volume, statics, parts);
    await tell(volume, { statics, parts, scan }, segments);
    pathsOf = await pathsFor(volume, scan, segments.segments);
  }
  for (const range of past) segments.add({ ...range, owners: [draftOf("unpartitioned")] });
  return toOwnedRanges(segments.segments, pathsOf);
}

/** Cuts a range by static use. */
function partsOf(volume: Ext4Volume, statics: StaticMap, range: ByteRange): Part[] {
  const { blockSize } = volume.superblock;
  const first = Math.floor(range.offset / blockSize);
  const last = Math.floor((endOf(range) - 1) / blockSize);
  if (!statics.overlaps(first, last - first + 1))
    return [{ offset: range.offset, length: range.length, run: undefined }];
  const parts: Part[] = [];
  let at = range.offset;
  for (const run of volume.staticUses(first, last - first + 1)) {
    const start = Math.max(at, run.block * blockSize);
    const end = Math.min(endOf(range), (run.block + run.count) * blockSize);
    if (end <= start) continue;
    if (start > at) parts.push({ offset: at, length: start - at, run: undefined });
    parts.push({ offset: start, length: end - start, run });
    at = end;
  }
  if (at < endOf(range)) parts.push({ offset: at, length: endOf(range) - at, run: undefined });
  return parts;
}

async function scanFor(
  volume: Ext4Volume,
  statics: StaticMap,
  parts: readonly Part[],
): Promise<ScanResult> {
  const needed = parts.some((part) => part.run === undefined || part.run.use === "inode-table");
  if (!needed) {
    const directories = new DirectoryTable(volume);
    return { claims: [], claimants: new Map(), directories, reasons: [] };
  }
  const wanted = new WantedBlocks(
    parts.filter((part) => part.run === undefined).map((part) => clustersOf(volume, part)),
  );
  return scanClaims(volume, statics, { wanted, directories: true });
}

/** Blocks of a part; with bigalloc in whole clusters, because a neighbour in the cluster tells whose rest it is. */
function clustersOf(volume: Ext4Volume, part: ByteRange): BlockRun {
  const { blockSize, clusterSize, blockCount } = volume.superblock;
  const unit = hasFeature(volume.superblock, "bigalloc") ? clusterSize : blockSize;
  const ratio = unit / blockSize;
  const block = Math.floor(part.offset / unit) * ratio;
  const end = Math.min(blockCount, Math.ceil(endOf(part) / unit) * ratio);
  return { block, count: end - block };
}

interface Told {
  readonly statics: StaticMap;
  readonly parts: readonly Part[];
  readonly scan: ScanResult;
}

async function tell(volume: Ext4Volume, known: Told, segments: SegmentList): Promise<void> {
  const { scan } = known;
  const claims = await ClaimOwners.open(volume, known.statics, scan);
  const sweep = new ClaimSweep(volume.superblock.blockSize, scan.claims, claims);
  // Where the first scan met as many reasons as are kept, a second one could only tell others instead.
  let hidden = scan.reasons.length >= REASONS_MAX ? scan.reasons : undefined;
  const reasons = async (): Promise<readonly string[]> =>
    (hidden ??= await whatIsHidden(volume, known.statics));
  for (const part of known.parts) {
    if (part.run?.use === "inode-table") {
      for (const segment of await slotSegments(volume, part.run, part)) segments.add(segment);
    } else if (part.run !== undefined) {
      for (const segment of staticSegments(volume, part.run)) addClipped(segments, segment, part);
    }
    if (part.run !== undefined) continue;
    for (const piece of sweep.pieces(part)) {
      if (piece.owners.length > 0) segments.add(piece);
      else {
        const told = await unclaimedSegments(volume, { sweep, reasons }, piece);
        for (const segment of told) segments.add(segment);
      }
    }
  }
}

function addClipped(segments: SegmentList, segment: Segment, range: ByteRange): void {
  const start = Math.max(segment.offset, range.offset);
  const end = Math.min(endOf(segment), endOf(range));
  if (end <= start) return;
  const by = start - segment.offset;
  const owners = by === 0 ? segment.owners : segment.owners.map((owner) => shifted(owner, by));
  segments.add({ offset: start, length: end - start, owners });
}

async function pathsFor(
  volume: Ext4Volume,
  scan: ScanResult,
  segments: readonly Segment[],
): Promise<(inode: number) => readonly string[]> {
  const wanted = new Set<number>();
  for (const { owners } of segments) {
    for (const { inode, kind } of owners)
      if (inode !== undefined && kind !== "free") wanted.add(inode);
  }
  if (wanted.size === 0) return () => [];
  const table = await collectNames(volume, scan.directories, wanted);
  const known = new Map<number, readonly string[]>();
  return (inode) => {
    let paths = known.get(inode);
    if (paths === undefined)
      known.set(inode, (paths = wanted.has(inode) ? table.pathsOf(inode) : []));
    return paths;
  };
}
