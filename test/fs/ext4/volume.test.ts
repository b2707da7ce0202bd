/** openExt4Volume(): descriptors, bitmaps and layout under poison, cut-off, overlap and mutation. */
import { writeFileSync } from "node:fs";
import { afterAll, describe, expect, test } from "vitest";
import { createPrng, type BadRange } from "../../../src/base/index.ts";
import { openExt4Volume } from "../../../src/fs/ext4/open-volume.ts";
import type { Ext4Volume } from "../../../src/fs/ext4/volume.ts";
import { hasProgram, later, load, memorySource, poisoned, run, Scratch } from "./scratch.ts";

const scratch = new Scratch();
afterAll(() => scratch.dispose());
const seed = Number(process.env["SEED"] ?? 5);
const MIB = 1024 * 1024;

function image(args: readonly string[], size = 40 * MIB): Uint8Array {
  return load(scratch.image("volume.img", size, args));
}

async function open(bytes: Uint8Array, bad: readonly BadRange[] = []): Promise<Ext4Volume> {
  return openExt4Volume(memorySource(bytes, bad));
}

function placesOf(volume: Ext4Volume): unknown[] {
  return volume.groups.map(({ group, blockBitmap, inodeBitmap, inodeTable }) => ({
    group,
    blockBitmap,
    inodeBitmap,
    inodeTable,
  }));
}

function rangesOf(volume: Ext4Volume, use: string): BadRange[] {
  const { blockSize, blockCount } = volume.superblock;
  const runs = [...volume.staticUses(0, blockCount)].filter((found) => found.use === use);
  return runs.map(({ block, count }) => poisoned(block * blockSize, count * blockSize));
}

/** Whether runs are ascending, apart, and inside the volume. */
function wellFormed(volume: Ext4Volume): boolean {
  let end = 0;
  for (const { block, count } of volume.staticUses(0, volume.superblock.blockCount)) {
    if (block < end || count < 1) return false;
    end = block + count;
  }
  return end <= volume.superblock.blockCount;
}

const LAYOUTS: readonly (readonly string[])[] = [
  ["-t", "ext4", "-b", "1024"],
  ["-t", "ext4", "-b", "1024", "-O", "^metadata_csum,uninit_bg"],
  ["-t", "ext3", "-b", "1024"],
  ["-t", "ext4", "-b", "1024", "-O", "meta_bg,^resize_inode", "-g", "512"],
  ["-t", "ext4", "-b", "2048", "-O", "^flex_bg", "-g", "2048"],
  ["-t", "ext4", "-b", "1024", "-O", "sparse_super2,^resize_inode"],
];

