/** SlotFilter: what it passes by, beside what the words of a slot say when each is read in full. */
import { expect, test } from "vitest";
import { createPrng, type Prng } from "../../../src/base/index.ts";
import { whyNodeWrong } from "../../../src/fs/ext4/extent-tree.ts";
import { INODE_FLAGS, MODE } from "../../../src/fs/ext4/inode.ts";
import { SlotFilter } from "../../../src/fs/ext4/slot-filter.ts";
import type { Superblock } from "../../../src/fs/ext4/superblock.ts";
import type { BlockRun } from "../../../src/fs/wanted-blocks.ts";

const seed = Number(process.env["SEED"] ?? Date.now() % 2 ** 31);
const STRIDE = 64;
const MAP = 10;
const MAGIC = 0xf30a;

const touches = (runs: readonly BlockRun[], block: number, count: number): boolean =>
  runs.some((run) => run.block < block + count && block < run.block + run.count);

interface Extent {
  readonly logical: number;
  readonly block: number;
  readonly count: number;
}

interface World {
  readonly random: Prng;
  readonly blocks: number;
  readonly statics: readonly BlockRun[];
  readonly wanted: readonly BlockRun[];
}

function randomRuns(random: Prng, blocks: number, count: number): BlockRun[] {
  return Array.from({ length: count }, () => ({
    block: random.below(blocks),
    count: 1 + random.below(4),
  }));
}

/** A slot as it may be found: mostly right, now and then with a wrong word anywhere. */
function randomSlot({ random, blocks }: World): Uint32Array {
  const words = new Uint32Array(STRIDE);
  if (random.chance(0.1)) return words;
  const mode = random.pick([MODE.file, MODE.directory, MODE.symlink, 0]);
  words[0] = mode | 0o644;
  words[6] = random.below(3) << 16;
  words[8] = random.pick([INODE_FLAGS.extents, INODE_FLAGS.extents, INODE_FLAGS.inlineData, 0]);
  if (random.chance(0.2)) words[26] = random.below(blocks + 8);
  const entries = random.below(5);
  words[MAP] = MAGIC | (entries << 16);
  words[MAP + 1] = 4;
  let logical = 0;
  for (let entry = 0; entry < entries; entry += 1) {
    const count = random.chance(0.1) ? 32768 + random.below(4) : 1 + random.below(6);
    words[MAP + 3 + entry * 3] = logical;
    words[MAP + 4 + entry * 3] = count;
    words[MAP + 5 + entry * 3] = random.below(blocks);
    logical += (count > 32768 ? count - 32768 : count) + random.below(3);
  }
  if (random.chance(0.1)) words[random.below(STRIDE)] = random.below(2 ** 32);
  return words;
}

/** The extents of a map that is one leaf in the inode, in full; `undefined` where it is more, or nonsense. */
function leafOf(words: Uint32Array): readonly Extent[] | undefined {
  const entries = words[MAP]! >>> 16;
  if ((words[MAP]! & 0xffff) !== MAGIC || entries > 4 || words[MAP + 1]! >>> 16 !== 0)
    return undefined;
  return Array.from({ length: entries }, (_, entry) => {
    const raw = words[MAP + 4 + entry * 3]!;
    const length = raw & 0xffff;
    return {
      logical: words[MAP + 3 + entry * 3]!,
      block: words[MAP + 5 + entry * 3]! + (raw >>> 16) * 2 ** 32,
      count: length > 32768 ? length - 32768 : length,
    };
  });
}

/** Whether an inode claims a wanted block, or nobody can say so by the slot alone. */
function mustShow(words: Uint32Array, { wanted }: World): boolean {
  if ((words[0]! & 0xffff) === 0 && words[6]! >>> 16 === 0) return false;
  if ((words[0]! & MODE.mask) === MODE.directory) return true;
  const xattr = words[26]! + (words[29]! >>> 16) * 2 ** 32;
  if (xattr !== 0 && touches(wanted, xattr, 1)) return true;
  if ((words[8]! & INODE_FLAGS.extents) === 0) return (words[8]! & INODE_FLAGS.inlineData) === 0;
  const leaf = leafOf(words);
  return leaf === undefined || leaf.some(({ block, count }) => touches(wanted, block, count));
}

function worldOf(random: Prng): World {
  const blocks = random.pick([200, 5000, 3 * 2 ** 20, 2 ** 34]);
  return {
    random,
    blocks,
    statics: [{ block: 0, count: 3 }, ...randomRuns(random, Math.min(blocks, 2 ** 31), 10)],
    wanted: randomRuns(random, Math.min(blocks, 2 ** 31), random.below(20)),
  };
}

function filterOf({ blocks, statics, wanted }: World): SlotFilter {
  const superblock = { blockCount: blocks, firstDataBlock: 0 } as Superblock;
  return new SlotFilter({ superblock }, statics, wanted);
}

test(`next() shows every slot that may claim a wanted block, and passes nearly all others by (SEED=${seed})`, () => {
  const random = createPrng(seed);
  let passed = 0;
  let needless = 0;
  for (let round = 0; round < 300; round += 1) {
    const world = worldOf(random);
    const slots = Array.from({ length: 32 }, () => randomSlot(world));
    const words = new Uint32Array(slots.flatMap((slot) => [...slot]));
    const shown = new Set<number>();
    const filter = filterOf(world);
    const end = words.length;
    for (
      let at = filter.next(words, { at: 0, end, stride: STRIDE });
      at < end;
      at = filter.next(words, { at: at + STRIDE, end, stride: STRIDE })
    )
      shown.add(at / STRIDE);
    for (const [index, slot] of slots.entries()) {
      const must = mustShow(slot, world);
      if (must) expect(shown.has(index), `round ${round} slot ${index}`).toBe(true);
      else if (shown.has(index)) needless += 1;
      else passed += 1;
    }
  }
  expect(passed).toBeGreaterThan(1000);
  expect(needless).toBeLessThan(passed);
});

test(`isPlainDirectory() is true only where the walk finds nothing wrong and nothing wanted (SEED=${seed})`, () => {
  const random = createPrng(seed);
  let plain = 0;
  for (let round = 0; round < 20_000; round += 1) {
    const world = worldOf(random);
    const words = randomSlot(world);
    words[0] = MODE.directory | 0o755;
    if (!filterOf(world).isPlainDirectory(words, 0)) continue;
    plain += 1;
    const leaf = leafOf(words);
    const why = whyNodeWrong(
      { words, at: MAP, capacity: 15 },
      {
        depth: -1,
        start: 0,
        end: 2 ** 32,
        mayOwn: (block, count) =>
          block > 0 && block + count <= world.blocks && !touches(world.statics, block, count),
      },
    );
    expect(why).toBeUndefined();
    expect(leaf?.some(({ block, count }) => touches(world.wanted, block, count))).toBe(false);
    expect(words[6]! >>> 16).toBeGreaterThan(0);
    expect(words[8]! & INODE_FLAGS.inlineData).toBe(0);
    for (let entry = 0; entry < words[MAP]! >>> 16; entry += 1)
      expect(words[MAP + 4 + entry * 3]).toBeLessThanOrEqual(32768);
  }
  expect(plain).toBeGreaterThan(500);
});
