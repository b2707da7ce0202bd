/** ext4 volumes against dumpe2fs: every group's structures and every free block and inode, over random mke2fs options. */
import { afterAll, describe, expect, test } from "vitest";
import { createPrng, type Prng } from "../../src/base/index.ts";
import { openExt4Volume } from "../../src/fs/ext4/open-volume.ts";
import type { Ext4Volume, StaticRun } from "../../src/fs/ext4/volume.ts";
import { dumpe2fs, type DumpedGroup, type Span } from "../fs/ext4/dumpe2fs.ts";
import { fileSource, hasProgram, run, Scratch } from "../fs/ext4/scratch.ts";

const seed = Number(process.env["SEED"] ?? 20_211_019);
const scratch = new Scratch();
afterAll(() => scratch.dispose());

function spansOf(runs: readonly { readonly block: number; readonly count: number }[]): Span[] {
  return runs.map(({ block, count }) => [block, block + count - 1]);
}

/** Static uses as dumpe2fs tells them, as text, sorted. */
function dumpedUses(groups: readonly DumpedGroup[]): string[] {
  const lines: string[] = [];
  for (const group of groups) {
    const { superblock, descriptors, reserved } = group;
    if (superblock !== undefined)
      lines.push(
        `${superblock.backup ? "superblock-backup" : "superblock"} ${superblock.block}-${superblock.block}`,
      );
    if (descriptors !== undefined) lines.push(`descriptors ${descriptors.join("-")}`);
    if (reserved !== undefined) lines.push(`reserved-descriptors ${reserved.join("-")}`);
    lines.push(
      `block-bitmap ${group.blockBitmap}-${group.blockBitmap}`,
      `inode-bitmap ${group.inodeBitmap}-${group.inodeBitmap}`,
    );
    lines.push(`inode-table ${group.inodeTable.join("-")}`);
  }
  return lines.sort();
}

function ourUses(volume: Ext4Volume): string[] {
  const runs: StaticRun[] = [...volume.staticUses(0, volume.superblock.blockCount)];
  return runs
    .filter(({ use }) => use !== "boot-block" && use !== "mmp")
    .map(
      ({ use, block, count }) =>
        `${use.startsWith("group-descriptors") ? "descriptors" : use} ${block}-${block + count - 1}`,
    )
    .sort();
}

async function freeInodes(volume: Ext4Volume): Promise<Span[]> {
  const spans: [number, number][] = [];
  for (let inode = 1; inode <= volume.superblock.inodeCount; inode += 1) {
    const used = await volume.inodeAllocated(inode);
    expect(used, `inode ${inode}`).toBeDefined();
    if (used === true) continue;
    const last = spans.at(-1);
    if (last !== undefined && last[1] === inode - 1) last[1] = inode;
    else spans.push([inode, inode]);
  }
  return spans;
}

/** Joins spans that touch: dumpe2fs prints them a group at a time. */
function joined(spans: readonly Span[]): Span[] {
  const out: [number, number][] = [];
  for (const [first, last] of spans) {
    const before = out.at(-1);
    if (before !== undefined && before[1] === first - 1) before[1] = last;
    else out.push([first, last]);
  }
  return out;
}

async function compare(path: string): Promise<void> {
  const dump = dumpe2fs(path);
  const source = fileSource(path);
  try {
    const volume = await openExt4Volume(source);
    expect(volume.problems).toEqual([]);
    expect(ourUses(volume)).toEqual(dumpedUses(dump.groups));
    expect(volume.groups.map(({ group }) => group)).toEqual(dump.groups.map(({ group }) => group));
    const blocks = dump.groups.map(({ group }) => volume.groupBlocks(group));
    expect(spansOf(blocks)).toEqual(dump.groups.map((group) => group.blocks));
    const allocated = await volume.allocated(0, volume.superblock.blockCount);
    expect(allocated.every(({ known }) => known)).toBe(true);
    // dumpe2fs names clusters by their first blocks
    const { blockCount, clusterSize, blockSize } = volume.superblock;
    const rest = clusterSize / blockSize - 1;
    const free = dump.groups
      .flatMap((group) => group.freeBlocks)
      .map(([first, last]): Span => [first, Math.min(last + rest, blockCount - 1)]);
    expect(joined(spansOf(allocated.filter(({ used }) => !used)))).toEqual(joined(free));
    expect(await freeInodes(volume)).toEqual(
      joined(dump.groups.flatMap((group) => group.freeInodes)),
    );
  } finally {
    source.close();
  }
}

/** Features that exclude each other. @returns whether clusters are on */
function layout(prng: Prng, features: string[]): boolean {
  const bigalloc = prng.chance(0.25);
  if (bigalloc) features.push("bigalloc", "extent");
  const metaGroups = !bigalloc && prng.chance(0.3);
  if (metaGroups) features.push("meta_bg", "^resize_inode");
  else if (prng.chance(0.3)) features.push("^resize_inode");
  return bigalloc;
}

