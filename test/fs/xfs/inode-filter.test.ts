/** InodeFilter: what it passes by, beside what the inode says when its slot is decoded and its forks are walked. */
import { expect, test } from "vitest";
import { createPrng, type Prng } from "../../../src/base/index.ts";
import { Problems } from "../../../src/fs/problems.ts";
import { BlockReader } from "../../../src/fs/block-reader.ts";
import { WantedBlocks } from "../../../src/fs/wanted-blocks.ts";
import { wordsOf } from "../../../src/fs/words.ts";
import { listedExtents } from "../../../src/fs/xfs/fork-map.ts";
import { InodeFilter } from "../../../src/fs/xfs/inode-filter.ts";
import { decodeInode, inodeDoubt } from "../../../src/fs/xfs/inode.ts";
import { XfsVolume } from "../../../src/fs/xfs/volume.ts";
import { memorySource } from "../ext4/scratch.ts";
import { superblockOf } from "./support/plain-superblock.ts";

const seed = Number(process.env["SEED"] ?? Date.now() % 2 ** 31);
const SLOT = 512;

function volumeOf(random: Prng, version: 4 | 5): XfsVolume {
  const agBlocks = random.pick([100, 128, 5000, 2 ** 22]);
  const superblock = superblockOf({ version, agBlocks, agCount: 1 + random.below(5) });
  const reader = new BlockReader(memorySource(new Uint8Array(0)), superblock.blockSize);
  return new XfsVolume({ superblock, certain: true, reader, problems: new Problems() });
}

/** A slot as it may be found: mostly right, now and then with a wrong byte anywhere. */
function randomSlot(random: Prng, { superblock }: XfsVolume): Uint8Array {
  const slot = new Uint8Array(SLOT);
  const view = new DataView(slot.buffer);
  const large = superblock.version === 5 && random.chance(0.3);
  view.setUint16(0, 0x494e);
  view.setUint16(2, random.pick([0o100644, 0o100644, 0o040755, 0o120777, 0]));
  slot[4] = superblock.version === 5 ? 3 : 2;
  slot[5] = random.pick([2, 2, 2, 1, 3]);
  view.setBigUint64(56, BigInt(random.below(2 ** 40)));
  const core = superblock.version === 5 ? 176 : 100;
  const room = SLOT - core;
  const fork = random.chance(0.5) ? 8 * (1 + random.below(Math.floor(room / 8) - 1)) : 0;
  slot[82] = fork / 8;
  slot[83] = random.pick([2, 1, 3]);
  if (large) view.setUint32(124, 0x10);
  const count = random.below(Math.floor((fork || room) / 16) + 1);
  if (large) view.setBigUint64(24, BigInt(count));
  else view.setUint32(76, count);
  const more = fork === 0 ? 0 : random.below(Math.floor((room - fork) / 16) + 1);
  if (large) view.setUint32(76, more);
  else view.setUint16(80, more);
  for (let index = 0; index < count; index += 1) extent(core + index * 16);
  for (let index = 0; index < more; index += 1) extent(core + fork + index * 16);
  if (random.chance(0.2)) slot[random.below(SLOT)] = random.below(256);
  return slot;

  function extent(at: number): void {
    const ag = random.below(superblock.agCount);
    const start = ag * 2 ** superblock.agBlockBits + random.below(superblock.agBlocks);
    const record = (BigInt(random.below(2 ** 20)) << 73n) | (BigInt(start) << 21n);
    const all = record | BigInt(random.pick([1, 1, 2, 7, 300]));
    view.setBigUint64(at, all >> 64n);
    view.setBigUint64(at + 8, all & (2n ** 64n - 1n));
  }
}

/** Whether an inode has a use for the scan, by its decoded slot. */
function mustShow(volume: XfsVolume, slot: Uint8Array, wanted: WantedBlocks): boolean {
  const inode = decodeInode(volume, 1, slot);
  if (inode === undefined || inode.mode === 0 || inode.kind === "directory") return true;
  // The filter computes no checksum: on version 5 doubts that need one are not its matter.
  if (volume.superblock.version === 4 && inodeDoubt(volume, 1, slot) !== undefined) return true;
  let must = false;
  for (const fork of ["data", "attributes"] as const) {
    if (inode[fork].format === "tree") return true;
    if (inode[fork].format !== "extents") continue;
    const hidden = (): void => {
      must = true;
    };
    const run = ({ block, count }: { readonly block: number; readonly count: number }): void => {
      must ||= wanted.hits(block, count);
    };
    listedExtents(volume, { inode, fork }, { hidden, run });
  }
  return must;
}

test.each([4, 5] as const)(
  "next() passes over no inode of version %i that claims a wanted block, is a directory, or is odd",
  (version) => {
    console.log(`SEED=${seed}`);
    const random = createPrng(seed);
    let passed = 0;
    for (let round = 0; round < 400; round += 1) {
      const volume = volumeOf(random, version);
      const runs = Array.from({ length: random.below(6) }, () => ({
        block: random.below(volume.superblock.blockCount),
        count: 1 + random.below(4),
      }));
      const wanted = new WantedBlocks(runs);
      const filter = new InodeFilter(volume.superblock, wanted);
      const slots = Array.from({ length: 64 }, () => randomSlot(random, volume));
      const free = [random.below(2 ** 32), random.below(2 ** 32)] as const;
      const words = wordsOf(Buffer.concat(slots));
      const chunk = { count: 64, free };
      for (let from = 0; from < 64; from += 1) {
        const index = filter.next(words, chunk, { from, stride: SLOT / 4 });
        for (; from < index; from += 1) {
          if (((free[from < 32 ? 0 : 1] >>> (from % 32)) & 1) === 1) continue;
          passed += 1;
          expect(mustShow(volume, slots[from]!, wanted)).toBe(false);
        }
      }
    }
    expect(passed).toBeGreaterThan(1000);
  },
);

test("next() shows only what looks like an inode in use where nobody says which are", () => {
  const superblock = superblockOf({ version: 5, agBlocks: 100, agCount: 1 });
  const filter = new InodeFilter(superblock, new WantedBlocks([]));
  const slots = new Uint8Array(4 * SLOT);
  slots.set([0x49, 0x4e, 0x41, 0xed, 3, 2], 2 * SLOT);
  slots.set([0x49, 0x4e, 0, 0, 3, 2], 3 * SLOT);
  const next = (from: number): number =>
    filter.next(wordsOf(slots), { count: 4, free: undefined }, { from, stride: SLOT / 4 });
  expect(next(0)).toBe(2);
  expect(next(3)).toBe(4);
});
