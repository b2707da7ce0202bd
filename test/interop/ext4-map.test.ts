/**
 * The ext4 map against debugfs: random images over mke2fs's features and block sizes, the owner of every byte, every path,
 * size, time and extent, and contents of some files. `SEED=123 IMAGES=1` replays one image, `IMAGES=1000` makes more,
 * `KEEP=1` leaves the images.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { openFileMap } from "../../src/fs/index.ts";
import { compareMap, type Comparison } from "./support/compare-map.ts";
import { expectMap } from "./support/expected-map.ts";
import { FileSource } from "./support/file-source.ts";
import { whyNotMountable } from "./support/mounted-workload.ts";
import { requirePrograms } from "./support/programs.ts";
import { makeRandomImage } from "./support/random-image.ts";

const SEED = Number(process.env["SEED"] ?? 2024);
const IMAGES = Number(process.env["IMAGES"] ?? 150);
const MOUNTED_IMAGES = Number(process.env["IMAGES"] ?? 50);

async function compareSeed(
  seed: number,
  mounted: boolean,
): Promise<Comparison & { story: string; status: string }> {
  const folder = mkdtempSync(join(tmpdir(), "theriac-ext4-"));
  try {
    const { image, oracle, story, dirty } = makeRandomImage({ seed, folder, mounted });
    const expected = expectMap(oracle);
    const source = new FileSource(image);
    try {
      const map = await openFileMap(source);
      // Fast commits are not replayed: what they touch is unknown.
      const isPartial = /fast commits/.test(map.journal.message);
      const result = await compareMap(map, expected, {
        source: dirty ? new FileSource(oracle) : source,
        oracle,
        dirty,
        partial: isPartial,
      });
      const wrong =
        expected.contradictions.length > 0
          ? [`debugfs contradicts itself: ${expected.contradictions.slice(0, 3).join("; ")}`]
          : [];
      const problems =
        result.differences.length > 0
          ? map.problems.slice(0, 5).map((problem) => `problem: ${problem.message}`)
          : [];
      if (dirty && map.journal.status !== "replayed" && !isPartial)
        wrong.push(`journal ${map.journal.status}: ${map.journal.message}`);
      return {
        ...result,
        story,
        status: map.journal.status,
        differences: [...wrong, ...result.differences, ...problems],
      };
    } finally {
      source.close();
    }
  } finally {
    if (process.env["KEEP"] === undefined) rmSync(folder, { recursive: true, force: true });
    else console.log(`kept ${folder}`);
  }
}

async function compareMany(count: number, mounted: boolean): Promise<string[]> {
  const disagreements: string[] = [];
  const total = { bytes: 0, inodes: 0, paths: 0, contents: 0 };
  const journals: Record<string, number> = {};
  for (let seed = SEED; seed < SEED + count; seed += 1) {
    try {
      const result = await compareSeed(seed, mounted);
      for (const key of ["bytes", "inodes", "paths", "contents"] as const)
        total[key] += result[key];
      journals[result.status] = (journals[result.status] ?? 0) + 1;
      if (result.differences.length > 0)
        disagreements.push([`SEED=${seed}: ${result.story}`, ...result.differences].join("\n  "));
    } catch (error) {
      disagreements.push(`SEED=${seed}: ${error instanceof Error ? error.stack : String(error)}`);
    }
  }
  console.log(
    `ext4 map against debugfs: seeds ${SEED} to ${SEED + count - 1}${mounted ? ", mounted" : ""}: ${JSON.stringify({ ...total, journals })}`,
  );
  return disagreements;
}

describe("ext4 map", () => {
  test(`owners, paths and extents equal debugfs's on ${IMAGES} random images`, async (context) => {
    requirePrograms(context, "mke2fs", "debugfs", "dumpe2fs", "e2fsck");
    expect(await compareMany(IMAGES, false)).toEqual([]);
  });

  test(`owners, paths and extents equal debugfs's on ${MOUNTED_IMAGES} images cut off in a mounted workload`, async (context) => {
    requirePrograms(context, "mke2fs", "debugfs", "dumpe2fs", "e2fsck", "xfs_io");
    const why = whyNotMountable();
    if (why !== undefined) context.skip(why);
    expect(await compareMany(MOUNTED_IMAGES, true)).toEqual([]);
  });
});
