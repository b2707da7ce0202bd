/**
 * Directory: the names in a directory, in the inode (short form) or in its data blocks.
 *
 * In all larger forms names stand in data blocks below 32 GiB of the directory; what is behind is a hash tree that names can be read
 * without. Entries of a data block follow each other to its end, or, where one block is all, to the hash table at its end.
 */
import { checksumOk, uuidIs, viewOf, wideAt } from "./checksum.ts";
import { walkFork, type MappedRun } from "./fork-map.ts";
import type { Inode } from "./inode.ts";
import type { InodeBits } from "./inode-bits.ts";
import type { Superblock } from "./superblock.ts";
import type { XfsVolume } from "./volume.ts";

/** First byte of a directory that holds no names: the leaves of its hash tree (kernel: XFS_DIR2_LEAF_OFFSET). */
export const INDEX_OFFSET: number = 2 ** 35;

/** One name: `bytes[start, end)`. One object serves all calls. */
export interface DirectoryName {
  inode: number;
  bytes: Uint8Array;
  start: number;
  end: number;
}

/** Is told each name. @returns true to stop */
export type NameVisitor = (name: Readonly<DirectoryName>) => boolean | void;

/** Magic numbers of blocks of names, v4 and v5: one that is all of a directory, and one of several. */
export const NAME_MAGICS = {
  single: [0x58443242, 0x58444233],
  data: [0x58443244, 0x58444433],
} as const;
/** Bytes before the first entry, v4 and v5. */
export const NAME_HEADERS = [16, 64] as const;

/** Which directory is read. */
export interface DirectoryRead {
  readonly directory: Inode;
  /** Blocks that may still be looked at: directories share none, so what is more can only be the work of a hostile image. */
  readonly budget: { left: number };
}

/** Tells all names of a directory that can be read, "." and ".." left out; what hides others is reported. */
export async function readNames(
  volume: XfsVolume,
  { directory, budget }: DirectoryRead,
  visitor: NameVisitor,
): Promise<void> {
  const told = (what: string, block?: number): void =>
    reportHiddenNames(volume, directory.number, { what, block });
  if (directory.data.format === "local") {
    const why = shortNames(volume, directory, visitor);
    if (why !== undefined) told(why);
    return;
  }
  for (const place of await dataBlocks(volume, { directory, budget }, told)) {
    const first = place.find((part) => part !== undefined)!;
    const block = await readDirectoryBlock(volume, directory.number, place);
    const why = typeof block === "string" ? block : blockNames(volume, { bytes: block }, visitor);
    if (why === "stopped") return;
    if (why !== undefined) told(`has a block ${first} that ${why}`, first);
  }
}

/** Reports that names of a directory are hidden, and by what. */
export function reportHiddenNames(
  volume: XfsVolume,
  directory: number,
  { what, block }: { readonly what: string; readonly block?: number | undefined },
): void {
  const { blockSize } = volume.superblock;
  volume.report({
    inode: directory,
    ...(block === undefined ? {} : { range: { offset: block * blockSize, length: blockSize } }),
    message: `Directory ${directory} ${what}: names in it are hidden`,
  });
}

/** One directory block of names. */
export interface NameBlock {
  readonly bytes: Uint8Array;
  readonly block: number;
  readonly directory: number;
  /** Inodes whose names are told. @default all */
  readonly only?: InodeBits | undefined;
}

/** Tells the names of one directory block. @returns what is wrong with it, or "stopped" */
export function namesOfBlock(
  volume: XfsVolume,
  place: NameBlock,
  visitor: NameVisitor,
): string | undefined {
  return whyNotNames(volume, place) ?? blockNames(volume, place, visitor);
}

/** Blocks of the volume that make each directory block of names, in order. */
async function dataBlocks(
  volume: XfsVolume,
  { directory, budget }: DirectoryRead,
  told: (message: string) => void,
): Promise<readonly (readonly number[])[]> {
  const { blockSize, directoryBlockSize } = volume.superblock;
  const end = Math.min(directory.size, INDEX_OFFSET) / blockSize;
  const runs: MappedRun[] = [];
  await walkFork(
    volume,
    { inode: directory, fork: "data" },
    {
      run: (run) => {
        if (run.logical < end) runs.push(run);
      },
      node: () => {
        budget.left -= 1;
        return budget.left >= 0;
      },
      hidden: ({ why }) => told(`has a map of which a part is hidden (${why})`),
    },
  );
  const parts = directoryBlockSize / blockSize;
  const places = new Map<number, number[]>();
  for (const { logical, block, count } of runs) {
    for (let index = 0; index < count && budget.left > 0; index += 1, budget.left -= 1) {
      const which = Math.floor((logical + index) / parts);
      const place = places.get(which) ?? [];
      place[(logical + index) % parts] = block + index;
      places.set(which, place);
    }
  }
  if (budget.left <= 0) told("shares more blocks with others than the volume has");
  return [...places.entries()].sort(([one], [other]) => one - other).map(([, place]) => place);
}

/** A budget for all directories of a volume. */
export function directoryBudget({ superblock }: XfsVolume): { left: number } {
  return { left: 2 * superblock.blockCount + 65_536 };
}

