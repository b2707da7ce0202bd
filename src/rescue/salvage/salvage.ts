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
import { endOf, ProgressMeter, RangeSet, StorageError, type ByteRange } from "../../base/index.ts";
import { skippable } from "../../device/index.ts";
import { cleanPieces } from "../../donor/index.ts";
import { nodeFiles, type HostFile, type HostFiles } from "../../os/index.ts";
import { checkIdentity, takeIdentity, writeIdentity } from "./salvage-identity.ts";
import { readMap, writeMap } from "./salvage-map.ts";
import type { SalvageSource } from "./salvage-source.ts";
import { READ_SIZE, type ScanOptions } from "../scan.ts";
import { SparseWriter } from "./sparse-writer.ts";

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
  const done = earlier.done;
  const resumed = done.byteLength;
  if (earlier.begin) {
    // Map first: an output without a map would look like somebody's file, and never be taken up again.
    writeIdentity(files, map, await takeIdentity(source));
    writeMap(files, map, { size: source.size, done, bad: RangeSet.from(await source.bad()) });
  }
  const file = files.open(out, { access: earlier.exists ? "write" : "create", lock: "exclusive" });
  const writer = new SparseWriter(file, earlier.exists);
  const work: Work = {
    source,
    file,
    files,
    map,
    done,
    fresh: new RangeSet(),
    holes: new RangeSet(),
    writer,
  };
  try {
    if (file.size() !== source.size) {
      file.truncate(0);
      file.truncate(source.size);
    }
    file.sync();
    if (!earlier.exists) files.syncDirectoryOf(out);
    await save(work);
    await copy(work, options);
    work.writer.blank([...work.holes]);
    await save(work);
  } catch (error) {
    throw await withTruth(work, error);
  } finally {
    file.close();
  }
  const bad = work.holes.byteLength;
  return {
    size: source.size,
    salvaged: work.done.byteLength,
    resumed,
    bad,
    holes: [...work.holes],
    map,
  };
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

interface Work {
  readonly source: SalvageSource;
  readonly file: HostFile;
  readonly files: HostFiles;
  readonly map: string;
  /** In the output, synced. */
  readonly done: RangeSet;
  /** In the output, not synced yet. */
  readonly fresh: RangeSet;
  /** What the source did not give. */
  readonly holes: RangeSet;
  readonly writer: SparseWriter;
}

/** What an earlier run of this salvage left. */
interface EarlierWork {
  /** In the output, for sure. */
  readonly done: RangeSet;
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
    if (output === undefined) return { done: new RangeSet(), begin: true, exists: false };
    throw new StorageError(
      "EEXIST",
      `Cannot salvage to "${out}": it exists, and has no map "${map}" of an earlier run`,
      { path: out },
    );
  }
  await checkIdentity(files, map, source);
  const done = readMap(files, map, source.size);
  if (done.size > 0 && output === undefined) {
    throw new StorageError(
      "ESTALE",
      `Refused map "${map}": its output "${out}" is not there: move the map away to begin anew`,
      { path: map },
    );
  }
  if (done.size > 0 && output?.size !== source.size) {
    throw new StorageError(
      "ESTALE",
      `Refused output "${out}": it has ${output?.size ?? 0} bytes, and the source ${source.size}`,
      { path: out },
    );
  }
  return { done, begin: false, exists: output !== undefined };
}

