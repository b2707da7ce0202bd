/** Replayed journals: an image as `e2fsck -E journal_only` leaves it, beside what the overlay of our volume serves. */
import { copyFileSync } from "node:fs";
import { expect } from "vitest";
import { openExt4Volume } from "../../../src/fs/ext4/open-volume.ts";
import type { Ext4Volume } from "../../../src/fs/ext4/volume.ts";
import { fileSource, load, run } from "../../fs/ext4/scratch.ts";

/** The volume as e2fsck leaves it after replaying the journal, and nothing else. */
export function replayed(path: string): {
  readonly bytes: Uint8Array;
  readonly corrupt: boolean;
  readonly checksumError: boolean;
} {
  const copy = `${path}.replayed`;
  copyFileSync(path, copy);
  const said = run("e2fsck", ["-fy", "-E", "journal_only", copy], 15);
  return {
    bytes: load(copy),
    corrupt: /corrupt|checksum/i.test(said),
    checksumError: /Journal checksum error/.test(said),
  };
}

/** Blocks in which e2fsck writes itself: the superblocks (state, times, counts) and the journal's superblock. */
function ownBlocks(volume: Ext4Volume, path: string): ReadonlySet<number> {
  const own = new Set<number>();
  for (const { block, count, use } of volume.staticUses(0, volume.superblock.blockCount)) {
    if (use === "superblock" || use === "superblock-backup")
      for (let at = 0; at < count; at += 1) own.add(block + at);
  }
  const first = /\(0\):(\d+)|\(0-\d+\):(\d+)/.exec(run("debugfs", ["-R", "stat <8>", path]));
  own.add(Number(first?.[1] ?? first?.[2]));
  return own;
}

/** Opens the volume and expects every block to be as e2fsck leaves it. The volume is closed. */
export async function expectAsReplayed(path: string): Promise<Ext4Volume> {
  const { bytes: want, corrupt } = replayed(path);
  const source = fileSource(path);
  try {
    const volume = await openExt4Volume(source);
    const { blockSize, blockCount } = volume.superblock;
    const own = ownBlocks(volume, path);
    const wrong: number[] = [];
    for (let block = 0; block < blockCount; block += 1) {
      const read = await volume.readBlocks(block, 1);
      const same =
        read?.bad.length === 0 &&
        Buffer.compare(read.bytes, want.subarray(block * blockSize, (block + 1) * blockSize)) === 0;
      if (!same && !own.has(block)) wrong.push(block);
    }
    expect(wrong).toEqual([]);
    // Long reads merge the same way.
    const end = Math.min(blockCount, 1024);
    const long = (await volume.readBlocks(0, end))?.bytes ?? new Uint8Array(0);
    const bytesOf = (bytes: Uint8Array, block: number): Uint8Array =>
      bytes.subarray(block * blockSize, (block + 1) * blockSize);
    const wrongInLong = Array.from({ length: end }, (_, block) => block).filter(
      (block) =>
        !own.has(block) && Buffer.compare(bytesOf(long, block), bytesOf(want, block)) !== 0,
    );
    expect(wrongInLong).toEqual([]);
    // e2fsck says so where it had to stop before the end of the log.
    expect({
      corrupt: volume.journal.status === "unreadable",
      said: volume.journal.message,
    }).toMatchObject({ corrupt });
    return volume;
  } finally {
    source.close();
  }
}
