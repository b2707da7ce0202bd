/** Xattr parents: which inodes a large attribute value (ea_inode) belongs to, by one more scan over all attributes. */
import { hasFeature } from "./features.ts";
import { CORE_LENGTH, inodeChecksumOk } from "./inode.ts";
import { scanInodes, type SlotChunk } from "./inode-scan.ts";
import { isBad } from "../block-reader.ts";
import { provesZeros } from "./partial-slot.ts";
import type { Superblock } from "./superblock.ts";
import type { Ext4Volume } from "./volume.ts";
import { blockXattrs, inodeXattrs, xattrChecksumOk, type XattrEntry } from "./xattr.ts";

/** Parents kept of one value: equal values of many files share an inode. */
const PARENTS_MAX = 16;

/** Inodes that use an xattr block, at most as many are kept. */
const SHARERS_MAX = 16;

/** Parents of ea_inode inodes, by their number. */
export async function xattrParents(
  volume: Ext4Volume,
  wanted: ReadonlySet<number>,
): Promise<ReadonlyMap<number, readonly number[]>> {
  const parents = new Map<number, number[]>();
  const note = (entries: Iterable<XattrEntry>, inodes: readonly number[]): void => {
    for (const { valueInode } of entries) {
      if (!wanted.has(valueInode)) continue;
      const list = parents.get(valueInode) ?? [];
      for (const inode of inodes)
        if (list.length < PARENTS_MAX && !list.includes(inode)) list.push(inode);
      parents.set(valueInode, list);
    }
  };
  const blocks = new Map<number, number[]>();
  const wide = hasFeature(volume.superblock, "64bit");
  const checked = hasFeature(volume.superblock, "metadata_csum");
  await scanInodes(volume, {
    slot: (inode, chunk, at) => {
      if (chunk.words[at + 6]! >>> 16 === 0 || !isBelieved(volume.superblock, inode, { chunk, at }))
        return;
      const block = chunk.words[at + 26]! + (wide ? (chunk.words[at + 29]! >>> 16) * 2 ** 32 : 0);
      if (block !== 0) {
        const sharers = blocks.get(block);
        if (sharers === undefined) blocks.set(block, [inode]);
        else if (sharers.length < SHARERS_MAX) sharers.push(inode);
      }
      if (chunk.stride * 4 > CORE_LENGTH && (checked || !chunk.partial.has(inode)))
        note(slotXattrs(chunk, at), [inode]);
    },
    hidden: () => undefined,
    afterChunk: () => undefined,
  });
  for (const [block, inodes] of [...blocks].sort((one, other) => one[0] - other[0])) {
    const read = await volume.readBlocks(block, 1);
    if (read === undefined || isBad(read, 0, read.bytes.length)) continue;
    if (!checked || xattrChecksumOk(volume.superblock, block, read.bytes))
      note(blockXattrs(read.bytes), inodes);
  }
  return parents;
}

/** Whether a slot's own checksum lets it name a parent. Of partial slots only those that no checksum covers. */
function isBelieved(superblock: Superblock, inode: number, place: SlotPlace): boolean {
  const { chunk, at } = place;
  const slot = chunk.bytes.subarray(at * 4, (at + chunk.stride) * 4);
  const ok = inodeChecksumOk(superblock, inode, slot);
  return ok === undefined || (chunk.partial.has(inode) ? provesZeros(superblock, inode, slot) : ok);
}

/** Where a slot is: in a chunk, from word `at`. */
interface SlotPlace {
  readonly chunk: SlotChunk;
  readonly at: number;
}

function slotXattrs(chunk: SlotChunk, at: number): Iterable<XattrEntry> {
  const slot = chunk.bytes.subarray(at * 4, (at + chunk.stride) * 4);
  const extraSize = chunk.words[at + CORE_LENGTH / 4]! & 0xffff;
  return extraSize % 4 === 0 && CORE_LENGTH + extraSize <= slot.length
    ? inodeXattrs({ slot, extraSize, partial: false })
    : [];
}