/** A whole directory block of names, a copy; or what is wrong with it. */
export async function readDirectoryBlock(
  volume: XfsVolume,
  directory: number,
  place: readonly number[],
): Promise<Uint8Array | string> {
  const { blockSize, directoryBlockSize } = volume.superblock;
  const bytes = new Uint8Array(directoryBlockSize);
  for (let part = 0; part < directoryBlockSize / blockSize; part += 1) {
    const block = place[part];
    if (block === undefined) return "is not whole";
    const read = await volume.readBlocks(block, 1);
    if (read.bad.length > 0) return "cannot be read";
    bytes.set(read.bytes, part * blockSize);
  }
  return whyNotNames(volume, { bytes, block: place[0]!, directory }) ?? bytes;
}

/** What is wrong with a directory block of names; `undefined` where it can be believed. */
function whyNotNames(
  { superblock }: XfsVolume,
  {
    bytes,
    block,
    directory,
  }: { readonly bytes: Uint8Array; readonly block: number; readonly directory: number },
): string | undefined {
  const view = viewOf(bytes);
  const { checksums } = superblock.features;
  const which = checksums ? 1 : 0;
  const magic = view.getUint32(0);
  if (magic !== NAME_MAGICS.single[which] && magic !== NAME_MAGICS.data[which])
    return "holds no names";
  if (!checksums) return undefined;
  if (!checksumOk(bytes, 4)) return "has a wrong checksum";
  if (wideAt(view, 8) !== (block * superblock.blockSize) / 512)
    return "says that it stands elsewhere";
  if (!uuidIs(bytes, 24, superblock.stamp)) return "is of another volume";
  return wideAt(view, 40) === directory ? undefined : "says that it is another directory's";
}

/** Names of a block. @returns what is wrong, or that the visitor stopped */
function blockNames(
  { superblock }: XfsVolume,
  { bytes, only }: Pick<NameBlock, "bytes" | "only">,
  visitor: NameVisitor,
): string | undefined {
  const view = viewOf(bytes);
  const { start: first, end } = entriesOf(superblock, view);
  if (end < first) return "has a hash table larger than itself";
  const name: DirectoryName = { inode: 0, bytes, start: 0, end: 0 };
  for (let at = first; at < end;) {
    if (at + 8 > end) return "has an entry past its end";
    const gap = view.getUint16(at) === 0xffff;
    const length = gap ? view.getUint16(at + 2) : bytes[at + 8]!;
    const size = gap ? length : entrySize(superblock, length);
    if (length === 0 || size % 8 !== 0 || at + size > end)
      return `has ${gap ? "a gap" : "a name"} of ${length} bytes at ${at}`;
    const start = at;
    at += size;
    const high = view.getUint32(start);
    const low = view.getUint32(start + 4);
    if (gap || only?.has(high, low) === false) continue;
    name.inode = high * 2 ** 32 + low;
    name.start = start + 9;
    name.end = start + 9 + length;
    if (!isDot(name) && visitor(name) === true) return "stopped";
  }
  return undefined;
}

/** Where the entries of a block are: a single block ends with its hash table. */
function entriesOf(
  { features }: Superblock,
  view: DataView,
): { readonly start: number; readonly end: number } {
  const which = features.checksums ? 1 : 0;
  const start = NAME_HEADERS[which];
  const size = view.byteLength;
  const single = view.getUint32(0) === NAME_MAGICS.single[which];
  return { start, end: single ? size - 8 - view.getUint32(size - 8) * 8 : size };
}

/** Bytes of an entry: inode, length, name, kind where there is one, and its own offset, in multiples of 8. */
function entrySize({ features }: Superblock, length: number): number {
  return Math.ceil((11 + length + (features.fileTypes ? 1 : 0)) / 8) * 8;
}

function isDot({ bytes, start, end }: Readonly<DirectoryName>): boolean {
  if (bytes[start] !== 0x2e) return false;
  return end - start === 1 || (end - start === 2 && bytes[start + 1] === 0x2e);
}

/** Tells the names of a directory that is kept in its inode. @returns what is wrong */
export function shortNames(
  { superblock }: XfsVolume,
  directory: Inode,
  visitor: NameVisitor,
): string | undefined {
  const { start, length } = directory.data;
  const bytes = directory.slot.subarray(start, start + length);
  const view = viewOf(bytes);
  const count = bytes[0]!;
  const wide = bytes[1]! !== 0;
  const numberSize = wide ? 8 : 4;
  const extra = superblock.features.fileTypes ? 1 : 0;
  const name: DirectoryName = { inode: 0, bytes, start: 0, end: 0 };
  let at = 2 + numberSize;
  for (let index = 0; index < count; index += 1) {
    const size = bytes[at] ?? 0;
    const number = at + 3 + size + extra;
    if (size === 0 || number + numberSize > bytes.length)
      return `has a name of ${size} bytes at ${at} of its inode`;
    name.start = at + 3;
    name.end = at + 3 + size;
    name.inode = wide ? wideAt(view, number) : view.getUint32(number);
    at = number + numberSize;
    if (visitor(name) === true) return undefined;
  }
  return undefined;
}
