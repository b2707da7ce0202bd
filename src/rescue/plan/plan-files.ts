/**
 * PlanFiles: steps for the content of files. The device ranges of the damage become byte ranges of the file through the extents
 * of its inode, whole holes are graded against each donor in turn, and what one donor misses the next one may have.
 */
import { endOf, intersect, RangeSet, type ByteRange } from "../../base/index.ts";
import {
  gradeHole,
  VolumeFile,
  type DonorFile,
  type FileDigest,
  type Verdict,
  type VolumeSource,
} from "../../donor/index.ts";
import type { Owner } from "../../fs/index.ts";
import type { Damage } from "../damage.ts";
import {
  leave,
  MOST_LISTED,
  ownerOf,
  sha256,
  sourceOf,
  stepPieces,
  trusted,
  type Draft,
  type Planner,
} from "./planner.ts";

/** A bad range of the device that holds a range of a file. */
interface FilePart extends ByteRange {
  readonly damage: Damage;
  /** First byte in the file. */
  readonly fileOffset: number;
}

/** What no file of a donor could serve: for raw donors, with the reason so far. */
export type Leftover = Damage & { readonly why?: string; readonly fileOffset?: number };

/** The damage of one file. */
export interface DamagedFile {
  readonly volume: number;
  readonly owner: Owner;
  readonly damages: readonly Damage[];
}

/**
 * Plans one file.
 *
 * @returns what remains to be planned from raw images
 */
export async function planFile(planner: Planner, file: DamagedFile): Promise<readonly Leftover[]> {
  const source = sourceOf(planner.target, file.volume);
  const info = source === undefined ? undefined : await source.map.info(file.owner.inode ?? -1);
  if (source === undefined || info === undefined) {
    for (const damage of file.damages)
      leave(planner, damage, {
        action: "refused",
        reason: `inode ${file.owner.inode ?? "?"} cannot be read`,
      });
    return [];
  }
  if (info.encrypted)
    return file.damages.map((damage) => ({
      ...damage,
      why: "its content is encrypted: only an image holds it as it is on the device",
    }));
  const parts: FilePart[] = [];
  for (const damage of file.damages)
    parts.push(...(await locate(planner, { source, damage, owner: file.owner })));
  parts.sort((one, other) => one.fileOffset - other.fileOffset);
  const target = new VolumeFile(source, info, file.owner.paths?.[0] ?? `inode ${info.inode}`);
  const work: FileWork = {
    target,
    parts,
    owner: file.owner,
    uuid: source.map.uuid,
    reasons: new Map(),
    open: RangeSet.from(parts.map((part) => ({ offset: part.fileOffset, length: part.length }))),
  };
  const holes = [...work.open];
  for (const [index] of planner.donors.entries()) {
    if (work.open.size > 0) await askDonor(planner, { index, holes }, work);
  }
  return leftovers(work);
}

interface FileWork {
  readonly target: VolumeFile;
  readonly parts: readonly FilePart[];
  readonly owner: Owner;
  readonly uuid: string;
  /** Why donors were refused, by the first byte of the hole. */
  readonly reasons: Map<number, string[]>;
  /** What of the file no donor has served yet. */
  readonly open: RangeSet;
}

/** The parts of the file that stand on a damage, by the extents of the inode: the owner's ranges alone do not say their order. */
async function locate(
  planner: Planner,
  query: { source: VolumeSource; damage: Damage; owner: Owner },
): Promise<readonly FilePart[]> {
  const { source, damage } = query;
  const owner = damage.owners[0] ?? query.owner;
  const parts: FilePart[] = [];
  const range = { offset: damage.offset - source.offset, length: damage.length };
  for (const wanted of owner.ranges) {
    for (const extent of await source.map.extents(owner.inode ?? -1, wanted)) {
      if (extent.kind !== "data" || extent.device === undefined) continue;
      const clipped = intersect(extent, wanted);
      if (clipped === undefined) continue;
      const device = extent.device + clipped.offset - extent.offset;
      const part = intersect(range, { offset: device, length: clipped.length });
      if (part === undefined) continue;
      parts.push({
        offset: part.offset + source.offset,
        length: part.length,
        damage,
        fileOffset: clipped.offset + part.offset - device,
      });
    }
  }
  const placed = RangeSet.from(parts);
  for (const gap of placed.gaps(damage.offset, damage.length)) {
    leave(
      planner,
      { ...damage, ...gap },
      { action: "refused", reason: "its place in the file cannot be told from the extents" },
    );
  }
  return parts;
}

