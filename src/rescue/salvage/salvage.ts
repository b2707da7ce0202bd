/**
 * Salvage: every clean byte out, around what is bad, with a map that never claims more than is on the disk.
 *
 * What can go wrong: the output's disk fills, the machine stops, the source gets worse while it is read, and a map of another
 * source lies under the wanted name. What is promised:
 *
 * - a known bad range is never touched; a range found bad while reading is narrowed by the device to its units
 * - the output is synced before the map says that bytes are there, and the map is replaced in one step; so after a crash at any point
 *   everything that the map calls finished is in the output (S73), and the next run goes on from there
 * - what could not be read is a hole of zeros in the output: the map alone tells it from zeros that were read, so keep both
 * - nothing that exists is overwritten, unless it is the output of this very salvage (S26)
 */
import { resolve } from "node:path";
import {
  alignOut,
  difference,
  intersection,
  ProgressMeter,
  RangeSet,
  StorageError,
  type ByteRange,
  type Clock,
} from "../../base/index.ts";
import { nodeFiles, type HostFile, type HostFiles } from "../../os/index.ts";
import type { ScanOptions } from "../scan.ts";
import { copyByPolicy, type Policy, type PolicyResult } from "./copy-by-policy.ts";
import { copyListed } from "./copy-listed.ts";
import type { CopyMap } from "./copy-map.ts";
import { earlierWork, type EarlierWork } from "./earlier-work.ts";
import type { Limits, ProbeCounts } from "./prober.ts";
import { SalvageHashes } from "./salvage-hashes.ts";
import { noteFound, takeIdentity, writeIdentity } from "./salvage-identity.ts";
import { writeMap } from "./salvage-map.ts";
import { SalvageOutput } from "./salvage-output.ts";
import type { SalvageSource } from "./salvage-source.ts";
import { SalvageWork } from "./salvage-work.ts";

/** How a salvage is done. */
export interface SalvageOptions extends ScanOptions {
  /** How failed reads are dealt with. @default by what they cost; images by their list */
  readonly policy?: Policy;
  /** Passes over what is bad by itself, of a source that is read by attempts. @default 0 */
  readonly retries?: number;
  /** When to end early, and how fast to go, of a source that is read by attempts. @default no limit */
  readonly limits?: Limits;
  /** Parts of the source that are wanted; the rest is left untried. @default all of it */
  readonly domain?: Iterable<ByteRange>;
  /** Parts that come first: what a file system uses. @default nothing */
  readonly first?: Iterable<ByteRange>;
  /** Whether SHA-256 of every run is kept beside the map. @default false */
  readonly hash?: boolean;
  /** Whether a map without an identity (ddrescue's) is gone on with, once its output was compared with the source. @default false */
  readonly adopt?: boolean;
  /** @default the machine's */
  readonly clock?: Clock;
  /** The map. @default OUT.map */
  readonly map?: string;
  /** Bytes after which the output is synced and the map saved, at the latest every 30 seconds. @default 1 GiB */
  readonly saveEvery?: number;
  /** Where output and map are written. @default the machine's own files */
  readonly files?: HostFiles;
}

/** Bytes to which what comes first is rounded out, so that its reads are not cut small. */
const FIRST_STEP = 256 * 1024;

/** What reading by attempts came to. */
export interface SalvageReads extends ProbeCounts {
  /** What failed once, and then came. */
  readonly transient: readonly ByteRange[];
  /** Where reads took too long. */
  readonly slowZones: readonly ByteRange[];
  /** Why it ended before everything was tried. */
  readonly stopped: string | null;
}

/** What came out; `size = salvaged + bad + left + outside`. */
export interface Salvaged {
  /** Bytes of the source. */
  readonly size: number;
  /** Bytes that are in the output, also from earlier runs. */
  readonly salvaged: number;
  /** Of these from earlier runs. */
  readonly resumed: number;
  /** Bytes that are holes because the source does not give them. */
  readonly bad: number;
  /** Bytes that were wanted and not tried, or failed only as a part of something larger. */
  readonly left: number;
  /** Bytes outside what was wanted. */
  readonly outside: number;
  /** Of a source that is read by attempts. */
  readonly reads?: SalvageReads;
  readonly holes: readonly ByteRange[];
  readonly map: string;
}

/**
 * Copies a source out.
 *
 * @param out the output; must not exist, unless its own map does
 * @throws {StorageError} EEXIST; ESTALE where the map is of another source; ENOSPC with the map truthful
 */
