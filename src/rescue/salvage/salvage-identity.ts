/**
 * SalvageIdentity: who a map belongs to, in `MAP.theriac` beside it, because ddrescue drops comments when it rewrites a map.
 *
 * Without it a finished map of another source of the same size would make a salvage copy nothing and end well. A source has
 * its device UUID where it has one, the UUIDs of its file systems, and hashes of some clean blocks, which tell two raw
 * files apart that have nothing else.
 */
import { resolve } from "node:path";
import { endOf, RangeSet, StorageError, type ByteRange } from "../../base/index.ts";
import { isConstant } from "../../donor/index.ts";
import type { HostFile, HostFiles } from "../../os/index.ts";
import { readText, replaceText } from "../durable-text.ts";
import { sha256 } from "../plan/planner.ts";
import type { CopyMap } from "./copy-map.ts";
import type { SalvageSource } from "./salvage-source.ts";

/** A block of the source whose hash is kept. */
interface Sample {
  readonly offset: number;
  readonly length: number;
  readonly sha256: string;
}

/** The document `theriac.map/1`. */
export interface SalvageIdentity {
  readonly schema: "theriac.map/1";
  /** Bytes of the source. */
  readonly size: number;
  /** What names the source for sure: UUIDs, and of a file its inode, time and path. */
  readonly names: Readonly<Record<string, string>>;
  readonly samples: readonly Sample[];
  /** Absolute path of the output, as it was begun: while nothing is finished in it, only its name tells it from somebody's file. */
  readonly output?: string;
  /** Of a source that is read by attempts: what failed once and then came in any run, and where reads took too long in the last. */
  readonly found?: {
    readonly transient: readonly ByteRange[];
    readonly slow: readonly ByteRange[];
  };
}

const SAMPLES = 32;
const SAMPLE = 4096;

/** Name of the identity beside a map. */
export function identityPath(map: string): string {
  return `${map}.theriac`;
}

/** Takes the identity of a source: a few reads, none of a known bad range. @param out path of the output */
export async function takeIdentity(source: SalvageSource, out: string): Promise<SalvageIdentity> {
  const samples: Sample[] = [];
  const length = Math.min(SAMPLE, source.size);
  const bytes = new Uint8Array(length);
  // More places than samples are looked at, because blocks of zeros tell nothing.
  const places = length === 0 ? 0 : SAMPLES * 8;
  for (let index = 0; index < places && samples.length < SAMPLES; index += 1) {
    const offset = Math.floor(((source.size - length) * index) / (places - 1) / SAMPLE) * SAMPLE;
    if (offset === samples.at(-1)?.offset) continue;
    if ((source.holeFrom?.(offset) ?? 0) >= length) continue;
    const { missing } = await source.read(bytes, offset);
    if (missing.length === 0 && !isConstant(bytes))
      samples.push({ offset, length, sha256: sha256(bytes) });
  }
  const { size, names } = source;
  return { schema: "theriac.map/1", size, names, samples, output: resolve(out) };
}

/**
 * Writes the identity beside a map, durable on return.
 *
 * @throws {StorageError} EBADMSG where a file of another kind has its place: the list of an image that is called like the map has the same name
 */
export function writeIdentity(files: HostFiles, map: string, identity: SalvageIdentity): void {
  if (files.info(identityPath(map)) !== undefined) readIdentity(files, map);
  replaceText(files, identityPath(map), `${JSON.stringify(identity)}\n`);
}

/** Notes beside a map what a run found. @throws {StorageError} as `readIdentity` and `writeIdentity` */
export function noteFound(
  files: HostFiles,
  map: string,
  found: NonNullable<SalvageIdentity["found"]>,
): void {
  const identity = readIdentity(files, map);
  const transient = RangeSet.from([...(identity.found?.transient ?? []), ...found.transient]);
  const all = { transient: [...transient], slow: found.slow };
  if (identity.found === undefined && all.transient.length + all.slow.length === 0) return;
  writeIdentity(files, map, { ...identity, found: all });
}

/**
 * Reads the identity beside a map.
 *
 * @throws {StorageError} ESTALE where there is none; EBADMSG where it is unreadable
 */
