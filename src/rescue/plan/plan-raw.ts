/**
 * PlanRaw: steps whose bytes only an image of the same generation can give: directories, inode tables, bitmaps, the journal,
 * content that is inline or encrypted, and files without a path.
 *
 * What a checksum of the file system covers is proven before anything is written: the donor's bytes are laid over the target in
 * memory, and the file system's own verification is run on the result.
 */
import { alignOut, endOf } from "../../base/index.ts";
import {
  cleanPieces,
  gradeRaw,
  readOrMissing,
  type Verdict,
  type VolumeSource,
} from "../../donor/index.ts";
import { openFileMap, type FileMap } from "../../fs/index.ts";
import type { Leftover } from "./plan-files.ts";
import { OverlayDevice, type Patch } from "./overlay.ts";
import {
  leave,
  ownerOf,
  sha256,
  sourceOf,
  stepPieces,
  trusted,
  type Draft,
  type Planner,
} from "./planner.ts";

/** Bytes of donors that are held at most to verify checksums over them; steps above stay "consistent". */
const MOST_PATCHED = 64 * 1024 * 1024;

/** Places whose checksums are verified at most: each may cost a walk over all inodes; others stay "consistent". */
const MOST_VERIFIED = 128;

/** Structures that only the file system's checker writes. */
const CHECKER_ONLY: Readonly<Record<string, string>> = {
  "superblock-backup": "backups of the superblock",
  "group-descriptors-backup": "backups of the group descriptors",
};

/** Plans raw ranges of one volume. `why` is the reason that files of donors did not serve, if there is one. */
export async function planRaw(planner: Planner, damages: readonly Leftover[]): Promise<void> {
  const known = planner.donors.map(() => new Map<number, Verdict>());
  // What a checksum contradicts is asked of the donors behind the one that it came from.
  for (let open: readonly Open[] = damages; open.length > 0;) {
    const patches: RawPatch[] = [];
    for (const damage of open) {
      await planner.checkpoint();
      await planOne(planner, damage, { known, patches });
    }
    const { drafts, contradicted } = await verifyPatched(planner, patches);
    planner.drafts.push(...drafts);
    open = contradicted;
  }
}

/** A range that is to be planned, and the donor behind which the next one is asked. */
type Open = Leftover & { readonly after?: number };

/** A step that may be made, with its bytes and what it heals. */
interface RawPatch {
  readonly draft: Draft;
  readonly bytes: Uint8Array;
  readonly damage: Open;
}

interface RawWork {
  /** Verdicts by donor and group. */
  readonly known: readonly Map<number, Verdict>[];
  readonly patches: RawPatch[];
}

async function planOne(planner: Planner, damage: Open, work: RawWork): Promise<void> {
  const source = sourceOf(planner.target, damage.volume);
  const never = neverWritten(damage, source);
  if (source === undefined || never !== undefined) {
    leave(planner, damage, { action: "refused", reason: never ?? "no file system is known here" });
    return;
  }
  const reasons: string[] = damage.why === undefined ? [] : [damage.why];
  let rest: readonly Open[] = [damage];
  for (const index of planner.donors.keys()) {
    if (index <= (damage.after ?? -1)) continue;
    const found = await gradeDonor(planner, { index, source, damage }, work);
    if (typeof found === "string") reasons.push(found);
    if (found === undefined || typeof found === "string") continue;
    rest = (await Promise.all(rest.map((part) => takeFrom(found, part, work)))).flat();
    if (rest.length === 0) return;
  }
  leaveRest(planner, damage, { rest, reasons });
}

/** Notes what no donor had. */
function leaveRest(
  planner: Planner,
  damage: Open,
  left: { readonly rest: readonly Open[]; readonly reasons: readonly string[] },
): void {
  const { rest, reasons } = left;
  const action = reasons.length === 0 ? "unavailable" : "refused";
  const reason = reasons.length === 0 ? whyNobody(damage) : reasons.join("; ");
  for (const part of rest) {
    const fileOffset =
      damage.fileOffset === undefined
        ? {}
        : { fileOffset: damage.fileOffset + part.offset - damage.offset };
    leave(planner, part, { action, reason, ...fileOffset });
  }
}

/** Why no donor was asked. The bytes of a file with a path may come from any copy of it; all else only from an image. */
function whyNobody(damage: Leftover): string {
  const isFile = damage.fileOffset !== undefined && (damage.owners[0]?.paths?.length ?? 0) > 0;
  return isFile
    ? "no donor has this file"
    : "only an image of the same generation can give these bytes, and no donor is one";
}

/** Why a range is never written from raw images, whatever the donors hold. */
function neverWritten(damage: Leftover, source: VolumeSource | undefined): string | undefined {
  const owner = damage.owners[0];
  const only = CHECKER_ONLY[owner?.what ?? ""];
  if (only !== undefined && source !== undefined) {
    const { checker } = source.map;
    return `${only} are written by ${checker.split(" ")[0]}, not by a repair: run ${checker} afterwards`;
  }
  if (source !== undefined && damage.owners.every(({ kind }) => kind !== "unknown"))
    return undefined;
  return `the owner is unknown: ${owner?.why ?? "nobody knows whose bytes these are"}`;
}

