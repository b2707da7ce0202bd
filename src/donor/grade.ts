/**
 * Grade: how much is known of a donor's bytes before one of them is written (design, "Donors and grades").
 *
 * - proven: a digest of the block, taken when the file was known good, matches the target's clean bytes joined with the donor's.
 * - consistent: same size and modification time, and on each side of the hole at least 4 KiB of clean bytes that are equal and
 *   not constant; less only where the file starts or ends first.
 * - refused: anything else, with where and how it differs.
 *
 * A leg of the target's own mirror that is known to be in step is proven too, unless a clean byte beside the hole says otherwise.
 *
 * A digest that speaks of the target's version (its size and time) decides alone, in both directions. One of another version says
 * nothing. Constant bytes (a run of zeros above all) prove nothing, because any two files have them in common.
 */
import type { BadRange, ByteRange, MaybePromise } from "../base/index.ts";
import type { ReadResult } from "../device/index.ts";
import { BLOCK_HASH_BYTES, blockHash, type FileDigest } from "./digest-file.ts";
import type { DonorFile } from "./donor.ts";

/** What is known of a donor's bytes. */
export type Grade = "proven" | "consistent" | "refused";

/** A grade, with its reason. */
export interface Verdict {
  readonly grade: Grade;
  /** A sentence for people. */
  readonly reason: string;
  /** Bytes of target and donor that were compared. */
  readonly compared: number;
  /** Where the first difference is, in bytes of the file, and how many of the compared bytes differ. */
  readonly differs?: { readonly offset: number; readonly count: number };
}

/** Bytes of evidence wanted on each side of a hole. */
export const EVIDENCE = 4096;
/** How far from a hole evidence is looked for. */
const FARTHEST = 1024 * 1024;
/** Pieces that count as evidence or not as a whole, because one of their bytes is unlike the others. */
const PIECE = 512;

/** A file that can be asked for its bytes. */
export interface ReadableFile {
  readonly size: number;
  readonly modifiedNs: bigint;
  read(into: Uint8Array, offset: number): MaybePromise<ReadResult>;
}

/** The two files that are compared. */
export interface Pair {
  readonly target: ReadableFile;
  readonly donor: DonorFile;
}

/** Whether two times are the same: to the nanosecond, or to the second where one side keeps no more. */
export function sameTime(one: bigint, other: bigint): boolean {
  const second = 1_000_000_000n;
  if (one === other) return true;
  return (
    (one % second === 0n || other % second === 0n) &&
    floorDivide(one, second) === floorDivide(other, second)
  );
}

function floorDivide(value: bigint, by: bigint): bigint {
  const rest = ((value % by) + by) % by;
  return (value - rest) / by;
}

/** What speaks against a donor as a whole, before a byte is read: another size, another time. `undefined`: nothing. */
export function differentVersion(pair: Pair): string | undefined {
  const { target, donor } = pair;
  if (donor.size !== target.size)
    return `the donor's file has ${donor.size} bytes, the target's ${target.size}`;
  if (sameTime(target.modifiedNs, donor.modifiedNs)) return undefined;
  const older = donor.modifiedNs < target.modifiedNs ? "older" : "newer";
  return `the donor's file is ${older}: modified ${formatTime(donor.modifiedNs)}, the target's ${formatTime(target.modifiedNs)}`;
}

/** Nanoseconds since 1970 for people, in UTC, to the second and with the nanoseconds where there are some. */
export function formatTime(ns: bigint): string {
  const seconds = floorDivide(ns, 1_000_000_000n);
  const rest = ns - seconds * 1_000_000_000n;
  const date = new Date(Number(seconds) * 1000);
  if (Number.isNaN(date.getTime())) return `${seconds} s`;
  const text = date.toISOString().slice(0, 19).replace("T", " ");
  return rest === 0n ? text : `${text}.${String(rest).padStart(9, "0")}`;
}

/**
 * Grades the donor's bytes for one hole.
 *
 * @param pair the target's file and the donor's
 * @param hole a whole run of missing bytes of the file: what lies beside it is clean, or the file's start or end
 * @param digest what was known of the target's file, if anything
 */
export async function gradeHole(
  pair: Pair,
  hole: ByteRange,
  digest?: FileDigest,
): Promise<Verdict> {
  if (
    digest !== undefined &&
    digest.size === pair.target.size &&
    sameTime(digest.modifiedNs, pair.target.modifiedNs)
  ) {
    const verdict = await proveByDigest(pair, hole, digest);
    if (verdict !== undefined) return verdict;
  }
  const step = await pair.donor.inStep?.(hole);
  const version = differentVersion(pair);
  if (version !== undefined) return { grade: "refused", reason: version, compared: 0 };
  const before = await compareOutward(pair, { from: hole.offset, step: -1 });
  const after = await compareOutward(pair, { from: hole.offset + hole.length, step: 1 });
  if (step !== undefined && before.differing + after.differing === 0)
    return { grade: "proven", reason: step.by, compared: before.compared + after.compared };
  return judge(hole, before, after);
}

