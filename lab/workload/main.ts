/**
 * lab/workload: the ext4 map against debugfs on random images that the lab's kernel mounted, worked on, and had cut off in the middle.
 *
 *     npm run lab:workload -- [--seed N] [--images N]
 *
 * The images are made here (mke2fs, debugfs), worked on in one boot of the guest, and compared here with a copy that the guest's kernel
 * replayed. Ends with `N images, N mismatches`; exit 1 on any. KEEP=1 leaves the images.
 */
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { createPrng } from "../../src/base/index.ts";
import { compareImage } from "../../test/interop/support/compare-images.ts";
import {
  makeMountableImage,
  type MountableImage,
} from "../../test/interop/support/random-image.ts";

/** From `npm run`, the project's folder. */
const BOOT = join(process.cwd(), "lab/boot.sh");

interface Made {
  readonly seed: number;
  readonly story: string;
  readonly image: string;
  readonly oracle: string;
}

/** How the guest mounts an image; by its seed. */
function optionsOf(seed: number, { recipe }: MountableImage): string {
  const modes = ["", "", "", ",data=journal", ",nodelalloc", ",journal_checksum"];
  // In ordered mode jbd2's own thread writes inline data out, and can wait for ever for room in a small log.
  return recipe.features.has("inline_data") ? ",data=writeback" : createPrng(seed).pick(modes);
}

function makeImage(seed: number, images: string): Made {
  const folder = mkdtempSync(join(tmpdir(), "theriac-workload-"));
  try {
    const made = makeMountableImage(seed, folder);
    const image = join(images, `${seed}.img`);
    copyFileSync(made.image, image);
    const fast = made.recipe.features.has("fast_commit") ? 1 : 0;
    const options = optionsOf(seed, made);
    const job = `${seed} ${made.recipe.blockSize} ${fast} ${options}\n`;
    writeFileSync(join(images, `${seed}.job`), job);
    const story = `${made.story}; mounted${options}`;
    return { seed, story, image, oracle: join(images, `${seed}.oracle`) };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Runs the guest over all images. @throws {Error} if it does not end well */
function workInGuest(shared: string): void {
  const { status } = spawnSync(BOOT, ["-", shared], {
    input: "exec sh /run-workloads\n",
    stdio: ["pipe", "inherit", "inherit"],
  });
  if (status !== 0) throw new Error(`the guest ended with ${status}`);
}

async function compareAll(all: readonly Made[]): Promise<number> {
  let mismatches = 0;
  const statuses: Record<string, number> = {};
  for (const { seed, story, image, oracle } of all) {
    const { differences, status } = await compareImage({ image, oracle, dirty: true }, true);
    statuses[status] = (statuses[status] ?? 0) + 1;
    if (differences.length === 0) continue;
    mismatches += 1;
    console.log([`--seed ${seed} --images 1: ${story}`, ...differences].join("\n  "));
  }
  console.log(`journals: ${JSON.stringify(statuses)}`);
  return mismatches;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      seed: { type: "string", default: "2024" },
      images: { type: "string", default: "16" },
    },
  });
  const [first, count] = [Number(values.seed), Number(values.images)];
  if (!Number.isSafeInteger(first) || !Number.isSafeInteger(count) || count < 1)
    throw new RangeError("Want whole numbers: --seed N --images N");
  const shared = mkdtempSync(join(tmpdir(), "theriac-lab-"));
  try {
    const images = join(shared, "images");
    mkdirSync(images);
    const all = Array.from({ length: count }, (_, index) => makeImage(first + index, images));
    workInGuest(shared);
    const mismatches = await compareAll(all);
    console.log(`${all.length} images, ${mismatches} mismatches`);
    process.exitCode = mismatches === 0 ? 0 : 1;
  } finally {
    if (process.env["KEEP"] === undefined) rmSync(shared, { recursive: true, force: true });
    else console.log(`kept ${shared}`);
  }
}

await main();
