/**
 * MergeSource: several partial copies of one source as a source themselves, to be salvaged into one: what any of them has is there, and what several have must be equal.
 *
 * Each copy needs its map and the identity beside that, or nobody could say that they are of one source: copies of different sources are refused, and so are bytes that
 * two of them give differently, with where.
 */
import { endOf, intersect, RangeSet, StorageError, type ByteRange } from "../../base/index.ts";
import type { ReadResult } from "../../device/index.ts";
import { nodeFiles, type HostFile, type HostFiles } from "../../os/index.ts";
import type { CopyMap } from "./copy-map.ts";
import { checkSamples, readIdentity, type SalvageIdentity } from "./salvage-identity.ts";
import { checkHashes, readHashes } from "./salvage-hashes.ts";
import { readCopyMap } from "./salvage-map.ts";
import type { SalvageSource } from "./salvage-source.ts";

interface Copy {
  readonly path: string;
  readonly file: HostFile;
  readonly map: CopyMap;
  readonly identity: SalvageIdentity;
}

/** Copies as one source. */
export interface MergeSource extends SalvageSource {
  /** What some copy has or calls bad: the rest nobody tried. */
  readonly domain: readonly ByteRange[];
  close(): void;
}

/**
 * Opens partial copies; each has its map under its name with ".map".
 *
 * @throws {StorageError} ENOENT; EBADMSG; ESTALE where they are not of one source, or nothing tells
 * @throws {RangeError} where there are fewer than two
 */
export async function openCopies(
  paths: readonly string[],
  options: { readonly files?: HostFiles } = {},
): Promise<MergeSource> {
  const { files = nodeFiles } = options;
  if (paths.length < 2)
    throw new RangeError(`Cannot merge: want two copies or more: got ${paths.length}`);
  const copies: Copy[] = [];
  const close = (): void => {
    for (const { file } of copies) file.close();
  };
  try {
    for (const path of paths) copies.push(openCopy(files, path));
    const [first, ...others] = copies;
    for (const other of others) checkAlike(first as Copy, other);
  } catch (error) {
    close();
    throw error;
  }
  return { ...sourceOf(copies), close };
}

function openCopy(files: HostFiles, path: string): Copy {
  const name = `${path}.map`;
  const file = files.open(path, { lock: "shared" });
  try {
    const identity = readIdentity(files, name);
    const map = readCopyMap(files, name, identity.size);
    if (file.size() !== identity.size)
      throw new StorageError(
        "ESTALE",
        `Refused copy "${path}": it has ${file.size()} bytes, and its source ${identity.size}`,
        { path },
      );
    checkSamples(file, { identity, map, name });
    checkHashes(file, readHashes(files, name, map), name);
    return { path, file, map, identity };
  } catch (error) {
    file.close();
    throw error;
  }
}

/** By every name that both know, and every block whose hash both took. */
function checkAlike(one: Copy, other: Copy): void {
  const refuse = (why: string): never => {
    throw new StorageError("ESTALE", `Refused copy "${other.path}": ${why}`, { path: other.path });
  };
  const [a, b] = [one.identity, other.identity];
  if (a.size !== b.size)
    refuse(`its source has ${b.size} bytes, and that of "${one.path}" ${a.size}`);
  let equal = 0;
  for (const [name, value] of Object.entries(a.names)) {
    const there = b.names[name];
    if (there === undefined) continue;
    if (there !== value)
      refuse(`its source has ${name} ${there}, and that of "${one.path}" ${value}`);
    equal += 1;
  }
  const known = new Map(a.samples.map((sample) => [sample.offset, sample]));
  for (const sample of b.samples) {
    const there = known.get(sample.offset);
    if (there === undefined || there.length !== sample.length) continue;
    if (there.sha256 !== sample.sha256)
      refuse(
        `bytes ${sample.offset} to ${endOf(sample)} of its source are not those of "${one.path}"`,
      );
    equal += 1;
  }
  if (equal === 0) refuse(`nothing tells that it is of the source of "${one.path}"`);
}

function sourceOf(copies: readonly Copy[]): Omit<MergeSource, "close"> {
  const [first] = copies as readonly [Copy, ...Copy[]];
  const { size } = first.identity;
  const had = new RangeSet();
  const bad = new RangeSet();
  for (const { map } of copies) {
    for (const { offset, length } of map.of("+")) had.add(offset, length);
    for (const { offset, length } of map.of("-")) bad.add(offset, length);
  }
  for (const { offset, length } of had) bad.delete(offset, length);
  return {
    size,
    names: Object.assign({}, ...copies.map(({ identity }) => identity.names)) as Record<
      string,
      string
    >,
    bad: () => [...bad],
    read: (into, offset) => readCopies(copies, into, offset),
    came: () => undefined,
    domain: [...had, ...bad].sort((one, other) => one.offset - other.offset),
  };
}

/** @throws {StorageError} ESTALE where two copies differ in what both call finished */
function readCopies(copies: readonly Copy[], into: Uint8Array, offset: number): ReadResult {
  const window = { offset, length: into.length };
  const got = new RangeSet();
  const bytes = new Uint8Array(into.length);
  for (const copy of copies) {
    for (const run of copy.map.of("+", window)) {
      const part = bytes.subarray(0, run.length);
      readWhole(copy, part, run.offset);
      for (const both of got.within(run.offset, run.length))
        compare(copy, part, { run, both, into, offset });
      for (const gap of got.gaps(run.offset, run.length)) {
        const piece = part.subarray(gap.offset - run.offset, endOf(gap) - run.offset);
        into.set(piece, gap.offset - offset);
      }
      got.add(run.offset, run.length);
    }
  }
  return { missing: Array.from(got.gaps(offset, into.length), badRange) };
}

function badRange({ offset, length }: ByteRange): ReadResult["missing"][number] {
  return { offset, length, state: "poisoned" };
}

function readWhole({ file, path }: Copy, into: Uint8Array, offset: number): void {
  if (file.readSync(into, offset) === into.length) return;
  throw new StorageError("ESTALE", `Cannot read "${path}": it became shorter`, { path });
}

function compare(
  copy: Copy,
  part: Uint8Array,
  at: { run: ByteRange; both: ByteRange; into: Uint8Array; offset: number },
): void {
  const both = intersect(at.both, at.run);
  if (both === undefined) return;
  const theirs = part.subarray(both.offset - at.run.offset, endOf(both) - at.run.offset);
  const ours = at.into.subarray(both.offset - at.offset, endOf(both) - at.offset);
  if (Buffer.compare(ours, theirs) === 0) return;
  const where = both.offset + theirs.findIndex((byte, index) => byte !== ours[index]);
  throw new StorageError(
    "ESTALE",
    `Refused copy "${copy.path}": it differs from another at byte ${where}, and both maps call it finished`,
    { path: copy.path },
  );
}
