/** Planner: what every part of planning shares: the target, the donors, the rules, and the steps made so far. */
import { createHash } from "node:crypto";
import type { ByteRange } from "../../base/index.ts";
import type { Donor, FileDigest, Grade, VolumeSource } from "../../donor/index.ts";
import type { Damage } from "../damage.ts";
import { MOST_STEP_BYTES, type PlanStep, type StepOwner, type Trust } from "./plan-file.ts";
import type { Target } from "../target.ts";

/** Reasons that are kept of one hole: donors may be many. */
export const MOST_LISTED = 8;

/** A step that has no number and no neighbours yet. */
export type Draft = Omit<PlanStep, "id" | "neighbours">;

/** What planning works with. */
export interface Planner {
  readonly target: Target;
  readonly donors: readonly Donor[];
  readonly trust: Trust;
  /** Whether free space and unwritten extents are healed with zeros too. */
  readonly free: boolean;
  /** Digests of damaged files by path. */
  readonly digests: ReadonlyMap<string, FileDigest>;
  /** Lets signals in; throws to end the work. */
  readonly checkpoint: () => Promise<void>;
  readonly drafts: Draft[];
}

/** Whether a grade is good enough. */
export function trusted(grade: Grade, trust: Trust): boolean {
  if (trust === "anything" || grade === "proven") return true;
  return grade === "consistent" && trust === "consistent";
}

/** SHA-256 in hexadecimal. */
export function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** Pieces of a range, each at most as long as a step may be. */
export function* stepPieces(range: ByteRange): Generator<ByteRange> {
  for (let at = 0; at < range.length; at += MOST_STEP_BYTES) {
    yield { offset: range.offset + at, length: Math.min(MOST_STEP_BYTES, range.length - at) };
  }
}

/** The volume of the target with an index, as a source of bytes; `undefined` where no file system is known. */
export function sourceOf(target: Target, index: number | undefined): VolumeSource | undefined {
  const volume = index === undefined ? undefined : target.volumes[index];
  if (volume?.map === undefined) return undefined;
  return { device: target.device, offset: volume.offset, length: volume.length, map: volume.map };
}

/** The owner that a step names for a damage: the first of its owners, with its first path. */
export function ownerOf(damage: Damage): StepOwner {
  const owner = damage.owners[0];
  const base: StepOwner = { kind: owner?.kind ?? "unknown", what: owner?.what ?? "unknown" };
  const path = owner?.paths?.[0];
  const sharers = damage.owners
    .slice(1, 65)
    .flatMap(({ shared, paths, inode }) =>
      shared === true ? [paths?.[0] ?? `inode ${inode ?? "?"}`] : [],
    );
  return {
    ...base,
    ...(damage.volume === undefined ? {} : { volume: damage.volume }),
    ...(owner?.inode === undefined ? {} : { inode: owner.inode }),
    ...(path === undefined ? {} : { path }),
    ...(sharers.length === 0 ? {} : { sharers }),
  };
}

/** The same with the place of a byte in its file, where that can be told: `damage` must be as it was found, or a part that names its whole. */
export function ownerAt(damage: Damage & { readonly whole?: Damage }, offset: number): StepOwner {
  const { owners, offset: start } = damage.whole ?? damage;
  const [range, ...more] = owners[0]?.ranges ?? [];
  const isTold = owners[0]?.what === "data" && range !== undefined && more.length === 0;
  return isTold
    ? { ...ownerOf(damage), fileOffset: range.offset + offset - start }
    : ownerOf(damage);
}

/** Notes a range that nothing is done with. */
export function leave(
  planner: Planner,
  damage: Damage,
  why: { action: "refused" | "unavailable" | "left"; reason: string; fileOffset?: number },
): void {
  const { offset, length, state } = damage;
  const { fileOffset, ...told } = why;
  const owner = fileOffset === undefined ? ownerOf(damage) : { ...ownerOf(damage), fileOffset };
  planner.drafts.push({ offset, length, state, owner, ...told });
}

const zeroHashes = new Map<number, string>();

/** Notes a range that gets zeros. */
export function zero(planner: Planner, damage: Damage, reason: string): void {
  for (const piece of stepPieces(damage)) {
    const hash = zeroHashes.get(piece.length) ?? sha256(new Uint8Array(piece.length));
    if (zeroHashes.size < 1000) zeroHashes.set(piece.length, hash);
    planner.drafts.push({
      ...piece,
      state: damage.state,
      action: "zero",
      owner: ownerOf(damage),
      sha256: hash,
      reason,
    });
  }
}
