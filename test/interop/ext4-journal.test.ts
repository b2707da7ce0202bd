/**
 * Dirty journals against e2fsck: the same image, replayed by `e2fsck -E journal_only`, must have the blocks that our overlay serves.
 *
 * The journals are made by debugfs, block by block: every checksum version, revokes, escapes. Those that Linux leaves are in test/kernel/.
 */
import { writeFileSync } from "node:fs";
import { afterAll, describe, expect, test } from "vitest";
import { createPrng, type Prng } from "../../src/base/index.ts";
import { openExt4Volume } from "../../src/fs/ext4/open-volume.ts";
import { fileSource, hasProgram, load, run, Scratch } from "../fs/ext4/scratch.ts";
import { expectAsReplayed, replayed } from "./support/replayed-journal.ts";

const seed = Number(process.env["SEED"] ?? 2);
const scratch = new Scratch();
afterAll(() => scratch.dispose());

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
      // A tag that names a block outside the volume stops e2fsck where it stands; we leave that one write out, and say so too.
      const { status, message } = volume.journal;
      const partly =
        status === "unreadable" && (checksumError || message.includes("outside the volume"));
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
