/** compareImages(): many random images, each read by the map and by debugfs; what differs is told with the seed that replays it. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openFileMap } from "../../../src/fs/index.ts";
import { compareMap, type Comparison } from "./compare-map.ts";
import { expectMap } from "./expected-map.ts";
import { FileSource } from "./file-source.ts";
import { makeRandomImage, type RandomImage } from "./random-image.ts";

/** Which images. */
export interface ImageSeries {
  /** Seed of the first; each one more takes the next number. */
  readonly seed: number;
  readonly count: number;
  /** Whether each is cut off in the middle of a mounted workload. */
  readonly mounted: boolean;
}

/** What a comparison found, and how the map stood to the journal. */
export type ImageComparison = Comparison & { readonly status: string };

/** Compares one image: the map of it with what debugfs says of its oracle. */
export async function compareImage(
  { image, oracle, dirty }: Omit<RandomImage, "story">,
  mounted: boolean,
): Promise<ImageComparison> {
  const expected = expectMap(oracle);
  const source = new FileSource(image);
  const replayed = dirty ? new FileSource(oracle) : source;
  try {
    const map = await openFileMap(source);
    // Fast commits are not replayed: what they touch is unknown.
    const isPartial = /fast commits/.test(map.journal.message);
    const result = await compareMap(map, expected, {
      source: replayed,
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
    // debugfs sums revoke blocks into a version-1 checksum, and jbd2 does not: such a log ends there for us as for e2fsck, and we say so.
    const endsEarly = !mounted && /has a wrong checksum/.test(map.journal.message);
    if (dirty && map.journal.status !== "replayed" && !isPartial && !endsEarly)
      wrong.push(`journal ${map.journal.status}: ${map.journal.message}`);
    return {
      ...result,
      status: map.journal.status,
      differences: [...wrong, ...result.differences, ...problems],
    };
  } finally {
    source.close();
    if (dirty) replayed.close();
  }
}

async function compareSeed(
  seed: number,
  mounted: boolean,
): Promise<ImageComparison & { story: string }> {
  const folder = mkdtempSync(join(tmpdir(), "theriac-ext4-"));
  try {
    const made = makeRandomImage({ seed, folder, mounted });
    return { ...(await compareImage(made, mounted)), story: made.story };
  } finally {
    if (process.env["KEEP"] === undefined) rmSync(folder, { recursive: true, force: true });
    else console.log(`kept ${folder}`);
  }
}

/** Compares a series of images. @returns the disagreements, each with its seed; empty where there are none */
export async function compareImages({
  seed: first,
  count,
  mounted,
}: ImageSeries): Promise<string[]> {
  const disagreements: string[] = [];
  const total = { bytes: 0, inodes: 0, paths: 0, contents: 0 };
  const journals: Record<string, number> = {};
  for (let seed = first; seed < first + count; seed += 1) {
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
    `ext4 map against debugfs: seeds ${first} to ${first + count - 1}${mounted ? ", mounted" : ""}: ${JSON.stringify({ ...total, journals })}`,
  );
  return disagreements;
}
