/** A dirty journal on a whole volume, under poison and mutation. journal-scan.test.ts has the log alone. */
import { writeFileSync } from "node:fs";
import { afterAll, describe, expect, test } from "vitest";
import { createPrng, type BadRange, type Prng } from "../../../src/base/index.ts";
import { openExt4Volume } from "../../../src/fs/ext4/open-volume.ts";
import type { Ext4Volume } from "../../../src/fs/ext4/volume.ts";
import { hasProgram, load, memorySource, poisoned, run, Scratch } from "./scratch.ts";

const scratch = new Scratch();
afterAll(() => scratch.dispose());
const seed = Number(process.env["SEED"] ?? 13);
const BLOCK = 1024;
const TARGETS = Array.from({ length: 30 }, (_, index) => 5000 + index);

/** An image with a dirty journal of eight transactions, made by debugfs. */
function dirtyImage(version: number, prng: Prng): Uint8Array {
  const path = scratch.image("dirty.img", 12 * 1024 * 1024, ["-t", "ext4", "-b", String(BLOCK)]);
  const script = [`jo -c -v ${version}`];
  for (let transaction = 0; transaction < 8; transaction += 1) {
    const blocks = [...new Set([prng.pick(TARGETS), prng.pick(TARGETS), prng.pick(TARGETS)])];
    writeFileSync(scratch.path(`content-${transaction}`), prng.bytes(blocks.length * BLOCK));
    script.push(`jw -b ${blocks.join(",")} ${scratch.path(`content-${transaction}`)}`);
    if (transaction % 3 === 2) script.push(`jw -r ${prng.pick(TARGETS)}`);
  }
  writeFileSync(scratch.path("script"), `${script.join("\n")}\njc\n`);
  run("debugfs", ["-w", "-f", scratch.path("script"), path]);
  return load(path);
}

/** First bytes of the journal on the volume, and how many are worth hurting. */
function journalPlace(path: string): number {
  return Number(/\(0[-\d]*\):(\d+)/.exec(run("debugfs", ["-R", "stat <8>", path]))?.[1]) * BLOCK;
}

/** Blocks whose readable bytes differ from what a whole image gives. */
async function wrongBlocks(
  volume: Ext4Volume,
  want: ReadonlyMap<number, Uint8Array>,
): Promise<number[]> {
  const wrong: number[] = [];
  for (const [block, bytes] of want) {
    const read = await volume.readBlocks(block, 1);
    if (read === undefined) throw new Error(`Block ${block} is outside`);
    const expected = bytes.slice();
    for (const { offset, length } of read.bad) expected.fill(0, offset, offset + length);
    if (Buffer.compare(read.bytes, expected) !== 0) wrong.push(block);
  }
  return wrong;
}

describe.skipIf(!hasProgram("debugfs"))("a dirty journal", () => {
  test("R1: whatever is poisoned, a journal told as replayed serves no stale byte", async () => {
    console.log(`SEED=${seed}`);
    const prng = createPrng(seed);
    const counts = { replayed: 0, unreadable: 0 };
    const wrong: number[] = [];
    for (const version of [1, 3]) {
      const bytes = dirtyImage(version, prng);
      const journal = journalPlace(scratch.path("dirty.img"));
      const whole = await openExt4Volume(memorySource(bytes));
      expect(whole.journal.status).toBe("replayed");
      const want = new Map<number, Uint8Array>();
      for (const block of TARGETS)
        want.set(block, (await whole.readBlocks(block, 1))?.bytes.slice() ?? new Uint8Array(0));
      for (let round = 0; round < 150; round += 1) {
        const bad: BadRange[] = [];
        let at = prng.chance(0.2) ? prng.below(300 * BLOCK) : journal + prng.below(45 * BLOCK);
        for (let count = 1 + prng.below(2); count > 0; count -= 1) {
          bad.push(poisoned(at, 64 * (1 + prng.below(20))));
          at += 4096 + prng.below(20 * BLOCK);
        }
        const volume = await openExt4Volume(memorySource(bytes, bad));
        const { status, pending } = volume.journal;
        expect(pending).toBe(true);
        counts[status as "replayed" | "unreadable"] += 1;
        if (status === "replayed") wrong.push(...(await wrongBlocks(volume, want)));
      }
    }
    expect(wrong).toEqual([]);
    expect(counts.replayed).toBeGreaterThan(10);
    expect(counts.unreadable).toBeGreaterThan(10);
    expect(counts.replayed + counts.unreadable).toBe(300);
  });

  test("R1: with checksums of blocks, whatever content is changed in the log, a journal told as replayed serves no wrong byte", async () => {
    console.log(`SEED=${seed}`);
    const prng = createPrng(seed);
    const bytes = dirtyImage(3, prng);
    const journal = journalPlace(scratch.path("dirty.img"));
    const whole = await openExt4Volume(memorySource(bytes));
    const want = new Map<number, Uint8Array>();
    for (const block of TARGETS)
      want.set(block, (await whole.readBlocks(block, 1))?.bytes.slice() ?? new Uint8Array(0));
    let wrong = 0;
    for (let round = 0; round < 300; round += 1) {
      const at = journal + prng.below(40 * BLOCK);
      const before = bytes[at] as number;
      bytes[at] = before ^ (1 + prng.below(255));
      const volume = await openExt4Volume(memorySource(bytes));
      // The journal's own blocks are another matter: a wrong one may look like the end of the log, to us as to Linux (test/interop).
      const own =
        bytes[at - ((at - journal) % BLOCK)] === 0xc0 &&
        bytes[at - ((at - journal) % BLOCK) + 1] === 0x3b;
      if (volume.journal.status === "replayed" && !own)
        wrong += (await wrongBlocks(volume, want)).length;
      bytes[at] = before;
    }
    expect(wrong).toBe(0);
  });

  test("mutated journals never crash or hang", async () => {
    console.log(`SEED=${seed}`);
    const prng = createPrng(seed);
    const bytes = dirtyImage(2, prng);
    const journal = journalPlace(scratch.path("dirty.img"));
    for (let round = 0; round < 300; round += 1) {
      const changes: (readonly [number, number])[] = [];
      for (let count = 1 + prng.below(30); count > 0; count -= 1) {
        const place = prng.chance(0.3)
          ? prng.below(40) * BLOCK + prng.below(32)
          : prng.below(40 * BLOCK);
        changes.push([journal + place, bytes[journal + place] as number]);
        bytes[journal + place] = prng.pick([0, 1, 2, 5, 255, prng.below(256)]);
      }
      const volume = await openExt4Volume(memorySource(bytes));
      expect(["none", "replayed", "unreadable"]).toContain(volume.journal.status);
      for (const [at, value] of changes.reverse()) bytes[at] = value;
    }
  });
});