/** Random options that mke2fs takes together. */
function options(prng: Prng): { readonly size: number; readonly args: string[] } {
  const blockSize = prng.pick([1024, 1024, 2048, 4096]);
  const size =
    (8 + prng.below(248)) * 1024 * 1024 + (prng.chance(0.3) ? prng.below(1024) * 1024 : 0);
  const features: string[] = [];
  const toggle = (name: string, chance: number): boolean => {
    const on = prng.chance(chance);
    features.push(on ? name : `^${name}`);
    return on;
  };
  const args = ["-b", String(blockSize)];
  const bigalloc = layout(prng, features);
  toggle("flex_bg", 0.6);
  toggle("64bit", 0.6);
  if (!toggle("metadata_csum", 0.6)) toggle("uninit_bg", 0.6);
  toggle("sparse_super", 0.8);
  if (prng.chance(0.25)) features.push("sparse_super2", "^resize_inode");
  toggle("has_journal", 0.6);
  if (prng.chance(0.2)) features.push("mmp");
  if (prng.chance(0.2)) features.push("quota");
  args.push("-O", features.join(","), "-I", String(prng.pick([128, 256, 256, 512])));
  if (bigalloc) args.push("-C", String(blockSize * prng.pick([2, 4, 16])));
  else if (prng.chance(0.5))
    args.push("-g", String(prng.pick([256, 512, 1024, 2048]) * (prng.chance(0.5) ? 1 : 3)));
  if (prng.chance(0.3)) args.push("-G", String(prng.pick([2, 4, 8, 64])));
  if (prng.chance(0.5)) args.push("-N", String(prng.pick([64, 1000, 5000])));
  if (prng.chance(0.3)) args.push("-E", `lazy_itable_init=0,packed_meta_blocks=${prng.below(2)}`);
  return { size, args };
}

describe.skipIf(!hasProgram("mke2fs") || !hasProgram("dumpe2fs"))(
  "ext4 volume and dumpe2fs",
  () => {
    test("staticUses(), allocated() and inodeAllocated() agree with dumpe2fs on random volumes", async () => {
      console.log(`SEED=${seed}`);
      const prng = createPrng(seed);
      let made = 0;
      for (let round = 0; round < 300 && made < 60; round += 1) {
        const { size, args } = options(prng);
        let path: string;
        try {
          path = scratch.image("random.img", size, args);
        } catch {
          continue; // mke2fs refuses some mixes
        }
        made += 1;
        await compare(path).catch((error: unknown) => {
          throw new Error(`mke2fs ${args.join(" ")}, ${size} bytes: ${String(error)}`, {
            cause: error,
          });
        });
      }
      expect(made).toBe(60);
    }, 60_000);

    const corners: readonly (readonly [size: number, args: readonly string[], resize?: string])[] =
      [
        [64, ["-t", "ext4", "-b", "65536"]],
        [64, ["-t", "ext4", "-b", "16384", "-O", "^metadata_csum"]],
        [64, ["-t", "ext4", "-b", "1024", "-O", "bigalloc,^has_journal", "-C", "2048"]],
        [200, ["-t", "ext4", "-b", "1024", "-O", "bigalloc,meta_bg,^resize_inode", "-C", "4096"]],
        [40, ["-t", "ext2", "-b", "1024", "-r", "0", "-O", "none"]],
        [40, ["-t", "ext2", "-b", "1024", "-O", "^sparse_super,^resize_inode"]],
        [
          40,
          [
            "-t",
            "ext4",
            "-b",
            "1024",
            "-O",
            "sparse_super2,^resize_inode",
            "-E",
            "num_backup_sb=0",
          ],
        ],
        [
          40,
          [
            "-t",
            "ext4",
            "-b",
            "1024",
            "-O",
            "sparse_super2,^resize_inode",
            "-E",
            "num_backup_sb=1",
          ],
        ],
        [200, ["-t", "ext4", "-b", "1024", "-g", "256", "-G", "512"]],
        [
          40,
          [
            "-t",
            "ext4",
            "-b",
            "1024",
            "-O",
            "quota,project,mmp,casefold,encrypt,verity,orphan_file,ea_inode,large_dir,stable_inodes",
          ],
        ],
        [40, ["-t", "ext4", "-b", "1024"], "150M"],
        [150, ["-t", "ext4", "-b", "1024"], "40M"],
        [40, ["-t", "ext4", "-b", "1024", "-O", "meta_bg,^resize_inode"], "180M"],
        [40, ["-t", "ext4", "-b", "1024", "-g", "512", "-E", "resize=80000"], "250M"],
        [
          8,
          ["-t", "ext4", "-b", "1024", "-O", "^64bit,^metadata_csum", "-E", "resize=10000"],
          "300M",
        ],
      ];
    for (const [size, args, resize] of corners) {
      test(`the same in a corner: ${args.join(" ")}${resize === undefined ? "" : `, resized to ${resize}`}`, async () => {
        const path = scratch.image("corner.img", size * 1024 * 1024, args);
        if (resize !== undefined) {
          run("e2fsck", ["-fy", path], 1);
          run("resize2fs", [path, resize]);
        }
        await expect(compare(path)).resolves.toBeUndefined();
      });
    }
  },
);