export async function salvage(
  source: SalvageSource,
  out: string,
  options: SalvageOptions = {},
): Promise<Salvaged> {
  const files = options.files ?? nodeFiles;
  const map = options.map ?? `${out}.map`;
  checkNames(out, map);
  const earlier = await earlierWork(source, { out, map, files, adopt: options.adopt ?? false });
  // An image's own list says what is bad in it: what failed in an earlier run is tried again. Of a live source the map is all there is.
  if (source.failure === undefined)
    for (const range of holesOf(earlier.map)) earlier.map.set(range, "?");
  const resumed = earlier.map.bytes("+");
  if (earlier.begin) {
    // Map first: an output without a map would look like somebody's file, and never be taken up again.
    writeIdentity(files, map, await takeIdentity(source, out));
    writeMap(files, map, earlier.map);
  }
  const file = files.open(out, { access: earlier.exists ? "write" : "create", lock: "exclusive" });
  const work = workOn(file, earlier, { source, map, options });
  let ran: PolicyResult | undefined;
  try {
    if (file.size() !== source.size) {
      if (resumed === 0) file.truncate(0);
      file.truncate(source.size);
    }
    file.sync();
    if (!earlier.exists) files.syncDirectoryOf(out);
    ran = await copy(work, options);
    work.output.blank(holesOf(work.map));
    work.save();
    if (ran !== undefined)
      noteFound(files, map, { transient: [...ran.transient], slow: [...ran.slow] });
  } catch (error) {
    throw withTruth(work, error);
  } finally {
    file.close();
  }
  return resultOf(work, { resumed, map, ran });
}

function workOn(
  file: HostFile,
  earlier: EarlierWork,
  told: {
    readonly source: SalvageSource;
    readonly map: string;
    readonly options: SalvageOptions;
  },
): SalvageWork {
  const { source, map, options } = told;
  const { files = nodeFiles, clock, hash = false, saveEvery = 1024 ** 3 } = options;
  return new SalvageWork({
    source,
    output: new SalvageOutput(file, earlier.exists),
    map: earlier.map,
    path: map,
    files,
    areas: areasOf(source, options),
    saveEvery,
    ...(clock === undefined ? {} : { clock }),
    ...(hash ? { hashes: new SalvageHashes(files, map) } : {}),
  });
}

function resultOf(
  { map, areas }: SalvageWork,
  told: { readonly resumed: number; readonly map: string; readonly ran: PolicyResult | undefined },
): Salvaged {
  const { size } = map;
  const salvaged = map.bytes("+");
  const bad = map.bytes("-");
  let left = 0;
  for (const area of areas)
    for (const range of area)
      for (const part of map.ranges(range))
        if (part.status !== "+" && part.status !== "-") left += part.length;
  return {
    size,
    salvaged,
    resumed: told.resumed,
    bad,
    left,
    outside: size - salvaged - bad - left,
    holes: [...holesOf(map)],
    map: told.map,
    ...(told.ran === undefined ? {} : { reads: readsOf(told.ran) }),
  };
}

/** How a source is read: an image by its list, unless somebody wants it otherwise; a live one by what a failed read costs. */
async function copy(work: SalvageWork, options: SalvageOptions): Promise<PolicyResult | undefined> {
  const { attempts, failure } = work.source;
  const { policy = policyOf(failure) } = options;
  if (attempts === undefined || (failure === undefined && policy === "listed")) {
    await copyListed(work, options);
    return undefined;
  }
  const meter = new ProgressMeter(options.onProgress);
  return copyByPolicy(work, attempts, {
    ...options,
    policy: failure === "machineCheck" ? "listed" : policy,
    onRead: (zone, { failed, slow }) =>
      meter.report({
        phase: "salvaging",
        done: work.settled,
        total: work.source.size,
        zone,
        failingReads: failed + slow,
        badBytes: work.map.bytes("-"),
      }),
  });
}

function policyOf(failure: SalvageSource["failure"]): Policy {
  return failure === "cheap" || failure === "costly" ? failure : "listed";
}

function readsOf({ counts, transient, slow, stopped }: PolicyResult): SalvageReads {
  return { ...counts, transient: [...transient], slowZones: [...slow], stopped: stopped ?? null };
}

/** What is wanted, in its order: first what is to come first, then the rest of the domain. */
function areasOf(source: SalvageSource, options: SalvageOptions): readonly RangeSet[] {
  const whole = { offset: 0, length: source.size };
  const domain = RangeSet.from(options.domain ?? [whole]);
  if (options.first === undefined) return [domain];
  const first = new RangeSet();
  for (const range of options.first) {
    const { offset, length } = alignOut(range, FIRST_STEP);
    first.add(offset, Math.min(length, source.size - offset));
  }
  return [intersection(domain, first), difference(domain, first)];
}

/** What is not in the output, neighbours of different statuses as one. */
function holesOf(map: CopyMap): RangeSet {
  return RangeSet.from(map.unfinished({ offset: 0, length: map.size }));
}

/** A name that ends so is an image's list: a map or an output there would be taken for one. */
function checkNames(out: string, map: string): void {
  for (const name of [out, map]) {
    if (name.endsWith(".theriac"))
      throw new RangeError(`Cannot salvage to "${name}": names in .theriac belong to lists`);
  }
  if (resolve(out) === resolve(map))
    throw new RangeError(`Cannot salvage to "${out}": want another name for the map`);
}

/** After a failure: saves what can be saved, and says what a full disk means for the next run. */
function withTruth(work: SalvageWork, error: unknown): unknown {
  try {
    work.save();
  } catch {
    // The map of the last good save stands: it claims less, and nothing false.
  }
  if (!(error instanceof StorageError) || error.code !== "ENOSPC") return error;
  const { path } = work.output;
  const message = `Cannot salvage to "${path}": its disk is full; the map is true: make room, and run the same command again`;
  return new StorageError("ENOSPC", message, { path, syscall: "write", cause: error });
}
