/** Static owners: segments of what the geometry alone gives a use, exact to the byte where a structure is smaller than its block. */
import { hasFeature } from "./features.ts";
import { RESIZE_INODE } from "./inode.ts";
import type { OwnerDraft, Segment } from "../owner-draft.ts";
import { draftOf } from "../owner-texts.ts";
import { SUPERBLOCK_OFFSET, SUPERBLOCK_SIZE } from "./superblock.ts";
import type { Ext4Volume, StaticRun } from "./volume.ts";

function segment(offset: number, length: number, owner: OwnerDraft): Segment {
  return { offset, length, owners: [owner] };
}

/** Segments of a static run, all of its blocks; of inode tables nothing, they have slots. */
export function staticSegments(volume: Ext4Volume, run: StaticRun): readonly Segment[] {
  const { blockSize } = volume.superblock;
  const offset = run.block * blockSize;
  const length = run.count * blockSize;
  if (run.use === "inode-table") return [];
  if (run.use === "superblock" && run.block === 0) return firstBlock(blockSize);
  if (run.use === "boot-block" && run.block === 0 && blockSize > SUPERBLOCK_OFFSET)
    return firstBlock(blockSize);
  if (run.use === "superblock" || run.use === "superblock-backup")
    return superblocks(run, blockSize);
  if (run.use === "reserved-descriptors" && hasFeature(volume.superblock, "resize_inode")) {
    return [segment(offset, length, draftOf(run.use, { inode: RESIZE_INODE }))];
  }
  return [segment(offset, length, draftOf(run.use))];
}

/** Block 0 where it is larger than 1 KiB: boot code, superblock, filling. */
function firstBlock(blockSize: number): readonly Segment[] {
  const end = SUPERBLOCK_OFFSET + SUPERBLOCK_SIZE;
  return [
    segment(0, SUPERBLOCK_OFFSET, draftOf("boot-block")),
    segment(SUPERBLOCK_OFFSET, SUPERBLOCK_SIZE, draftOf("superblock")),
    ...(blockSize > end ? [segment(end, blockSize - end, draftOf("padding"))] : []),
  ];
}

function superblocks(run: StaticRun, blockSize: number): readonly Segment[] {
  const out: Segment[] = [];
  const what = run.use === "superblock" ? "superblock" : "superblock-backup";
  for (let index = 0; index < run.count; index += 1) {
    const offset = (run.block + index) * blockSize;
    out.push(segment(offset, SUPERBLOCK_SIZE, draftOf(what)));
    if (blockSize > SUPERBLOCK_SIZE)
      out.push(segment(offset + SUPERBLOCK_SIZE, blockSize - SUPERBLOCK_SIZE, draftOf("padding")));
  }
  return out;
}
