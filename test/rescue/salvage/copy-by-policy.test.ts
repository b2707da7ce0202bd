/** Policies: how many reads fail, what is never touched, and what comes last. */
import { describe, expect, test } from "vitest";
import { createPrng, RangeSet, type ByteRange } from "../../../src/base/index.ts";
import { salvage } from "../../../src/rescue/index.ts";
import { randomSeed } from "../../base/seed.ts";
import { failingSource, type FailingSource } from "./support/failing-source.ts";
import { memoryFiles } from "./support/memory-files.ts";

const seed = randomSeed();
const OUT = "/disk/out";
const SIZE = 64 * 1024 * 1024;
const bytes = stamped();

/** Random bytes that repeat, and every page its own number, so that none can be taken for another. */
function stamped(): Uint8Array {
  const all = new Uint8Array(SIZE);
  const chunk = createPrng(3).bytes(1024 * 1024);
  for (let at = 0; at < SIZE; at += chunk.length) all.set(chunk, at);
  const view = new DataView(all.buffer);
  for (let at = 0; at < SIZE; at += 4096) view.setUint32(at, at / 4096);
  return all;
}

function random(count: number, unit: number): ByteRange[] {
  const prng = createPrng(seed);
  return Array.from({ length: count }, () => ({
    offset: prng.below(SIZE / unit) * unit,
    length: unit,
  }));
}

/** Fault patterns, with the reads that a bisection from 64 KiB was measured to need. */
const PATTERNS: readonly (readonly [string, () => ByteRange[], number])[] = [
  ["one bad sector", () => random(1, 512), 1038],
  ["one bad page", () => random(1, 4096), 1046],
  ["64 random bad pages", () => random(64, 4096), 2430],
  ["64 random bad sectors", () => random(64, 512), 1916],
  ["one bad run of 1 MiB", () => [{ offset: 0x1400000, length: 0x100000 }], 5088],
];

/** Failed reads of ddrescue 1.27: every bad sector, and every cluster of 64 KiB that holds one (test/interop/salvage.test.ts asks it). */
function failuresOfDdrescue(bad: RangeSet): number {
  const clusters = new Set<number>();
  for (const { offset, length } of bad)
    for (let at = offset; at < offset + length; at += 512) clusters.add(Math.floor(at / 65_536));
  return bad.byteLength / 512 + clusters.size;
}

async function run(source: FailingSource, policy: "listed" | "cheap" | "costly") {
  const files = memoryFiles();
  const result = await salvage(source, OUT, { files, policy });
  const right = Uint8Array.from(bytes);
  for (const { offset, length } of source.broken) right.fill(0, offset, offset + length);
  expect(Buffer.compare(files.content(OUT), right)).toBe(0);
  expect(result.salvaged + result.bad + result.left).toBe(SIZE);
  expect(result.left).toBe(0);
  expect(result.holes).toEqual([...source.broken]);
  return result;
}

describe("copyCostly()", () => {
  test.each(PATTERNS)("fails no more often than ddrescue on %s (S24)", async (_, bad) => {
    const source = failingSource(bytes, { bad: bad() });
    const result = await run(source, "costly");
    expect(source.counts.failed).toBeLessThanOrEqual(failuresOfDdrescue(source.broken));
    expect(result.reads).toMatchObject(source.counts);
    expect([...source.missedRanges]).toEqual([...source.broken]);
  });
});

describe("copyCheap()", () => {
  test.each(PATTERNS)("reads no more than a bisection on %s (S24)", async (_, bad, reads) => {
    const source = failingSource(bytes, { bad: bad(), failure: "cheap" });
    const result = await run(source, "cheap");
    expect(source.counts.reads).toBeLessThanOrEqual(reads);
    expect(result.reads).toMatchObject(source.counts);
  });
});

describe("copyByPolicy()", () => {
  test.each(PATTERNS)("fails never on %s where it is listed (S24)", async (_, bad) => {
    const ranges = [...RangeSet.from(bad())];
    for (const policy of ["listed", "cheap", "costly"] as const) {
      const source = failingSource(bytes, { bad: ranges, listed: ranges });
      await run(source, policy);
      expect(source.counts.failed).toBe(0);
    }
  });
});
