/** Lookup: the inode of an absolute path, directory by directory, by the exact bytes of the names. */
import { directoryChecksumOk, inlineEntryRegions, readEntries } from "./directory.ts";
import { hasFeature } from "./features.ts";
import { inodeSeed, isInUse, kindOf, mapKindOf, ROOT_INODE, type Inode } from "./inode.ts";
import { mapInode, type InodeMap } from "./inode-map.ts";
import { textToName } from "../names.ts";
import { readInode } from "./read-inode.ts";
import type { StaticMap } from "./static-map.ts";
import type { Ext4Volume } from "./volume.ts";

/** One block of a directory. */
export interface DirectoryBlock {
  readonly logical: number;
  readonly block: number;
  /** A copy. */
  readonly bytes: Uint8Array;
}

/** A block of a directory, readable and with a right checksum; `undefined` where it is not (reported), or there is none. */
export async function readDirectoryBlock(
  volume: Ext4Volume,
  directory: Inode,
  place: { readonly map: InodeMap; readonly logical: number },
): Promise<DirectoryBlock | undefined> {
  const { logical } = place;
  const { blockSize } = volume.superblock;
  const run = place.map.runs.find(
    (part) => part.logical <= logical && logical < part.logical + part.count,
  );
  if (run === undefined || run.unwritten || logical * blockSize >= directory.size) return undefined;
  const block = run.block + logical - run.logical;
  const read = await volume.readBlocks(block, 1);
  const whole = read !== undefined && read.bad.length === 0;
  const seed = inodeSeed(volume.superblock, directory.number, directory.generation);
  const checked = hasFeature(volume.superblock, "metadata_csum");
  if (whole && (!checked || directoryChecksumOk(read.bytes, seed)))
    return { logical, block, bytes: read.bytes.slice() };
  const why = whole ? "has a wrong checksum" : "cannot be read";
  const range = { offset: block * blockSize, length: blockSize };
  volume.report({
    range,
    inode: directory.number,
    message: `Directory block ${block} of inode ${directory.number} ${why}: its names are hidden`,
  });
  return undefined;
}

/** Readable blocks of a directory, each with a right checksum; what is not is reported and left out. */
async function* directoryBlocks(
  volume: Ext4Volume,
  statics: StaticMap,
  directory: Inode,
): AsyncGenerator<DirectoryBlock> {
  const map = await mapInode(volume, statics, directory);
  const blocks = Math.ceil(directory.size / volume.superblock.blockSize);
  for (const run of map.runs) {
    const end = Math.min(run.logical + run.count, blocks);
    for (let logical = run.logical; logical < end; logical += 1) {
      const block = await readDirectoryBlock(volume, directory, {
        map: { ...map, runs: [run] },
        logical,
      });
      if (block !== undefined) yield block;
    }
  }
}

/** The inode that a name in a directory leads to. */
async function findName(
  volume: Ext4Volume,
  statics: StaticMap,
  asked: { directory: Inode; name: Uint8Array },
): Promise<number | undefined> {
  const { directory, name } = asked;
  const rules = {
    inodeCount: volume.superblock.inodeCount,
    filetype: hasFeature(volume.superblock, "filetype"),
  };
  let found: number | undefined;
  const search = (bytes: Uint8Array): void => {
    readEntries(bytes, rules, (entry) => {
      if (entry.nameLength !== name.length || found !== undefined) return;
      for (let index = 0; index < name.length; index += 1)
        if (bytes[entry.nameStart + index] !== name[index]) return;
      found = entry.inode;
    });
  };
  if (mapKindOf(directory) === "inline") {
    for (const region of inlineEntryRegions(directory)) search(region);
    return found;
  }
  for await (const block of directoryBlocks(volume, statics, directory)) {
    search(block.bytes);
    if (found !== undefined) break;
  }
  return found;
}

/**
 * A directory whose blocks can be searched. One that is not believed because a part of its slot cannot be read is among them: its
 * number and generation are in every block's checksum.
 */
async function readDirectory(volume: Ext4Volume, number: number): Promise<Inode | undefined> {
  const result = await readInode(volume, number);
  const partial =
    result.inode === undefined && result.bad?.partial === true ? result.bad : undefined;
  const inode = result.inode ?? partial;
  if (inode === undefined || kindOf(inode) !== "directory") return undefined;
  return inode === partial && mapKindOf(inode) === "inline" ? undefined : inode;
}

/** The inode of an absolute path as `FileMap.paths` writes it; `undefined` where there is none, or it is hidden. */
export async function lookupPath(
  volume: Ext4Volume,
  statics: StaticMap,
  path: string,
): Promise<number | undefined> {
  if (!path.startsWith("/")) return undefined;
  let number = ROOT_INODE;
  for (const part of path.split("/").filter((name) => name !== "")) {
    if (part === "." || part === "..") return undefined;
    const inode = await readDirectory(volume, number);
    if (inode === undefined) return undefined;
    const next = await findName(volume, statics, { directory: inode, name: textToName(part) });
    if (next === undefined) return undefined;
    number = next;
  }
  const { inode } = await readInode(volume, number);
  return inode !== undefined && (await isInUse(volume, inode)) ? number : undefined;
}
