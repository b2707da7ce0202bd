/**
 * GradeRaw: whether an image holds the same volume at the same moment, so that its raw bytes at an offset are the target's.
 *
 * Used for what no directory can give: directory blocks, inode tables, bitmaps, the journal, inline and encrypted content. A
 * checksum proves that bytes are whole, not that they are current; so first the whole volume must be of one generation
 * (UUID, size, superblock times, journal sequence), and then every clean byte of the metadata around must be equal.
 */
import type { ByteRange } from "../base/index.ts";
import type { OwnedRange } from "../fs/index.ts";
import { cleanPieces, type Verdict } from "./grade.ts";
import { gradeInStep } from "./grade-twin.ts";
import { readOrMissing } from "./read-or-missing.ts";
import type { VolumeSource } from "./volume-file.ts";

/** A volume of the target, and the one of a donor that may be its twin. */
export interface RawPair {
  readonly target: VolumeSource;
  readonly donor: VolumeSource;
}

const CHUNK = 1024 * 1024;

/** What speaks against a volume as a whole; `undefined`: it is of the same generation. */
export function differentVolume(pair: RawPair): string | undefined {
  const [one, other] = [pair.target.map, pair.donor.map];
  if (one.uuid !== other.uuid)
    return `it is another file system (UUID ${other.uuid}, the target's ${one.uuid})`;
  if (one.size !== other.size || one.blockSize !== other.blockSize)
    return `it has another size (${other.size} bytes, the target ${one.size})`;
  if (one.generation !== other.generation)
    return `it is of another generation (${other.generation}; the target's is ${one.generation})`;
  return undefined;
}

/**
 * Grades raw bytes of a donor volume for a range of the volume; remembers each group, because many ranges share one.
 *
 * @param known verdicts by group, kept by the caller for one pair
 */
export async function gradeRaw(
  pair: RawPair,
  range: ByteRange,
  known: Map<number, Verdict>,
): Promise<Verdict> {
  const step = pair.donor.inStep?.(range);
  if (step !== undefined && pair.donor.offset === pair.target.offset) {
    const place = { offset: pair.target.offset + range.offset, length: range.length };
    const devices = { target: pair.target.device, donor: pair.donor.device };
    return await gradeInStep(devices, place, step);
  }
  const group = pair.target.map.blockSize ** 2 * 8;
  const last = Math.floor((range.offset + Math.max(1, range.length) - 1) / group);
  let verdict: Verdict = { grade: "refused", reason: "it was not compared", compared: 0 };
  for (let index = Math.floor(range.offset / group); index <= last; index += 1) {
    verdict = known.get(index) ?? (await gradeGroup(pair, index * group));
    known.set(index, verdict);
    if (verdict.grade === "refused") break;
  }
  return verdict;
}

async function gradeGroup(pair: RawPair, offset: number): Promise<Verdict> {
  const { map } = pair.target;
  const reason = differentVolume(pair);
  if (reason !== undefined) return { grade: "refused", reason, compared: 0 };
  // The superblock and the first descriptors are always asked: they speak for every group.
  const head = await compareGroup(pair, { offset: 0, length: map.blockSize * 2 });
  if (head.grade === "refused" && head.compared > 0) return head;
  const length = Math.min(map.blockSize ** 2 * 8, map.size - offset);
  return await compareGroup(pair, { offset, length });
}

/** Compares all clean metadata of a window of the volume. */
async function compareGroup(pair: RawPair, window: ByteRange): Promise<Verdict> {
  let compared = 0;
  for (const owned of await pair.target.map.owners([window])) {
    if (!isMetadata(owned)) continue;
    for (let at = owned.offset; at < owned.offset + owned.length; at += CHUNK) {
      const length = Math.min(CHUNK, owned.offset + owned.length - at);
      const result = await comparePiece(pair, { offset: at, length });
      compared += result.compared;
      if (result.differs !== undefined) {
        const what = owned.owners[0]?.what ?? "metadata";
        return {
          grade: "refused",
          reason: `its metadata differs: ${what} at byte ${result.differs} of the volume`,
          compared,
        };
      }
    }
  }
  if (compared === 0)
    return { grade: "refused", reason: "no clean metadata is left beside it to compare", compared };
  return {
    grade: "consistent",
    reason: `same generation; ${compared} bytes of clean metadata around it are equal`,
    compared,
  };
}

function isMetadata(owned: OwnedRange): boolean {
  return owned.owners.some(
    (owner) =>
      owner.kind === "metadata" || owner.kind === "directory" || owner.what === "inline-data",
  );
}

async function comparePiece(
  pair: RawPair,
  range: ByteRange,
): Promise<{ compared: number; differs?: number }> {
  const ours = new Uint8Array(range.length);
  const theirs = new Uint8Array(range.length);
  const missing: ByteRange[] = [];
  for (const [volume, into] of [
    [pair.target, ours],
    [pair.donor, theirs],
  ] as const) {
    const result = await readOrMissing(volume.device, into, volume.offset + range.offset);
    for (const bad of result.missing)
      missing.push({ offset: bad.offset - volume.offset, length: bad.length });
  }
  let compared = 0;
  for (const clean of cleanPieces(range, missing)) {
    const from = clean.offset - range.offset;
    const one = ours.subarray(from, from + clean.length);
    const other = theirs.subarray(from, from + clean.length);
    if (Buffer.compare(one, other) !== 0) {
      const at = one.findIndex((byte, index) => byte !== other[index]);
      return { compared, differs: clean.offset + at };
    }
    compared += clean.length;
  }
  return { compared };
}
