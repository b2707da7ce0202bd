/**
 * Dirty journals against e2fsck: the same image, replayed by `e2fsck -E journal_only`, must have the blocks that our overlay serves.
 *
 * Journals are made twice: by debugfs, block by block (every checksum version, revokes, escapes), which needs no rights; and by Linux itself, which is shut
 * down under load, which needs root and loop devices.
 */
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { createPrng, type Prng } from "../../src/base/index.ts";
import { openExt4Volume } from "../../src/fs/ext4/open-volume.ts";
import type { Ext4Volume } from "../../src/fs/ext4/volume.ts";
import { fileSource, hasProgram, load, run, Scratch } from "../fs/ext4/scratch.ts";

const seed = Number(process.env["SEED"] ?? 2);
const scratch = new Scratch();
afterAll(() => scratch.dispose());

/** The volume as e2fsck leaves it after replaying the journal, and nothing else. */
function replayed(path: string): {
  readonly bytes: Uint8Array;
  readonly corrupt: boolean;
  readonly checksumError: boolean;
} {
  const copy = scratch.path("replayed.img");
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

async function expectAsReplayed(path: string): Promise<Ext4Volume> {
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

/** A journal of a few transactions, made by debugfs over free blocks. */
function dirtyByDebugfs(path: string, version: number, prng: Prng): void {
  const blockSize = Number(/Block size:\s+(\d+)/.exec(run("dumpe2fs", ["-h", path]))?.[1]);
  const script = [version === 0 ? "jo" : `jo -c -v ${version}`];
  const pick = (): number => 5000 + prng.below(40);
  for (let transaction = 0; transaction < 12; transaction += 1) {
    const blocks = [...new Set(Array.from({ length: 1 + prng.below(6) }, pick))];
    const revokes = [...new Set(Array.from({ length: prng.below(4) }, pick))];
    const content = prng.bytes(blocks.length * blockSize);
    // Content that looks like the journal's own blocks must be escaped.
    if (prng.chance(0.5))
      content.set([0xc0, 0x3b, 0x39, 0x98], prng.below(blocks.length) * blockSize);
    const file = scratch.path(`content-${transaction}`);
    writeFileSync(file, content);
    if (revokes.length > 0 && prng.chance(0.5)) script.push(`jw -r ${revokes.join(",")}`);
    const commit = transaction === 11 && prng.chance(0.5) ? "-c " : "";
    script.push(`jw ${commit}-b ${blocks.join(",")} ${file}`);
  }
  script.push("jc");
  writeFileSync(scratch.path("script"), `${script.join("\n")}\n`);
  run("debugfs", ["-w", "-f", scratch.path("script"), path]);
}

describe.skipIf(!hasProgram("debugfs") || !hasProgram("e2fsck"))(
  "ext4 journals made by debugfs",
  () => {
    const layouts: readonly (readonly string[])[] = [
      ["-t", "ext4", "-b", "1024"],
      ["-t", "ext4", "-b", "4096"],
      ["-t", "ext4", "-b", "1024", "-O", "^64bit,^metadata_csum"],
      ["-t", "ext3", "-b", "1024"],
      ["-t", "ext4", "-b", "2048", "-O", "^metadata_csum"],
    ];
    for (const layout of layouts) {
      for (const version of [0, 1, 2, 3]) {
        test(`readBlocks() serves what e2fsck replays: ${layout.join(" ")}, checksum version ${version}`, async () => {
          console.log(`SEED=${seed}`);
          const path = scratch.image("journal.img", 32 * 1024 * 1024, layout);
          dirtyByDebugfs(path, version, createPrng(seed * 100 + version));
          const volume = await expectAsReplayed(path);
          expect(volume.journal.pending).toBe(true);
        });
      }
    }
  },
);

describe.skipIf(!hasProgram("debugfs") || !hasProgram("e2fsck"))("changed ext4 journals", () => {
  test("a journal with a changed byte is replayed as far as e2fsck replays it", async () => {
    console.log(`SEED=${seed}`);
    const prng = createPrng(seed);
    const counts = { corrupt: 0, whole: 0, replaced: 0 };
    for (let round = 0; round < 30; round += 1) {
      const version = prng.pick([0, 1, 3]);
      const path = scratch.image("changed.img", 12 * 1024 * 1024, ["-t", "ext4", "-b", "1024"]);
      dirtyByDebugfs(path, version, prng);
      const bytes = load(path);
      const journal =
        Number(/\(0[-\d]*\):(\d+)/.exec(run("debugfs", ["-R", "stat <8>", path]))?.[1]) * 1024;
      const place = 1 + prng.below(40);
      const at = journal + place * 1024 + (prng.chance(0.5) ? prng.below(64) : prng.below(1024));
      bytes[at] = (bytes[at] as number) ^ (1 << prng.below(8));
      writeFileSync(path, bytes);
      const { bytes: want, corrupt, checksumError } = replayed(path);
      const source = fileSource(path);
      const volume = await openExt4Volume(source);
      const wrong: number[] = [];
      for (let block = 5000; block < 5040; block += 1) {
        const read = await volume.readBlocks(block, 1);
        // A block whose newest content is wrong is bad to us; e2fsck leaves the old one.
        if (
          read?.bad.length === 0 &&
          Buffer.compare(read.bytes, want.subarray(block * 1024, (block + 1) * 1024)) !== 0
        )
          wrong.push(block);
      }
      source.close();
      // Before a descriptor with a wrong checksum e2fsck replays nothing, as Linux; we show the transactions that were whole, and say so.
      const partly = checksumError && volume.journal.status === "unreadable";
      expect({ round, version, wrong: partly ? [] : wrong }).toEqual({ round, version, wrong: [] });
      // e2fsck also complains of content that a later transaction replaces: that hides nothing.
      if (corrupt && volume.journal.status !== "unreadable") counts.replaced += 1;
      counts[corrupt ? "corrupt" : "whole"] += 1;
    }
    expect(counts.corrupt).toBeGreaterThan(5);
    expect(counts.whole).toBeGreaterThan(5);
    expect(counts.replaced).toBeLessThan(counts.corrupt / 2);
  });
});

/** Whether loop mounts work here. */
function canMount(): boolean {
  if (process.getuid?.() !== 0 || !hasProgram("xfs_io") || !hasProgram("mke2fs")) return false;
  const image = scratch.image("probe.img", 8 * 1024 * 1024, ["-t", "ext4"]);
  const point = scratch.path("probe");
  mkdirSync(point);
  if (spawnSync("mount", ["-o", "loop", image, point]).status !== 0) return false;
  return spawnSync("umount", [point]).status === 0;
}

/** Work that fills, overwrites, renames and frees, so that blocks are journalled, revoked and used again. */
function work(directory: string, prng: Prng): void {
  const script = [`set -e`, `cd ${directory}`, "mkdir d0 d1 d2 d3"];
  for (let step = 0; step < 250; step += 1) {
    const file = `d${prng.below(4)}/f${prng.below(60)}`;
    const kind = prng.below(10);
    if (kind < 5) script.push(`head -c ${prng.below(60_000)} /dev/urandom > ${file}`);
    else if (kind === 5) script.push(`rm -f ${file}`);
    else if (kind === 6)
      script.push(`mkdir -p ${file}d && for i in $(seq 60); do echo $i > ${file}d/$i; done`);
    else if (kind === 7) script.push(`rm -rf ${file}d`);
    else if (kind === 8)
      script.push(`printf '\\300\\073\\071\\230 looks like a journal' > ${file}`);
    else script.push(prng.chance(0.3) ? `sync -f .` : `ln -f ${file} ${file}l 2>/dev/null || true`);
  }
  run("bash", ["-c", script.join("\n")]);
}

/** Makes an image whose journal Linux left dirty. */
function dirtyByLinux(args: readonly string[], options: string, prng: Prng): string {
  const path = scratch.image(`linux-${prng.seed}.img`, 48 * 1024 * 1024, args);
  const point = scratch.path("mounted");
  mkdirSync(point, { recursive: true });
  run("mount", ["-o", `loop,${options}`, path, point]);
  try {
    work(point, prng);
    run("xfs_io", ["-x", "-c", `shutdown ${prng.chance(0.7) ? "-f" : ""}`, point]);
  } finally {
    run("umount", [point]);
  }
  return join(path);
}

describe.skipIf(!canMount())("ext4 journals left by Linux", () => {
  const cases: readonly { readonly args: readonly string[]; readonly options: string }[] = [
    { args: ["-t", "ext4", "-b", "4096"], options: "commit=60" },
    { args: ["-t", "ext4", "-b", "1024"], options: "commit=60" },
    { args: ["-t", "ext4", "-b", "1024", "-O", "^metadata_csum"], options: "commit=60" },
    {
      args: ["-t", "ext4", "-b", "1024", "-O", "^metadata_csum"],
      options: "commit=60,journal_checksum",
    },
    {
      args: ["-t", "ext4", "-b", "1024", "-O", "^metadata_csum"],
      options: "commit=60,journal_async_commit,data=writeback",
    },
    { args: ["-t", "ext4", "-b", "1024", "-J", "size=16"], options: "commit=60,data=journal" },
    {
      args: ["-t", "ext4", "-b", "2048", "-O", "^64bit", "-J", "size=16"],
      options: "commit=60,data=journal",
    },
    { args: ["-t", "ext3", "-b", "1024"], options: "commit=60" },
    { args: ["-t", "ext4", "-b", "1024", "-O", "bigalloc", "-C", "16384"], options: "commit=60" },
    {
      args: ["-t", "ext4", "-b", "4096", "-O", "inline_data,orphan_file,metadata_csum_seed"],
      options: "commit=60",
    },
  ];
  const statuses = new Set<string>();
  for (const [index, { args, options }] of cases.entries()) {
    test(`readBlocks() serves what e2fsck replays: ${args.join(" ")}, mounted with ${options}`, async () => {
      console.log(`SEED=${seed}`);
      const path = dirtyByLinux(args, options, createPrng(seed * 100 + index));
      const volume = await expectAsReplayed(path);
      expect(["replayed", "none"]).toContain(volume.journal.status);
      statuses.add(volume.journal.status);
    });
  }

  test("Linux left a journal to replay", () => {
    expect(statuses).toContain("replayed");
  });
});
