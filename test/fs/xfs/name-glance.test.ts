/** NameGlance: what it passes by, beside the names that a block or an inode holds when it is read in full. */
import { expect, test } from "vitest";
import { createPrng, type Prng } from "../../../src/base/index.ts";
import { BlockReader } from "../../../src/fs/block-reader.ts";
import { Problems } from "../../../src/fs/problems.ts";
import { wordsOf } from "../../../src/fs/words.ts";
import { namesOfBlock, shortNames } from "../../../src/fs/xfs/directory.ts";
import { InodeBits } from "../../../src/fs/xfs/inode-bits.ts";
import { decodeInode } from "../../../src/fs/xfs/inode.ts";
import { NameGlance } from "../../../src/fs/xfs/name-glance.ts";
import { XfsVolume } from "../../../src/fs/xfs/volume.ts";
import { memorySource } from "../ext4/scratch.ts";
import { superblockOf } from "./support/plain-superblock.ts";

const seed = Number(process.env["SEED"] ?? Date.now() % 2 ** 31);
const SIZE = 4096;
const superblock = superblockOf({ version: 4, agBlocks: 5000, agCount: 4 });
const reader = new BlockReader(memorySource(new Uint8Array(0)), SIZE);
const volume = new XfsVolume({ superblock, certain: true, reader, problems: new Problems() });

/** Numbers that need more than 32 bits, few enough to meet again. */
const LARGE = [2 ** 32 + 7, 2 ** 35 + 1000, 2 ** 40 + 2 ** 33 + 5, 3 * 2 ** 36 + 77];

const numberOf = (random: Prng): number =>
  random.chance(0.1) ? random.pick(LARGE) : random.below(3000);

/** A block of names of version 4, which has no checksum in the way; now and then with a wrong byte. */
function randomBlock(random: Prng): Uint8Array {
  const bytes = new Uint8Array(SIZE);
  const view = new DataView(bytes.buffer);
  const single = random.chance(0.5);
  view.setUint32(0, single ? 0x58443242 : 0x58443244);
  const leaves = single ? random.below(100) : 0;
  const end = single ? SIZE - 8 - leaves * 8 : SIZE;
  if (single) view.setUint32(SIZE - 8, leaves);
  for (let at = 16; at < end;) {
    const length = 1 + random.below(40);
    const size = Math.ceil((12 + length) / 8) * 8;
    if (at + size > end || random.chance(0.1)) {
      const gap = Math.min(end - at, 8 * (1 + random.below(20)));
      view.setUint32(at, 0xffff_0000 + gap);
      at += gap;
      continue;
    }
    view.setBigUint64(at, BigInt(numberOf(random)));
    bytes[at + 8] = length;
    bytes.fill(random.pick([0x2e, 0x61]), at + 9, at + 9 + length);
    at += size;
  }
  if (random.chance(0.2)) bytes[random.below(SIZE)] = random.below(256);
  return bytes;
}

/** The slot of a directory of version 4 that holds its names itself. */
function randomInside(random: Prng): Uint8Array {
  const slot = new Uint8Array(512);
  slot.set([0x49, 0x4e, 0x41, 0xed, 2, 1]);
  const view = new DataView(slot.buffer);
  const wide = random.chance(0.3);
  slot[101] = wide ? 1 : 0;
  let at = wide ? 110 : 106;
  for (; slot[100]! < 20; slot[100]! += 1) {
    const length = 1 + random.below(30);
    if (at + length + 12 > 512) break;
    slot[at] = length;
    slot.fill(0x61, at + 3, at + 3 + length);
    const place = at + 4 + length;
    const number = wide ? numberOf(random) : random.below(3000);
    if (wide) view.setBigUint64(place, BigInt(number));
    else view.setUint32(place, number);
    at = place + (wide ? 8 : 4);
  }
  if (random.chance(0.2)) slot[100 + random.below(412)] = random.below(256);
  return slot;
}

function rounds(
  look: (random: Prng, wanted: ReadonlySet<number>, glance: NameGlance) => void,
): void {
  console.log(`SEED=${seed}`);
  const random = createPrng(seed);
  for (let round = 0; round < 2000; round += 1) {
    const bits = new InodeBits();
    const wanted = new Set(Array.from({ length: random.below(60) }, () => numberOf(random)));
    for (const inode of wanted) bits.add(inode);
    look(random, wanted, new NameGlance(superblock, bits));
  }
}

test("isNothing() passes over no block that holds a wanted name, or is wrong", () => {
  let passed = 0;
  rounds((random, wanted, glance) => {
    const bytes = randomBlock(random);
    if (!glance.isNothing(wordsOf(bytes), 0, SIZE)) return;
    passed += 1;
    const place = { bytes, block: 1, directory: 1 };
    const why = namesOfBlock(volume, place, ({ inode }) => wanted.has(inode));
    expect(why).toBeUndefined();
  });
  expect(passed).toBeGreaterThan(50);
});

test("isNothingInside() passes over no inode that holds a wanted name, or is wrong", () => {
  let passed = 0;
  rounds((random, wanted, glance) => {
    const slot = randomInside(random);
    if (!glance.isNothingInside(slot, 100, 512)) return;
    passed += 1;
    const directory = decodeInode(volume, 1, slot)!;
    const found: number[] = [];
    const why = shortNames(volume, directory, ({ inode }) => void found.push(inode));
    expect(why).toBeUndefined();
    expect(found.filter((inode) => wanted.has(inode))).toEqual([]);
  });
  expect(passed).toBeGreaterThan(50);
});

test("isNothing() shows a block whose last name goes past its end", () => {
  const bytes = new Uint8Array(SIZE);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, 0x58443244);
  view.setUint32(16, 0xffff_0000 + SIZE - 16 - 16);
  view.setBigUint64(SIZE - 16, 5n);
  const glance = new NameGlance(superblock, new InodeBits());
  bytes[SIZE - 8] = 4;
  expect(glance.isNothing(wordsOf(bytes), 0, SIZE)).toBe(true);
  bytes[SIZE - 8] = 40;
  expect(glance.isNothing(wordsOf(bytes), 0, SIZE)).toBe(false);
});
