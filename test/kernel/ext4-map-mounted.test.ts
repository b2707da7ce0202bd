/**
 * The ext4 map against debugfs on images that Linux wrote and that were cut off in the middle of a mounted workload: their journals
 * are dirty, and the oracle is a copy that Linux replayed. `SEED=123 IMAGES=1` replays one image. Needs root and loop devices.
 */
import { expect, test } from "vitest";
import { compareImages } from "../interop/support/compare-images.ts";
import { whyNotMountable } from "../interop/support/mounted-workload.ts";
import { requirePrograms } from "../interop/support/programs.ts";

const SEED = Number(process.env["SEED"] ?? 2024);
const IMAGES = Number(process.env["IMAGES"] ?? 50);

test(`openFileMap() agrees with debugfs on ${IMAGES} images cut off in a mounted workload`, async (context) => {
  requirePrograms(context, "mke2fs", "debugfs", "dumpe2fs", "e2fsck", "xfs_io");
  const why = whyNotMountable();
  if (why !== undefined) context.skip(why);
  expect(await compareImages({ seed: SEED, count: IMAGES, mounted: true })).toEqual([]);
});
