/**
 * PlanFiles: steps for the content of files. The device ranges of the damage become byte ranges of the file through the extents
 * of its inode, whole holes are graded against each donor in turn, and what one donor misses the next one may have.
 */
import { endOf, intersect, RangeSet, StorageError, type ByteRange } from "../../base/index.ts";
import {
  gradeHole,
  VolumeFile,
  type Donor,
  type DonorFile,
  type FileDigest,
  type Verdict,
  type VolumeSource,
} from "../../donor/index.ts";
import type { Owner } from "../../fs/index.ts";
import type { Damage } from "../damage.ts";
import { JointFile } from "./joint-file.ts";
import type { Trust } from "./plan-file.ts";
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
    verdicts: new Map(),
    open: RangeSet.from(parts.map((part) => ({ offset: part.fileOffset, length: part.length }))),
  };
  await askAll(planner, work);
  return leftovers(work);
}

/** Asks everybody who may have bytes of the file. */
async function askAll(planner: Planner, work: FileWork): Promise<void> {
  const holes = [...work.open];
  const paths = work.owner.paths ?? [];
  const isKnown = paths.some((path) => planner.digests.has(path));
  // Proven before consistent, wherever in the order: where nothing can be proven, nobody is asked twice.
  if (isKnown) {
    await askDonors(planner, { holes, trust: "proven" }, work);
    if (work.open.size > 0 && planner.donors.length > 1) await askTogether(planner, holes, work);
  }
  if (!isKnown || planner.trust !== "proven")
    await askDonors(planner, { holes, trust: planner.trust }, work);
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
  /** What donors were found to be worth, by donor, path and hole: nobody's neighbours are read twice. */
  readonly verdicts: Map<string, Verdict>;
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

/** Which holes are asked for, and the least grade that is taken now. */
interface Round {
  readonly holes: readonly ByteRange[];
  readonly trust: Trust;
}

/** Asks the donors in their order, as long as anything is open. */
async function askDonors(planner: Planner, round: Round, work: FileWork): Promise<void> {
  for (const index of planner.donors.keys()) {
    if (work.open.size > 0) await askDonor(planner, { ...round, index }, work);
  }
}

/** Grades one donor for every hole of the file, and takes what it may give. One that fails is passed over, and says why. */
async function askDonor(
  planner: Planner,
  ask: Round & { readonly index: number },
  work: FileWork,
): Promise<void> {
  const donor = planner.donors[ask.index];
  if (donor === undefined) return;
  try {
    for (const path of work.owner.paths ?? []) {
      if (work.open.size > 0) await askFile(planner, { ...ask, donor, path }, work);
    }
  } catch (error) {
    if (!(error instanceof StorageError)) throw error;
    for (const hole of ask.holes) addReason(work, hole, `${donor.name}: ${error.message}`);
  }
}

async function askFile(
  planner: Planner,
  ask: Round & { readonly index: number; readonly donor: Donor; readonly path: string },
  work: FileWork,
): Promise<void> {
  const { donor, index, path, trust } = ask;
  const file = await donor.file(path, work.uuid);
  if (file === undefined) return;
  try {
    for (const hole of ask.holes) await askHole(planner, { file, hole, index, path, trust }, work);
  } finally {
    await file.close();
  }
}

interface HoleQuestion {
  readonly file: DonorFile;
  readonly hole: ByteRange;
  readonly index: number;
  readonly path: string;
  readonly trust: Trust;
}

async function askHole(planner: Planner, ask: HoleQuestion, work: FileWork): Promise<void> {
  await planner.checkpoint();
  const { hole, file } = ask;
  const rest = [...work.open.within(hole.offset, hole.length)];
  if (rest.length === 0) return;
  const key = `${ask.index} ${hole.offset} ${ask.path}`;
  const known = work.verdicts.get(key);
  const pair = { target: work.target, donor: file };
  const verdict = known ?? (await gradeHole(pair, hole, planner.digests.get(ask.path)));
  work.verdicts.set(key, verdict);
  if (!trusted(verdict.grade, ask.trust)) {
    if (ask.trust === planner.trust) addReason(work, hole, whyNot(file, verdict, planner.trust));
    return;
  }
  for (const open of rest) await takeRange(planner, { ask, verdict, open }, work);
  if (work.open.intersects(hole.offset, hole.length))
    addReason(work, hole, `${file.name}: it misses bytes there itself`);
}

function whyNot(file: DonorFile, verdict: Verdict, trust: Trust): string {
  const asked =
    verdict.grade === "refused" ? "" : `only ${verdict.grade}, and ${trust} is wanted: `;
  return `${file.name}: ${asked}${verdict.reason}`;
}

function addReason(work: FileWork, hole: ByteRange, reason: string): void {
  const reasons = work.reasons.get(hole.offset) ?? [];
  work.reasons.set(hole.offset, reasons);
  if (reasons.length < MOST_LISTED && !reasons.includes(reason)) reasons.push(reason);
}

/** Proves by a digest what only several donors together have: each byte of a hole from the first of them that has it. */
async function askTogether(
  planner: Planner,
  holes: readonly ByteRange[],
  work: FileWork,
): Promise<void> {
  for (const path of work.owner.paths ?? []) {
    const digest = planner.digests.get(path);
    if (digest === undefined) continue;
    const opened: { index: number; file: DonorFile }[] = [];
    try {
      for (const [index, donor] of planner.donors.entries()) {
        const file = await donor.file(path, work.uuid);
        if (file !== undefined) opened.push({ index, file });
      }
      const fitting = opened.filter(({ file }) => file.size === work.target.size);
      const [first, ...more] = fitting.map(({ file }) => file);
      if (first === undefined || more.length === 0) continue;
      const joint = new JointFile([first, ...more]);
      for (const hole of holes)
        await takeTogether(planner, { joint, digest, hole, path, fitting }, work);
    } finally {
      for (const { file } of opened) await file.close();
    }
  }
}

interface JointQuestion {
  readonly joint: JointFile;
  readonly digest: FileDigest;
  readonly hole: ByteRange;
  readonly path: string;
  readonly fitting: readonly { readonly index: number; readonly file: DonorFile }[];
}

async function takeTogether(planner: Planner, ask: JointQuestion, work: FileWork): Promise<void> {
  await planner.checkpoint();
  const { hole, joint, digest, path } = ask;
  if (!work.open.intersects(hole.offset, hole.length)) return;
  const verdict = await gradeHole({ target: work.target, donor: joint }, hole, digest);
  if (verdict.grade !== "proven") return;
  for (const { index, file } of ask.fitting) {
    const question = { file, hole, index, path, trust: "proven" } as const;
    const rest = Array.from(work.open.within(hole.offset, hole.length));
    for (const open of rest) await takeRange(planner, { ask: question, verdict, open }, work);
  }
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
