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
import { RangeSet, StorageError, type ByteRange } from "../../base/index.ts";
import { nodeFiles, type HostFiles } from "../../os/index.ts";
import type { ScanOptions } from "../scan.ts";
import { copyListed } from "./copy-listed.ts";
import { CopyMap } from "./copy-map.ts";
import { checkIdentity, takeIdentity, writeIdentity } from "./salvage-identity.ts";
import { readCopyMap, writeMap } from "./salvage-map.ts";
import { SalvageOutput } from "./salvage-output.ts";
import type { SalvageSource } from "./salvage-source.ts";
import { SalvageWork } from "./salvage-work.ts";

/** How a salvage is done. */
export interface SalvageOptions extends ScanOptions {
  /** The map. @default OUT.map */
  readonly map?: string;
  /** Bytes after which the output is synced and the map saved. @default 1 GiB */
  readonly saveEvery?: number;
  /** Where output and map are written. @default the machine's own files */
  readonly files?: HostFiles;
}

/** What came out; `size = salvaged + bad`. */
export interface Salvaged {
  /** Bytes of the source. */
  readonly size: number;
  /** Bytes that are in the output, also from earlier runs. */
  readonly salvaged: number;
  /** Of these from earlier runs. */
  readonly resumed: number;
  /** Bytes that are holes because the source does not give them. */
  readonly bad: number;
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
  const earlier = await earlierWork(source, { out, map, files });
  const resumed = earlier.map.bytes("+");
  if (earlier.begin) {
    // Map first: an output without a map would look like somebody's file, and never be taken up again.
    writeIdentity(files, map, await takeIdentity(source));
    writeMap(files, map, earlier.map);
  }
  const file = files.open(out, { access: earlier.exists ? "write" : "create", lock: "exclusive" });
  const work = new SalvageWork({
    source,
    output: new SalvageOutput(file, earlier.exists),
    map: earlier.map,
    path: map,
    files,
    domain: RangeSet.from([{ offset: 0, length: source.size }]),
    saveEvery: options.saveEvery ?? 1024 ** 3,
  });
  try {
    if (file.size() !== source.size) {
      file.truncate(0);
      file.truncate(source.size);
    }
    file.sync();
    if (!earlier.exists) files.syncDirectoryOf(out);
    await copyListed(work, options);
    work.output.blank(holesOf(work.map));
    work.save();
  } catch (error) {
    throw withTruth(work, error);
  } finally {
    file.close();
  }
  return {
    size: source.size,
    salvaged: work.map.bytes("+"),
    resumed,
    bad: work.map.bytes("-"),
    holes: [...holesOf(work.map)],
    map,
  };
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

/** What an earlier run of this salvage left. */
interface EarlierWork {
  readonly map: CopyMap;
  /** Whether identity and map are still to be written. */
  readonly begin: boolean;
  /** Whether the output exists. */
  readonly exists: boolean;
}

async function earlierWork(
  source: SalvageSource,
  at: { out: string; map: string; files: HostFiles },
): Promise<EarlierWork> {
  const { out, map, files } = at;
  const output = files.info(out);
  if (files.info(map) === undefined) {
    if (output === undefined) return { map: new CopyMap(source.size), begin: true, exists: false };
    throw new StorageError(
      "EEXIST",
      `Cannot salvage to "${out}": it exists, and has no map "${map}" of an earlier run`,
      { path: out },
    );
  }
  await checkIdentity(files, map, source);
  const earlier = readCopyMap(files, map, source.size);
  const done = earlier.bytes("+") > 0;
  if (done && output === undefined) {
    throw new StorageError(
      "ESTALE",
      `Refused map "${map}": its output "${out}" is not there: move the map away to begin anew`,
      { path: map },
    );
  }
  if (done && output?.size !== source.size) {
    throw new StorageError(
      "ESTALE",
      `Refused output "${out}": it has ${output?.size ?? 0} bytes, and the source ${source.size}`,
      { path: out },
    );
  }
  // An image's own list says what is bad in it: what failed in an earlier run is tried again.
  for (const range of holesOf(earlier)) earlier.set(range, "?");
  return { map: earlier, begin: false, exists: output !== undefined };
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
