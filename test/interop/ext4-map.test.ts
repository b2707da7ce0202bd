/**
 * The ext4 map against debugfs: random images over mke2fs's features and block sizes, the owner of every byte, every path,
 * size, time and extent, and contents of some files. `SEED=123 IMAGES=1` replays one image, `IMAGES=1000` makes more,
 * `KEEP=1` leaves the images. Images cut off in a mounted workload are in lab/workload/ and test/kernel/.
 */
import { expect, test } from "vitest";
import { compareImages } from "./support/compare-images.ts";
import { requirePrograms } from "./support/programs.ts";

const SEED = Number(process.env["SEED"] ?? 2024);
const IMAGES = Number(process.env["IMAGES"] ?? 150);

test(`openFileMap() tells owners, paths and extents as debugfs does, on ${IMAGES} random images`, async (context) => {
  requirePrograms(context, "mke2fs", "debugfs", "dumpe2fs", "e2fsck");
  expect(await compareImages({ seed: SEED, count: IMAGES, mounted: false })).toEqual([]);
});