/** Joins the blocks that the hole touches and compares their digests; `undefined` where other bytes are missing too. */
async function proveByDigest(
  pair: Pair,
  hole: ByteRange,
  digest: FileDigest,
): Promise<Verdict | undefined> {
  const { target, donor } = pair;
  const { blockSize } = digest;
  const last = Math.floor((hole.offset + hole.length - 1) / blockSize);
  let compared = 0;
  for (let block = Math.floor(hole.offset / blockSize); block <= last; block += 1) {
    const offset = block * blockSize;
    const joined = new Uint8Array(Math.min(blockSize, target.size - offset));
    if (donor.size < offset + joined.length)
      return { grade: "refused", reason: differentVersion(pair) ?? "", compared };
    const { missing } = await target.read(joined, offset);
    if (!(await fillFrom(donor, joined, { offset, missing }))) return undefined;
    const wanted = digest.blocks.subarray(block * BLOCK_HASH_BYTES, (block + 1) * BLOCK_HASH_BYTES);
    compared += joined.length;
    if (Buffer.compare(blockHash(joined), wanted) !== 0) {
      const reason = `its bytes do not match the digest of bytes ${offset} to ${offset + joined.length} of the file`;
      return { grade: "refused", reason, compared };
    }
  }
  return { grade: "proven", reason: "the digest of every block around the hole matches", compared };
}

/** Fills the missing ranges from the donor. @returns whether it had them all */
async function fillFrom(
  donor: DonorFile,
  into: Uint8Array,
  part: { offset: number; missing: readonly BadRange[] },
): Promise<boolean> {
  for (const range of part.missing) {
    const at = range.offset - part.offset;
    const result = await donor.read(into.subarray(at, at + range.length), range.offset);
    if (result.missing.length > 0) return false;
  }
  return true;
}

/** What one side of a hole says. */
interface Side {
  /** Bytes that count: clean on both sides, and not constant. */
  evidence: number;
  compared: number;
  differing: number;
  firstDifference: number;
  /** Whether the file's start or end was reached. */
  edge: boolean;
}

/** Compares from a hole's edge outwards, over further holes, until there is evidence enough, a difference, or the file ends. */
async function compareOutward(pair: Pair, walk: { from: number; step: 1 | -1 }): Promise<Side> {
  const side: Side = {
    evidence: 0,
    compared: 0,
    differing: 0,
    firstDifference: Number.POSITIVE_INFINITY,
    edge: false,
  };
  let at = walk.from;
  let window = EVIDENCE;
  const limit =
    walk.step === 1
      ? Math.min(pair.target.size, walk.from + FARTHEST)
      : Math.max(0, walk.from - FARTHEST);
  while (at !== limit && side.evidence < EVIDENCE && side.differing === 0) {
    const next = walk.step === 1 ? Math.min(at + window, limit) : Math.max(at - window, limit);
    await compareWindow(pair, { offset: Math.min(at, next), length: Math.abs(next - at) }, side);
    at = next;
    window = Math.min(window * 2, 65536);
  }
  side.edge = at === (walk.step === 1 ? pair.target.size : 0);
  return side;
}

async function compareWindow(pair: Pair, range: ByteRange, side: Side): Promise<void> {
  const ours = new Uint8Array(range.length);
  const theirs = new Uint8Array(range.length);
  const missing = [
    ...(await pair.target.read(ours, range.offset)).missing,
    ...(await pair.donor.read(theirs, range.offset)).missing,
  ];
  for (const clean of cleanPieces(range, missing)) {
    const from = clean.offset - range.offset;
    const one = ours.subarray(from, from + clean.length);
    const other = theirs.subarray(from, from + clean.length);
    side.compared += clean.length;
    if (Buffer.compare(one, other) !== 0)
      countDifferences(one, other, { side, offset: clean.offset });
    for (let at = 0; at < one.length; at += PIECE) {
      const piece = one.subarray(at, at + PIECE);
      if (!isConstant(piece)) side.evidence += piece.length;
    }
  }
}

function countDifferences(
  one: Uint8Array,
  other: Uint8Array,
  into: { side: Side; offset: number },
): void {
  for (let at = 0; at < one.length; at += 1) {
    if (one[at] === other[at]) continue;
    into.side.differing += 1;
    into.side.firstDifference = Math.min(into.side.firstDifference, into.offset + at);
  }
}

/** What of a range no missing range touches, ascending. */
export function cleanPieces(range: ByteRange, missing: readonly ByteRange[]): readonly ByteRange[] {
  const pieces: ByteRange[] = [];
  const end = range.offset + range.length;
  let at = range.offset;
  for (const hole of [...missing].sort((one, other) => one.offset - other.offset)) {
    if (hole.offset > at) pieces.push({ offset: at, length: Math.min(hole.offset, end) - at });
    at = Math.max(at, hole.offset + hole.length);
  }
  if (at < end) pieces.push({ offset: at, length: end - at });
  return pieces.filter((piece) => piece.length > 0);
}

/** Whether all bytes are the same one. */
export function isConstant(bytes: Uint8Array): boolean {
  return bytes.length < 2 || Buffer.compare(bytes.subarray(1), bytes.subarray(0, -1)) === 0;
}

function judge(hole: ByteRange, before: Side, after: Side): Verdict {
  const compared = before.compared + after.compared;
  const count = before.differing + after.differing;
  if (count > 0) {
    const offset = Math.min(before.firstDifference, after.firstDifference);
    const reason = `${count} of ${compared} clean bytes beside the hole differ, the first at byte ${offset} of the file`;
    return { grade: "refused", reason, compared, differs: { offset, count } };
  }
  for (const [name, side] of [
    ["before", before],
    ["after", after],
  ] as const) {
    if (side.evidence >= EVIDENCE || side.edge) continue;
    const reason = `${side.evidence} bytes ${name} the hole at byte ${hole.offset} can be compared, and ${EVIDENCE} are wanted`;
    return { grade: "refused", reason, compared };
  }
  const evidence = before.evidence + after.evidence;
  const reason =
    compared === 0
      ? "same size and time; no clean byte of the file is left to compare"
      : `same size and time, ${evidence} telling bytes beside the hole are equal`;
  return { grade: "consistent", reason, compared };
}