/** What a donor may give for a range: itself, why it may not, or `undefined` where it is no image. */
async function gradeDonor(
  planner: Planner,
  ask: { index: number; source: VolumeSource; damage: Leftover },
  work: RawWork,
): Promise<RawDonor | string | undefined> {
  const { index, source, damage } = ask;
  const donor = planner.donors[index];
  if (donor?.kind !== "image") return undefined;
  const volume = await donor.volume(source.map.uuid);
  if (volume === undefined) return `${donor.name}: it holds no file system with this UUID`;
  const range = { offset: damage.offset - source.offset, length: damage.length };
  const known = work.known[index] ?? new Map<number, Verdict>();
  const verdict = await gradeRaw({ target: source, donor: volume }, range, known);
  if (verdict.grade === "refused") return `${donor.name}: ${verdict.reason}`;
  const fileOffset =
    damage.fileOffset === undefined ? undefined : damage.fileOffset - damage.offset;
  return { index, volume, source, verdict, fileOffset };
}

interface RawDonor {
  readonly index: number;
  readonly volume: VolumeSource;
  readonly source: VolumeSource;
  readonly verdict: Verdict;
  /** What to add to an offset of the target to get one of the file; of file data. */
  readonly fileOffset: number | undefined;
}

/** Takes what the donor has of a range. @returns what it has not */
async function takeFrom(donor: RawDonor, damage: Open, work: RawWork): Promise<readonly Open[]> {
  const rest: Open[] = [];
  const shift = donor.volume.offset - donor.source.offset;
  for (const piece of stepPieces(damage)) {
    const bytes = new Uint8Array(piece.length);
    const { missing } = await readOrMissing(donor.volume.device, bytes, piece.offset + shift);
    for (const hole of missing)
      rest.push({ ...damage, offset: hole.offset - shift, length: hole.length });
    for (const clean of cleanPieces(
      { offset: piece.offset + shift, length: piece.length },
      missing,
    )) {
      const offset = clean.offset - shift;
      const part = bytes.subarray(offset - piece.offset, offset - piece.offset + clean.length);
      const file = donor.fileOffset === undefined ? {} : { fileOffset: offset + donor.fileOffset };
      const draft: Draft = {
        offset,
        length: clean.length,
        state: damage.state,
        action: "write",
        owner: { ...ownerOf(damage), ...file },
        donor: { index: donor.index, from: "volume", offset: offset - donor.source.offset },
        grade: donor.verdict.grade,
        sha256: sha256(part),
        reason: donor.verdict.reason,
      };
      work.patches.push({ draft, bytes: part, damage: { ...damage, ...clean, offset, ...file } });
    }
  }
  return rest;
}

/** What a verification leaves: steps, and what a later donor is to be asked for. */
interface Verified {
  readonly drafts: readonly Draft[];
  readonly contradicted: readonly Open[];
}

/** Upgrades to "proven" what a checksum covers, refuses what a checksum contradicts, then applies the trust. */
async function verifyPatched(planner: Planner, patches: readonly RawPatch[]): Promise<Verified> {
  const first = patches[0];
  const source = sourceOf(planner.target, first?.draft.owner.volume);
  if (source === undefined) return { drafts: [], contradicted: [] };
  const total = patches.reduce((sum, { bytes }) => sum + bytes.length, 0);
  const laid: Patch[] =
    total > MOST_PATCHED
      ? []
      : patches.map(({ draft, bytes }) => ({ offset: draft.offset, bytes }));
  const overlay = new OverlayDevice(source.device, laid);
  const part = { offset: source.offset, length: source.length };
  const map =
    laid.length === 0 ? undefined : await openFileMap(overlay, part).catch(() => undefined);
  const verdicts = new Map<string, boolean | undefined>();
  const drafts: Draft[] = [];
  const contradicted: Open[] = [];
  for (const { draft, damage } of patches) {
    await planner.checkpoint();
    const range = alignOut(
      { offset: draft.offset - source.offset, length: draft.length },
      source.map.blockSize,
    );
    const key = `${range.offset}+${range.length}`;
    if (
      map !== undefined &&
      draft.owner.kind !== "file" &&
      !verdicts.has(key) &&
      verdicts.size < MOST_VERIFIED
    ) {
      verdicts.set(
        key,
        await verifyBlocks(map, overlay, {
          offset: range.offset,
          length: Math.min(endOf(range), map.size) - range.offset,
          shift: source.offset,
        }),
      );
    }
    const right = verdicts.get(key);
    const index = draft.donor?.index ?? 0;
    if (right === false && index + 1 < planner.donors.length) {
      const { reason } = finish(planner, draft, right);
      const why = damage.why === undefined ? reason : `${damage.why}; ${reason}`;
      contradicted.push({ ...damage, why, after: index });
    } else drafts.push(finish(planner, draft, right));
  }
  return { drafts, contradicted };
}

/** Whether the checksums over whole blocks are right; `undefined` where a part of them is still missing, so none can be computed. */
async function verifyBlocks(
  map: FileMap,
  overlay: OverlayDevice,
  blocks: { offset: number; length: number; shift: number },
): Promise<boolean | undefined> {
  const { offset, length, shift } = blocks;
  const { missing } = await overlay.read(new Uint8Array(length), offset + shift);
  return missing.length > 0 ? undefined : await map.verifyMetadata?.({ offset, length });
}

function finish(planner: Planner, draft: Draft, right: boolean | undefined): Draft {
  const { donor, grade, sha256: _hash, ...rest } = draft;
  const name = planner.donors[donor?.index ?? 0]?.name ?? "";
  if (right === false) {
    return {
      ...rest,
      action: "refused",
      reason: `${name}: with its bytes the checksum of the file system does not match`,
    };
  }
  if (right === true)
    return {
      ...draft,
      grade: "proven",
      reason: `${draft.reason}; with its bytes the checksum of the file system matches`,
    };
  if (trusted(grade ?? "refused", planner.trust)) return draft;
  return {
    ...rest,
    action: "refused",
    reason: `${name}: only ${grade ?? "refused"}, and ${planner.trust} is wanted: ${draft.reason}`,
  };
}
