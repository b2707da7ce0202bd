/** RandomImage: one random ext4 image by its seed, with the copy that an oracle can judge. */
import { copyFileSync, mkdirSync, rmSync, truncateSync } from "node:fs";
import { join } from "node:path";
import { createPrng, type Prng } from "../../../src/base/index.ts";
import { debugfs } from "./debugfs.ts";
import { shapeImage } from "./debugfs-shapes.ts";
import { drawRecipe, type ImageRecipe } from "./image-recipe.ts";
import { shapeThroughJournal } from "./journaled-shapes.ts";
import { replayByMount, runMountedWorkload } from "./mounted-workload.ts";
import { run } from "./programs.ts";
import { makeRandomTree } from "./random-tree.ts";

const ATTEMPTS = 20;
/** What mke2fs and debugfs take as the present, so that a seed gives the same image on any day. */
const ENVIRONMENT = { E2FSPROGS_FAKE_TIME: "1700000000" };

/** A finished image. */
export interface RandomImage {
  /** The image, its journal perhaps dirty. */
  readonly image: string;
  /** The same image with the journal replayed; the same file where it is clean. */
  readonly oracle: string;
  readonly dirty: boolean;
  /** How it was made, for the message of a failing test. */
  readonly story: string;
}

/** Where and how. */
export interface RandomImageOptions {
  readonly seed: number;
  /** Empty folder for everything. */
  readonly folder: string;
  /** Whether a mounted workload is a part of it. */
  readonly mounted: boolean;
}

function makeFileSystem(
  random: Prng,
  image: string,
  options: RandomImageOptions,
): { recipe: ImageRecipe; files: string[] } {
  for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
    const recipe = drawRecipe(random, options.mounted);
    const tree = join(options.folder, "tree");
    rmSync(tree, { recursive: true, force: true });
    mkdirSync(tree);
    const many = random.pick([0, 0, 30, 300, 1200]);
    const files = makeRandomTree(random, tree, {
      blockSize: recipe.blockSize,
      many,
      bytes: recipe.size / 5,
    });
    try {
      rmSync(image, { force: true });
      run("mke2fs", ["-q", "-F", ...recipe.args, "-d", tree, image, `${recipe.size / 1024}k`], {
        environment: ENVIRONMENT,
      });
      return { recipe, files };
    } catch (error) {
      // mke2fs refuses some combinations, and some trees do not fit: the next draw.
      if (attempt === ATTEMPTS - 1) throw error;
    } finally {
      rmSync(tree, { recursive: true, force: true });
    }
  }
  throw new Error("unreachable");
}

/** An image that Linux can mount, before any work on it. */
export interface MountableImage {
  readonly image: string;
  readonly recipe: ImageRecipe;
  readonly story: string;
}

interface Shaped {
  readonly recipe: ImageRecipe;
  readonly files: string[];
  readonly story: string[];
}

/** An image as mke2fs, e2fsck and debugfs leave it. */
function shapedImage(random: Prng, image: string, options: RandomImageOptions): Shaped {
  const { recipe, files } = makeFileSystem(random, image, options);
  const { blockSize, features } = recipe;
  const story = [`mke2fs ${recipe.args.join(" ")}`];
  // Every writing open of a volume with mmp waits eleven seconds: such an image stays as mke2fs made it.
  const shapeable = !features.has("mmp");
  if (shapeable && random.chance(0.5)) {
    // "-D" gives large directories their index, which mke2fs does not make.
    run("e2fsck", ["-fyD", image], { accept: [0, 1], environment: ENVIRONMENT });
    story.push("e2fsck -D");
  }
  if (shapeable && random.chance(0.7)) {
    shapeImage(random, { image, folder: options.folder, blockSize, features, files });
    story.push("shaped");
  }
  // The kernel refuses what e2fsck would mend.
  if (options.mounted) run("e2fsck", ["-fy", image], { accept: [0, 1], environment: ENVIRONMENT });
  return { recipe, files, story };
}

/** Makes the image of a seed for a kernel that is not this machine's. @throws {Error} if a program fails that should not */
export function makeMountableImage(seed: number, folder: string): MountableImage {
  const image = join(folder, "image.img");
  const shaped = shapedImage(createPrng(seed), image, { seed, folder, mounted: true });
  return { image, recipe: shaped.recipe, story: shaped.story.join("; ") };
}

/** Makes the image of a seed. @throws {Error} if a program fails that should not */
export function makeRandomImage(options: RandomImageOptions): RandomImage {
  const random = createPrng(options.seed);
  const image = join(options.folder, "image.img");
  const { recipe, files, story } = shapedImage(random, image, options);
  const { blockSize, features } = recipe;
  let dirty = false;
  if (options.mounted) {
    const mount = join(options.folder, "mount");
    mkdirSync(mount);
    runMountedWorkload(random, {
      image,
      mount,
      blockSize,
      encrypt: features.has("encrypt"),
      inlineData: features.has("inline_data"),
      fastCommit: features.has("fast_commit"),
    });
    dirty = true;
    story.push("mounted workload");
  } else if (!features.has("mmp") && features.has("has_journal") && random.chance(0.5)) {
    dirty = shapeThroughJournal(random, {
      image,
      folder: options.folder,
      blockSize,
      features,
      files,
    });
    if (dirty) story.push("journaled changes");
  }
  if (random.chance(0.1)) truncateSync(image, recipe.size + 512 * random.below(5000));
  return { image, oracle: dirty ? replay(image, options) : image, dirty, story: story.join("; ") };
}

/**
 * A copy of the image with its journal replayed. A mountable one is given to the kernel, because e2fsck 1.47 loses some
 * transactions of journals with fast commits; others to e2fsck. Both free the orphans on the way.
 */
function replay(image: string, options: RandomImageOptions): string {
  const oracle = join(options.folder, "oracle.img");
  copyFileSync(image, oracle);
  if (options.mounted) replayByMount(oracle, join(options.folder, "mount"));
  else
    run("e2fsck", ["-E", "journal_only", "-y", oracle], {
      accept: [0, 1],
      environment: ENVIRONMENT,
    });
  const left = /needs_recovery/.test(debugfs(oracle, ["features"])[0] as string);
  if (left) throw new Error(`The journal of ${image} was not replayed`);
  return oracle;
}