/** Reads all that is neither done nor bad; the next read is under way while the last one is written. */
async function copy(
  work: Work,
  options: ScanOptions & { readonly saveEvery?: number },
): Promise<void> {
  const saveEvery = options.saveEvery ?? 1024 ** 3;
  for (const range of await work.source.bad()) work.holes.add(range.offset, range.length);
  for (const { offset, length } of work.done) work.holes.delete(offset, length);
  const total = work.source.size;
  const meter = new ProgressMeter(options.onProgress);
  const chunks = pending(work);
  const buffers = [
    new Uint8Array(Math.min(READ_SIZE, total)),
    new Uint8Array(Math.min(READ_SIZE, total)),
  ] as const;
  let turn = 0;
  const start = (): Pending | undefined => {
    const next = chunks.next();
    if (next.done === true) return undefined;
    turn = 1 - turn;
    const bytes = (turn === 0 ? buffers[0] : buffers[1]).subarray(0, next.value.length);
    const result = Promise.resolve(work.source.read(bytes, next.value.offset));
    // A failure is met where it is awaited; until then it must not count as unhandled.
    result.catch(() => undefined);
    return { range: next.value, bytes, result };
  };
  let current = start();
  let unsaved = 0;
  while (current !== undefined) {
    await options.checkpoint?.();
    const { missing } = await current.result;
    const following = start();
    keep(work, current, missing);
    unsaved += current.range.length;
    meter.report({
      phase: "salvaging",
      done: work.done.byteLength + work.fresh.byteLength + work.holes.byteLength,
      total,
      zone: current.range,
      badBytes: work.holes.byteLength,
    });
    if (unsaved >= saveEvery) {
      await save(work);
      unsaved = 0;
    }
    current = following;
  }
}

interface Pending {
  readonly range: ByteRange;
  readonly bytes: Uint8Array;
  readonly result: Promise<{ readonly missing: readonly ByteRange[] }>;
}

/** What is left to read, cut at multiples of the read size, so that large reads stay aligned. */
function* pending(work: Work): Generator<ByteRange> {
  const settled = work.done.clone();
  for (const { offset, length } of work.holes) settled.add(offset, length);
  for (const gap of settled.gaps(0, work.source.size)) {
    for (let at = gap.offset; at < endOf(gap);) {
      const hole = Math.min(skippable(work.source, at, READ_SIZE), endOf(gap) - at);
      if (hole > 0) {
        keepHole(work, { offset: at, length: hole });
        at += hole;
        continue;
      }
      const length = Math.min(READ_SIZE - (at % READ_SIZE), endOf(gap) - at);
      yield { offset: at, length };
      at += length;
    }
  }
}

/** A hole of the source is one of the output: nothing is read, and nothing written but over what an earlier run left. */
function keepHole(work: Work, hole: ByteRange): void {
  work.writer.blank([hole]);
  work.fresh.add(hole.offset, hole.length);
  work.source.came(hole);
}

/** Writes what came, and notes what did not. */
function keep(work: Work, read: Pending, missing: readonly ByteRange[]): void {
  for (const piece of cleanPieces(read.range, missing)) {
    const from = piece.offset - read.range.offset;
    work.writer.write(read.bytes.subarray(from, from + piece.length), piece.offset);
    work.fresh.add(piece.offset, piece.length);
    work.source.came(piece);
  }
  for (const hole of missing) work.holes.add(hole.offset, hole.length);
}

/** Syncs the output, and only then says in the map what is in it. */
async function save(work: Work): Promise<void> {
  try {
    work.file.sync();
  } catch (error) {
    // After a failed sync nothing since the last good one is durable, and a second one that works does not change that.
    work.fresh.clear();
    throw error;
  }
  for (const { offset, length } of work.fresh) work.done.add(offset, length);
  work.fresh.clear();
  const bad = RangeSet.from(await work.source.bad());
  for (const { offset, length } of work.holes) bad.add(offset, length);
  writeMap(work.files, work.map, { size: work.source.size, done: work.done, bad });
}

/** After a failure: saves what can be saved, and says what a full disk means for the next run. */
async function withTruth(work: Work, error: unknown): Promise<unknown> {
  try {
    await save(work);
  } catch {
    // The map of the last good save stands: it claims less, and nothing false.
  }
  if (!(error instanceof StorageError) || error.code !== "ENOSPC") return error;
  const message = `Cannot salvage to "${work.file.path}": its disk is full; the map is true: make room, and run the same command again`;
  return new StorageError("ENOSPC", message, {
    path: work.file.path,
    syscall: "write",
    cause: error,
  });
}
