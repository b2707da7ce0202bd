/**
 * Verify: reads all bytes and says what is right. Against a donor every file is compared with the donor's: equal, differs, missing
 * there, or partly unreadable.
 */
import { ProgressMeter, type ByteRange } from "../base/index.ts";
import {
  cleanPieces,
  VolumeFile,
  type Donor,
  type DonorFile,
  type VolumeSource,
} from "../donor/index.ts";
import type { PoisonTotals } from "../poison/index.ts";
import { findDamage, missingBytes } from "./damage.ts";
import { sourceOf } from "./plan/planner.ts";
import { READ_SIZE, scan, type ScanOptions } from "./scan.ts";
import type { Target } from "./target.ts";

/** How a file compares. */
export type Comparison = "equal" | "differs" | "absent" | "unreadable" | "not-compared";

/** One file that is not simply equal. */
export interface ComparedFile {
  readonly volume: number;
  readonly inode: number;
  readonly path: string;
  readonly result: Exclude<Comparison, "equal">;
  /** First byte that differs, or first that cannot be read. */
  readonly offset?: number;
  /** Bytes that differ, or that cannot be read. */
  readonly bytes?: number;
  readonly why: string;
}

/** The document `theriac.verify/1`. */
export interface Verification {
  readonly schema: "theriac.verify/1";
  readonly target: string;
  readonly against: string | null;
  readonly totals: PoisonTotals;
  /** Bytes of data that are missing. */
  readonly missing: number;
  /** Bytes that were given up (docs/log.md): zeros stand there, and count as clean. */
  readonly acknowledged: number;
  /** Files by result; absent without a donor. */
  readonly files: Readonly<Record<Comparison, number>> | null;
  /** All that are not equal, at most `MOST_TOLD`; `files` counts them all. */
  readonly different: readonly ComparedFile[];
  readonly problems: readonly string[];
}

/** How a target is verified. */
export interface VerifyOptions extends ScanOptions {
  /** What the log of the target says was given up. @default nothing */
  readonly givenUp?: readonly ByteRange[];
}

/** Files that are told one by one at most. */
export const MOST_TOLD = 100_000;

/**
 * Reads everything and compares.
 *
 * @throws {StorageError} if the target or the donor itself fails
 */
export async function verify(
  target: Target,
  donor: Donor | undefined,
  options: VerifyOptions = {},
): Promise<Verification> {
  await scan(target, options);
  const compared = donor === undefined ? undefined : await compareAll(target, donor, options);
  const damage = await findDamage(target);
  return {
    schema: "theriac.verify/1",
    target: target.path,
    against: donor?.name ?? null,
    totals: target.device.poison.totals(),
    missing: missingBytes(damage),
    acknowledged: (options.givenUp ?? []).reduce((sum, { length }) => sum + length, 0),
    files: compared?.counts ?? null,
    different: compared?.different ?? [],
    problems: target.volumes.flatMap(({ map }) =>
      (map?.problems ?? []).map(({ message }) => message),
    ),
  };
}

/** Exit code of a verification: 1 where data is missing or differs. */
export function verifyExitCode(result: Verification): 0 | 1 {
  const differs = result.files !== null && result.files.differs + result.files.unreadable > 0;
  return result.missing > 0 || differs ? 1 : 0;
}

interface AllCompared {
  readonly counts: Record<Comparison, number>;
  readonly different: ComparedFile[];
}