/** Grades one donor for every hole of the file, and takes what it may give. */
async function askDonor(
  planner: Planner,
  ask: { index: number; holes: readonly ByteRange[] },
  work: FileWork,
): Promise<void> {
  const donor = planner.donors[ask.index];
  if (donor === undefined) return;
  for (const path of work.owner.paths ?? []) {
    const file = await donor.file(path, work.uuid);
    if (file === undefined) continue;
    try {
      const digest = planner.digests.get(path);
      for (const hole of ask.holes)
        await askHole(planner, { file, hole, index: ask.index, path, digest }, work);
    } finally {
      await file.close();
    }
    if (work.open.size === 0) return;
  }
}

interface HoleQuestion {
  readonly file: DonorFile;
  readonly hole: ByteRange;
  readonly index: number;
  readonly path: string;
  readonly digest: FileDigest | undefined;
}

async function askHole(planner: Planner, ask: HoleQuestion, work: FileWork): Promise<void> {
  await planner.checkpoint();
  const { hole, file } = ask;
  const rest = [...work.open.within(hole.offset, hole.length)];
  if (rest.length === 0) return;
  const verdict = await gradeHole({ target: work.target, donor: file }, hole, ask.digest);
  const reasons = work.reasons.get(hole.offset) ?? [];
  work.reasons.set(hole.offset, reasons);
  if (!trusted(verdict.grade, planner.trust)) {
    const asked =
      verdict.grade === "refused" ? "" : `only ${verdict.grade}, and ${planner.trust} is wanted: `;
    if (reasons.length < MOST_LISTED) reasons.push(`${file.name}: ${asked}${verdict.reason}`);
    return;
  }
  for (const open of rest) await takeRange(planner, { ask, verdict, open }, work);
  if (work.open.intersects(hole.offset, hole.length))
    reasons.push(`${file.name}: it misses bytes there itself`);
}

/** Makes the steps for a range of the file that a donor may serve; what it misses stays open. */
async function takeRange(
  planner: Planner,
  take: { ask: HoleQuestion; verdict: Verdict; open: ByteRange },
  work: FileWork,
): Promise<void> {
  for (let at = firstPart(work.parts, take.open.offset); at < work.parts.length; at += 1) {
    const part = work.parts[at];
    if (part === undefined || part.fileOffset >= endOf(take.open)) break;
    const shared = intersect(take.open, { offset: part.fileOffset, length: part.length });
    if (shared === undefined) continue;
    for (const piece of stepPieces(shared))
      await takePiece(planner, { ...take, part, piece }, work);
  }
}

/** The first part that ends behind a byte of the file, by bisection: a file may have very many. */
function firstPart(parts: readonly FilePart[], fileOffset: number): number {
  let low = 0;
  let high = parts.length;
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    const part = parts[middle];
    if (part !== undefined && part.fileOffset + part.length <= fileOffset) low = middle + 1;
    else high = middle;
  }
  return low;
}

async function takePiece(
  planner: Planner,
  take: { ask: HoleQuestion; verdict: Verdict; part: FilePart; piece: ByteRange },
  work: FileWork,
): Promise<void> {
  const { ask, verdict, part, piece } = take;
  const bytes = new Uint8Array(piece.length);
  const { missing } = await ask.file.read(bytes, piece.offset);
  const got = RangeSet.from([piece]);
  for (const hole of missing) got.delete(hole.offset, hole.length);
  for (const { offset, length } of got) {
    const draft: Draft = {
      offset: part.offset + offset - part.fileOffset,
      length,
      state: part.damage.state,
      action: "write",
      owner: { ...ownerOf(part.damage), fileOffset: offset },
      donor: { index: ask.index, from: "file", path: ask.path, offset },
      grade: verdict.grade,
      sha256: sha256(bytes.subarray(offset - piece.offset, offset - piece.offset + length)),
      reason: verdict.reason,
    };
    planner.drafts.push(draft);
    work.open.delete(offset, length);
  }
}

function leftovers(work: FileWork): readonly Leftover[] {
  const rest: Leftover[] = [];
  const holes = [...work.reasons.keys()].sort((one, other) => one - other);
  for (const part of work.parts) {
    for (const open of work.open.within(part.fileOffset, part.length)) {
      // Holes do not touch, so the last one that begins at or before a byte is the one that holds it.
      const reasons = work.reasons.get(holes.findLast((hole) => hole <= open.offset) ?? -1) ?? [];
      const offset = part.offset + open.offset - part.fileOffset;
      const why = reasons.length === 0 ? {} : { why: reasons.join("; ") };
      rest.push({ ...part.damage, offset, length: open.length, fileOffset: open.offset, ...why });
    }
  }
  return rest;
}