export function readIdentity(files: HostFiles, map: string): SalvageIdentity {
  const path = identityPath(map);
  if (files.info(path) === undefined)
    throw new StorageError(
      "ESTALE",
      `Refused map "${map}": nothing says which source it belongs to (no "${path}"): give another map, move this one away, or adopt it`,
      { path: map },
    );
  return parseIdentity(readText(files, path, 16 * 1024 * 1024), path);
}

/**
 * Checks that a map that is there already belongs to the source.
 *
 * @returns the identity beside it
 * @throws {StorageError} ESTALE where it belongs to another source, or nobody can tell; EBADMSG where the identity is unreadable
 */
export async function checkIdentity(
  files: HostFiles,
  map: string,
  source: SalvageSource,
): Promise<SalvageIdentity> {
  const foreign = (why: string): never => {
    throw new StorageError(
      "ESTALE",
      `Refused map "${map}": ${why}: give another map, or move this one away`,
      { path: map },
    );
  };
  const identity = readIdentity(files, map);
  if (identity.size !== source.size)
    foreign(`it belongs to a source of ${identity.size} bytes, and this one has ${source.size}`);
  for (const [name, value] of Object.entries(source.names)) {
    const was = identity.names[name];
    if (was !== undefined && was !== value)
      foreign(`it belongs to a source with ${name} ${was}, and this one has ${value}`);
  }
  for (const sample of identity.samples) {
    const bytes = new Uint8Array(sample.length);
    const { missing } = await source.read(bytes, sample.offset);
    if (missing.length === 0 && sha256(bytes) !== sample.sha256)
      foreign(
        `bytes ${sample.offset} to ${sample.offset + sample.length} of the source are not those it knew`,
      );
  }
  return identity;
}

/**
 * Compares the blocks that were hashed when a salvage began with its output, where the map calls them finished: a file that took the output's place would
 * be gone on with, and called whole.
 *
 * @throws {StorageError} ESTALE where one differs
 */
export function checkSamples(
  output: HostFile,
  known: { readonly identity: SalvageIdentity; readonly map: CopyMap; readonly name: string },
): void {
  const { identity, map, name } = known;
  for (const sample of identity.samples) {
    if (map.unfinished(sample).length > 0) continue;
    const bytes = new Uint8Array(sample.length);
    if (output.readSync(bytes, sample.offset) === sample.length && sha256(bytes) === sample.sha256)
      continue;
    throw new StorageError(
      "ESTALE",
      `Refused output "${output.path}": bytes ${sample.offset} to ${endOf(sample)} are not those that map "${name}" was written for`,
      { path: output.path },
    );
  }
}

function parseIdentity(text: string, path: string): SalvageIdentity {
  const fail = (): never => {
    throw new StorageError("EBADMSG", `Cannot read "${path}": want a theriac.map/1`, { path });
  };
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return fail();
  }
  const identity = value as SalvageIdentity | null;
  if (typeof identity !== "object" || identity?.schema !== "theriac.map/1") return fail();
  if (
    typeof identity.names !== "object" ||
    identity.names === null ||
    !Array.isArray(identity.samples)
  )
    return fail();
  const sound = (sample: Sample | null): boolean =>
    typeof sample?.sha256 === "string" &&
    isOffset(sample.offset) &&
    isOffset(sample.length) &&
    sample.length <= SAMPLE &&
    sample.offset + sample.length <= identity.size;
  if (
    !isOffset(identity.size) ||
    identity.samples.length > SAMPLES ||
    !identity.samples.every(sound)
  )
    return fail();
  if (identity.output !== undefined && typeof identity.output !== "string") return fail();
  return isFound(identity.found) ? identity : fail();
}

function isFound(found: SalvageIdentity["found"]): boolean {
  const { transient = [], slow = [] } = found ?? {};
  if (!Array.isArray(transient) || !Array.isArray(slow)) return false;
  const isRange = (range: ByteRange | null): boolean =>
    isOffset(range?.offset) && isOffset(range?.length);
  return [...(transient as ByteRange[]), ...(slow as ByteRange[])].every(isRange);
}

function isOffset(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
