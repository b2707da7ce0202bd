/** Journal areas: which bytes of the journal are its superblock, its log, and its fast-commit area. */
import { hasFeature } from "./features.ts";
import type { Inode } from "./inode.ts";
import { mapInode } from "./inode-map.ts";
import type { StaticMap } from "./static-map.ts";
import type { Ext4Volume } from "./volume.ts";

const JOURNAL_MAGIC = 0xc03b3998;
const FAST_COMMIT = 0x20;
const FAST_COMMIT_BLOCKS_DEFAULT = 256;

/** Bytes of the journal file. */
export interface JournalAreas {
  /** The fast-commit area, at the journal's end; `undefined` where it has none or its head is unreadable. */
  readonly fastCommit: { readonly start: number; readonly end: number } | undefined;
}

/** Reads the journal's head (big-endian; kernel: journal_superblock_t, jbd2_journal_get_num_fc_blks). */
export async function journalAreas(
  volume: Ext4Volume,
  statics: StaticMap,
  inode: Inode,
): Promise<JournalAreas> {
  if (!hasFeature(volume.superblock, "fast_commit")) return { fastCommit: undefined };
  const map = await mapInode(volume, statics, inode);
  const first = map.runs.find((run) => run.logical === 0);
  const read = first === undefined ? undefined : await volume.readBlocks(first.block, 1);
  if (read === undefined || read.bad.some((bad) => bad.offset < 0x58))
    return { fastCommit: undefined };
  const view = new DataView(read.bytes.buffer, read.bytes.byteOffset, read.bytes.byteLength);
  if (view.getUint32(0) !== JOURNAL_MAGIC || (view.getUint32(0x28) & FAST_COMMIT) === 0)
    return { fastCommit: undefined };
  const { blockSize } = volume.superblock;
  const end = view.getUint32(0x10);
  const count = view.getUint32(0x54) || FAST_COMMIT_BLOCKS_DEFAULT;
  if (count >= end) return { fastCommit: undefined };
  return { fastCommit: { start: (end - count) * blockSize, end: end * blockSize } };
}