async function compareAll(
  target: Target,
  donor: Donor,
  options: ScanOptions,
): Promise<AllCompared> {
  const all: AllCompared = {
    counts: { equal: 0, differs: 0, absent: 0, unreadable: 0, "not-compared": 0 },
    different: [],
  };
  const meter = new ProgressMeter(options.onProgress);
  let files = 0;
  for (const index of target.volumes.keys()) {
    const source = sourceOf(target, index);
    if (source === undefined) continue;
    for await (const info of source.map.files()) {
      if (info.kind !== "file" || info.paths.length === 0) continue;
      await options.checkpoint?.();
      const failingReads = all.counts.unreadable;
      // How many files there are, only the whole walk can tell.
      meter.report({ phase: "comparing", done: files, total: 0, unit: "items", failingReads });
      files += 1;
      const result = await compareFile(source, donor, {
        file: new VolumeFile(source, info, info.paths[0] ?? ""),
        paths: info.paths,
      });
      all.counts[result?.result ?? "equal"] += 1;
      if (result !== undefined && all.different.length < MOST_TOLD)
        all.different.push({
          volume: index,
          inode: info.inode,
          path: info.paths[0] ?? "",
          ...result,
        });
    }
  }
  return all;
}

type Difference = Pick<ComparedFile, "result" | "offset" | "bytes" | "why">;

async function compareFile(
  source: VolumeSource,
  donor: Donor,
  ours: { file: VolumeFile; paths: readonly string[] },
): Promise<Difference | undefined> {
  if (ours.file.info.encrypted) return { result: "not-compared", why: "its content is encrypted" };
  for (const path of ours.paths) {
    const theirs = await donor.file(path, source.map.uuid);
    if (theirs === undefined) continue;
    try {
      return await compareContent(ours.file, theirs);
    } finally {
      await theirs.close();
    }
  }
  return { result: "absent", why: `${donor.name} has no such file` };
}

/** Compares all bytes that both sides can read; a difference weighs more than bytes that cannot be read. */
async function compareContent(
  ours: VolumeFile,
  theirs: DonorFile,
): Promise<Difference | undefined> {
  if (ours.size !== theirs.size)
    return {
      result: "differs",
      offset: Math.min(ours.size, theirs.size),
      bytes: Math.abs(ours.size - theirs.size),
      why: `${ours.size} bytes, and ${theirs.size} in the donor`,
    };
  const length = Math.min(READ_SIZE, ours.size);
  const sums = { differing: 0, first: -1, unreadable: 0, firstUnreadable: -1 };
  const [one, other] = [new Uint8Array(length), new Uint8Array(length)];
  for (let offset = 0; offset < ours.size; offset += length) {
    const range: ByteRange = { offset, length: Math.min(length, ours.size - offset) };
    const mine = one.subarray(0, range.length);
    const its = other.subarray(0, range.length);
    const missing = [
      ...(await ours.read(mine, offset)).missing,
      ...(await theirs.read(its, offset)).missing,
    ];
    if (missing.length === 0 && Buffer.compare(mine, its) === 0) continue;
    const clean = cleanPieces(range, missing);
    const lost = range.length - clean.reduce((sum, piece) => sum + piece.length, 0);
    if (lost > 0 && sums.firstUnreadable < 0)
      sums.firstUnreadable = missing.reduce(
        (first, hole) => Math.min(first, hole.offset),
        range.offset + range.length,
      );
    sums.unreadable += lost;
    for (const piece of clean) countDifferences(mine, its, { base: offset, piece, sums });
  }
  if (sums.differing > 0)
    return {
      result: "differs",
      offset: sums.first,
      bytes: sums.differing,
      why: `${sums.differing} bytes differ, the first at byte ${sums.first}`,
    };
  if (sums.unreadable > 0)
    return {
      result: "unreadable",
      offset: sums.firstUnreadable,
      bytes: sums.unreadable,
      why: `${sums.unreadable} bytes cannot be read, the first at byte ${sums.firstUnreadable}; the others are equal`,
    };
  return undefined;
}

function countDifferences(
  mine: Uint8Array,
  its: Uint8Array,
  at: { base: number; piece: ByteRange; sums: { differing: number; first: number } },
): void {
  const from = at.piece.offset - at.base;
  for (let index = from; index < from + at.piece.length; index += 1) {
    if (mine[index] === its[index]) continue;
    if (at.sums.first < 0) at.sums.first = at.base + index;
    at.sums.differing += 1;
  }
}