describe.skipIf(!hasProgram("mke2fs"))("openExt4Volume", () => {
  for (const layout of LAYOUTS) {
    test(`R1: poisoned or wrong descriptors are read from backups: ${layout.join(" ")}`, async () => {
      const bytes = image(layout);
      const whole = await open(bytes);
      const bad = rangesOf(whole, "group-descriptors");
      const poisonedVolume = await open(bytes, bad);
      expect(placesOf(poisonedVolume)).toEqual(placesOf(whole));
      expect(poisonedVolume.groups.every(({ source }) => source === "backup")).toBe(true);
      expect(poisonedVolume.problems.length).toBeGreaterThan(0);
      const zeroed = bytes.slice();
      for (const { offset, length } of bad) zeroed.fill(0, offset, offset + length);
      expect(placesOf(await open(zeroed))).toEqual(placesOf(whole));
      const all = [...bad, ...rangesOf(whole, "group-descriptors-backup")].sort(
        (one, other) => one.offset - other.offset,
      );
      const lost = await open(bytes, all);
      expect(lost.groups.every(({ source }) => source === "unknown")).toBe(true);
      const uses = new Set(
        Array.from(lost.staticUses(0, lost.superblock.blockCount), ({ use }) => use),
      );
      expect(uses.has("inode-table")).toBe(false);
      const allocated = await lost.allocated(1, lost.superblock.blockCount - 1);
      expect(allocated.every(({ known }) => !known)).toBe(true);
      expect(await lost.inodeAllocated(11)).toBeUndefined();
    });

    test(`readBlocks() and allocated() say the same of a source that answers later: ${layout.join(" ")}`, async () => {
      const bytes = image(layout);
      const now = await open(bytes);
      const then = await openExt4Volume(later(memorySource(bytes)));
      expect(await then.allocated(0, 40_000)).toEqual(await now.allocated(0, 40_000));
      expect(await then.readBlocks(0, 3)).toEqual(await now.readBlocks(0, 3));
    });
  }

  test("R1: one poisoned descriptor leaves its neighbours in the block to the primary", async () => {
    const bytes = image(["-t", "ext4", "-b", "1024"]);
    const volume = await open(bytes, [poisoned(2 * 1024 + 64, 64)]);
    expect(volume.groups.map(({ source }) => source)).toEqual([
      "primary",
      "backup",
      "primary",
      "primary",
      "primary",
    ]);
  });

  test("R1: a bitmap that is poisoned or has a wrong checksum is unknown, and the others are not", async () => {
    const bytes = image(["-t", "ext4", "-b", "1024"]);
    const whole = await open(bytes);
    const bitmap = whole.groups[0]?.blockBitmap ?? 0;
    const inodes = whole.groups[0]?.inodeBitmap ?? 0;
    const wrong = bytes.slice();
    wrong[bitmap * 1024 + 1000]! ^= 1;
    wrong[inodes * 1024 + 100]! ^= 1;
    const hurt = [
      await open(bytes, [poisoned(bitmap * 1024 + 1023, 1), poisoned(inodes * 1024, 1)]),
      await open(wrong),
    ];
    for (const volume of hurt) {
      const runs = await volume.allocated(0, volume.superblock.blockCount);
      expect(runs[1]).toEqual({ block: 1, count: 8192, used: true, known: false });
      expect(runs.slice(2).every(({ known }) => known)).toBe(true);
      expect(await volume.inodeAllocated(1)).toBeUndefined();
      expect(await volume.inodeAllocated(volume.superblock.inodesPerGroup + 1)).toBe(false);
      expect(volume.problems).toHaveLength(2);
    }
  });

  test("R1: poison past the bits of an inode bitmap hides nothing", async () => {
    const bytes = image(["-t", "ext4", "-b", "4096", "-N", "64"]);
    const inodes = (await open(bytes)).groups[0]?.inodeBitmap ?? 0;
    const volume = await open(bytes, [poisoned(inodes * 4096 + 2048, 2048)]);
    expect(await volume.inodeAllocated(2)).toBe(true);
  });

  test("groups whose structures claim each other's blocks become unknown", async () => {
    const bytes = image(["-t", "ext4", "-b", "1024", "-O", "^metadata_csum,^uninit_bg,^64bit"]);
    const view = new DataView(bytes.buffer);
    // The inode table of group 1 moves onto that of group 0.
    view.setUint32(2048 + 32 + 8, view.getUint32(2048 + 8, true), true);
    const volume = await open(bytes);
    expect(volume.groups.map(({ source }) => source)).toEqual([
      "unknown",
      "unknown",
      "primary",
      "primary",
      "primary",
    ]);
    expect(wellFormed(volume)).toBe(true);
    expect(volume.problems.some(({ message }) => /claim blocks of each other/.test(message))).toBe(
      true,
    );
  });

  test("the MMP block has a static use, and not where it cannot be", async () => {
    const bytes = image(["-t", "ext4", "-b", "1024", "-O", "mmp,^metadata_csum"]);
    const volume = await open(bytes);
    expect([...volume.staticUses(volume.superblock.mmpBlock, 1)]).toMatchObject([
      { use: "mmp", count: 1 },
    ]);
    new DataView(bytes.buffer).setUint32(1024 + 0x168, volume.groups[0]?.inodeTable ?? 0, true);
    const hostile = await open(bytes);
    expect(wellFormed(hostile)).toBe(true);
    expect(hostile.groups.every(({ source }) => source === "primary")).toBe(true);
  });

  test("a volume that was cut off is read as far as it goes, and says so", async () => {
    const bytes = image(["-t", "ext4", "-b", "1024"]).slice(0, 20 * MIB + 100);
    const volume = await open(bytes);
    expect(volume.problems.some(({ message }) => /cut off/.test(message))).toBe(true);
    expect(await volume.readBlocks(20 * 1024 + 1, 1)).toMatchObject({
      bad: [{ offset: 0, length: 1024, state: "unread" }],
    });
    expect(await volume.readBlocks(20 * 1024, 1)).toMatchObject({
      bad: [{ offset: 100, length: 924, state: "unread" }],
    });
    expect(await volume.readBlocks(40 * 1024, 1)).toBeUndefined();
    expect(await volume.readBlocks(-1, 1)).toBeUndefined();
  });

  test("a small image that claims a huge volume is bounded by its own size", async () => {
    const bytes = image(["-t", "ext4", "-b", "4096", "-O", "^metadata_csum,^has_journal"], 8 * MIB);
    const view = new DataView(bytes.buffer);
    const groups = 2 ** 24;
    view.setUint32(1024 + 0x28, 8, true);
    view.setUint32(1024 + 0x00, groups * 8, true);
    view.setUint32(1024 + 0x04, (groups * 32768) % 2 ** 32, true);
    view.setUint32(1024 + 0x150, Math.floor((groups * 32768) / 2 ** 32), true);
    const volume = await open(bytes);
    expect(volume.superblock.groupCount).toBe(groups);
    expect(volume.groups.length).toBeLessThan(5000);
    expect(wellFormed(volume)).toBe(true);
  });

  test("the journal's map comes from the superblock's copy where its inode is poisoned, and a dirty one without any is unreadable", async () => {
    const path = scratch.image("dirty.img", 40 * MIB, ["-t", "ext4", "-b", "1024"]);
    writeFileSync(scratch.path("content"), new Uint8Array(1024).fill(7));
    writeFileSync(
      scratch.path("script"),
      `jo -c -v 3
jw -b 30000 ${scratch.path("content")}
jc
`,
    );
    run("debugfs", ["-w", "-f", scratch.path("script"), path]);
    const bytes = load(path);
    const whole = await open(bytes);
    expect(whole.journal).toMatchObject({ status: "replayed", pending: true });
    const inode = poisoned((whole.groups[0]?.inodeTable ?? 0) * 1024 + 7 * 256, 256);
    const byCopy = await open(bytes, [inode]);
    expect(byCopy.journal).toMatchObject({ status: "replayed", pending: true });
    expect((await byCopy.readBlocks(30_000, 1))?.bytes).toEqual(
      (await whole.readBlocks(30_000, 1))?.bytes,
    );
    // The backup superblock has no word on whether the journal is dirty: the journal itself says.
    const byBackup = await open(bytes, [poisoned(1024, 1024)]);
    expect(byBackup.journal).toMatchObject({ status: "replayed", pending: true });
    const noCopy = bytes.slice();
    noCopy.fill(0, 1024 + 0xfd, 1024 + 0xfe);
    expect(
      (
        await open(
          noCopy,
          [inode, poisoned(1024, 64)].sort((one, other) => one.offset - other.offset),
        )
      ).journal.pending,
    ).toBe(true);
  });

  test("a clean journal and none at all are told as such, and an external one by its UUID", async () => {
    expect((await open(image(["-t", "ext4"]))).journal).toMatchObject({
      status: "none",
      pending: false,
      sequence: 1,
    });
    expect((await open(image(["-t", "ext2"]))).journal).toMatchObject({
      status: "none",
      pending: false,
      sequence: 0,
    });
    const bytes = image(["-t", "ext2", "-b", "1024"]);
    const view = new DataView(bytes.buffer);
    view.setUint32(1024 + 0x5c, view.getUint32(1024 + 0x5c, true) | 4, true);
    view.setUint32(1024 + 0x60, view.getUint32(1024 + 0x60, true) | 4, true);
    bytes.fill(0x11, 1024 + 0xd0, 1024 + 0xe0);
    const { journal } = await open(bytes);
    expect(journal).toMatchObject({ status: "external", pending: true });
    expect(journal.message).toContain("11111111-1111-1111-1111-111111111111");
  });

  test("unknown incompatible features are named", async () => {
    const bytes = image(["-t", "ext4", "-O", "^metadata_csum"]);
    bytes[1024 + 0x63] = 0x40;
    const volume = await open(bytes);
    expect(volume.unknownFeatures).toEqual(["FEATURE_I30"]);
    expect(volume.problems.at(-1)?.message).toContain("FEATURE_I30");
  });

  test("mutated metadata never crashes or hangs, and static uses stay in order", async () => {
    console.log(`SEED=${seed}`);
    const prng = createPrng(seed);
    const originals = [
      image(["-t", "ext4", "-b", "1024"], 12 * MIB),
      image(["-t", "ext3", "-b", "1024", "-O", "mmp"], 12 * MIB),
    ];
    let opened = 0;
    for (let round = 0; round < 400; round += 1) {
      const bytes = prng.pick(originals);
      const changes: (readonly [number, number])[] = [];
      for (let count = 1 + prng.below(12); count > 0; count -= 1) {
        const at = prng.chance(0.5) ? 1024 + prng.below(1024) : prng.below(400 * 1024);
        changes.push([at, bytes[at] as number]);
        bytes[at] = prng.below(256);
      }
      try {
        const volume = await open(bytes);
        expect(wellFormed(volume)).toBe(true);
        await volume.allocated(
          0,
          volume.superblock.blockCount > 1e6 ? 1e6 : volume.superblock.blockCount,
        );
        await volume.inodeAllocated(prng.below(5000));
        opened += 1;
      } catch (error) {
        if ((error as { code?: string }).code !== "EBADMSG") throw error;
      }
      for (const [at, value] of changes.reverse()) bytes[at] = value;
    }
    expect(opened).toBeGreaterThan(100);
  });
});
