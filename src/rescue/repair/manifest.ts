/**
 * Manifest: what is missing, as other programs want it: which bytes of which files, for a backup tool that fetches them.
 *
 * As JSON, `theriac.manifest/1`, or as a list of paths relative to the root of the file system, each once, for `rsync --files-from`, `tar -T`
 * and their kin: one a line, or ended by NUL bytes (`rsync -0`, `tar --null`), which takes every name.
 */
import type { ByteRange } from "../../base/index.ts";
import { components } from "../../donor/index.ts";
import type { Owner, OwnerKind, OwnerWhat } from "../../fs/index.ts";
import { isMissing, type Damage } from "../damage.ts";
import type { GivenUp } from "./given-up.ts";

/** One range that is missing. Offsets are bytes. */
export interface LostRange {
  /** Index in the target's volumes; null outside all of them. */
  readonly volume: number | null;
  readonly kind: OwnerKind;
  readonly what: OwnerWhat;
  readonly inode: number | null;
  /** All paths of the file; empty where it is none, or none is known. */
  readonly paths: readonly string[];
  /** First byte in the file; null of what is no content of a file. */
  readonly fileOffset: number | null;
  /** First byte on the target. */
  readonly offset: number;
  readonly length: number;
  /** "given-up": the bytes there are zeros, by somebody's word. */
  readonly state: "poisoned" | "lost" | "given-up";
  /** A sentence for people. */
  readonly reason: string;
}

/** The document `theriac.manifest/1`. */
export interface Manifest {
  readonly schema: "theriac.manifest/1";
  readonly target: string;
  /** Bytes of data that are missing, and bytes that were given up. */
  readonly missing: number;
  readonly givenUp: number;
  readonly lost: readonly LostRange[];
}

/** What a manifest is made of. */
export interface ManifestParts {
  readonly target: string;
  readonly damage: readonly Damage[];
  readonly givenUp: readonly GivenUp[];
  /** Why a range was not healed, ascending; of a repair. @default its state */
  readonly reasons?: readonly (ByteRange & { readonly reason: string })[];
}

/** Makes a manifest. Ascending by offset. */
export function makeManifest(parts: ManifestParts): Manifest {
  const lost = [
    ...parts.damage.filter(isMissing).flatMap((damage) => rangesOf(damage, parts.reasons ?? [])),
    ...parts.givenUp.map(ofGivenUp),
  ].sort((one, other) => one.offset - other.offset);
  const sum = (isGivenUp: boolean): number =>
    lost.reduce(
      (bytes, { state, length }) => bytes + ((state === "given-up") === isGivenUp ? length : 0),
      0,
    );
  return {
    schema: "theriac.manifest/1",
    target: parts.target,
    missing: sum(false),
    givenUp: sum(true),
    lost,
  };
}

/** A damage, one entry for each piece of it that is in one piece in the file. */
function rangesOf(
  damage: Damage,
  reasons: NonNullable<ManifestParts["reasons"]>,
): readonly LostRange[] {
  const owner = damage.owners[0] ?? NOBODY;
  const { kind, what, inode = null, paths = [], why } = owner;
  const reason = reasonAt(damage, reasons) ?? (kind === "unknown" ? why : WHY[damage.state]);
  const { volume = null, state } = damage;
  const entry = { volume, kind, what, inode, paths, state, reason };
  const whole = owner.ranges.reduce((sum, { length }) => sum + length, 0);
  // Ranges of a file tell their order on the device only where they are all of the damage.
  if (kind !== "file" || what !== "data" || whole !== damage.length)
    return [{ ...entry, fileOffset: null, offset: damage.offset, length: damage.length }];
  const found: LostRange[] = [];
  let { offset } = damage;
  for (const { offset: fileOffset, length } of owner.ranges) {
    found.push({ ...entry, fileOffset, offset, length });
    offset += length;
  }
  return found;
}

const WHY = {
  poisoned: "the medium cannot give these bytes back",
  lost: "their poison was cleared, and nobody has restored them",
} as const;

const NOBODY: Owner = { kind: "unknown", what: "unknown", ranges: [], why: "nobody knows" };

function reasonAt(
  damage: ByteRange,
  reasons: NonNullable<ManifestParts["reasons"]>,
): string | undefined {
  let low = 0;
  let high = reasons.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    const one = reasons[middle];
    if (one !== undefined && one.offset + one.length <= damage.offset) low = middle + 1;
    else high = middle;
  }
  const found = reasons[low];
  return found !== undefined && found.offset < damage.offset + damage.length
    ? found.reason
    : undefined;
}

function ofGivenUp(given: GivenUp): LostRange {
  const { owner, offset, length, why, at } = given;
  return {
    volume: owner.volume ?? null,
    kind: owner.kind,
    what: owner.what,
    inode: owner.inode ?? null,
    paths: owner.path === undefined ? [] : [owner.path],
    fileOffset: owner.fileOffset ?? null,
    offset,
    length,
    state: "given-up",
    reason: `given up ${at}${why === undefined ? "" : `: ${why}`}`,
  };
}

/** How a list of paths is written. */
export type PathListForm = "lines" | "nul";

/** A manifest as a list of paths. */
export interface PathList {
  readonly bytes: Uint8Array;
  /** Paths that the form cannot say: they hold a newline, or lead out of the tree. */
  readonly unsaid: readonly string[];
  /** Bytes that belong to no path. */
  readonly pathless: number;
}

/**
 * The first path of every file that misses bytes, relative to the root. In lines a path is led by "./" where a reader would take it for an option or
 * a comment.
 */
export function pathList(manifest: Manifest, form: PathListForm): PathList {
  const paths = new Set<string>();
  const unsaid: string[] = [];
  let pathless = 0;
  for (const { paths: all, kind, length } of manifest.lost) {
    const [path] = all;
    if (path !== undefined && kind === "file") paths.add(path);
    else pathless += length;
  }
  const end = Buffer.from(form === "nul" ? "\0" : "\n");
  const pieces: Uint8Array[] = [];
  for (const path of [...paths].sort()) {
    const name = nameOf(path);
    if (name === undefined || (form === "lines" && name.includes(0x0a))) unsaid.push(path);
    else pieces.push(...(form === "lines" ? [lead(name)] : []), name, end);
  }
  return { bytes: Buffer.concat(pieces), unsaid, pathless };
}

function nameOf(path: string): Buffer | undefined {
  const parts = components(path)?.flatMap((part, at) => (at === 0 ? [part] : [SLASH, part]));
  return parts === undefined ? undefined : Buffer.concat(parts);
}

/** What must stand before a name so that nobody takes it for an option or a comment. */
function lead(name: Buffer): Buffer {
  return Buffer.from(/^[-#;]/.test(name.toString("latin1", 0, 1)) ? "./" : "");
}

const SLASH = Buffer.from("/");
