/** FastCommitImage: an image that Linux left with fast commits, and copies of it that Linux and e2fsck replayed. Needs root. */
import {
  appendFileSync,
  closeSync,
  copyFileSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  renameSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { createPrng, type Prng } from "../../../src/base/index.ts";
import { findProgram, run } from "./programs.ts";

const MIB = 2 ** 20;
const LAYOUTS: readonly (readonly string[])[] = [
  ["-b", "4096"],
  ["-b", "1024"],
  ["-b", "2048", "-O", "^metadata_csum,uninit_bg"],
  ["-b", "1024", "-O", "^metadata_csum,^uninit_bg,^64bit", "-I", "128"],
  ["-b", "4096", "-O", "bigalloc", "-C", "16384"],
  ["-b", "1024", "-g", "4096", "-O", "metadata_csum_seed", "-E", "lazy_itable_init=1"],
  ["-b", "4096", "-O", "^dir_index"],
  ["-b", "1024", "-O", "^flex_bg", "-g", "8192"],
];

/** An image with fast commits. */
export interface FastCommitImage {
  readonly image: string;
  /** Replayed by Linux; `undefined` where it refused to. */
  readonly byLinux: string | undefined;
  /** Replayed and checked by e2fsck; `undefined` where its replay failed. */
  readonly byE2fsck: string | undefined;
  readonly story: string;
}

/** Where and how. */
export interface FastCommitImageOptions {
  readonly seed: number;
  /** Empty folder for everything. */
  readonly folder: string;
}

class Work {
  readonly #random: Prng;
  readonly #directories: string[] = [];
  readonly #files: string[] = [];
  readonly #blockSize: number;
  #count = 0;

  constructor(random: Prng, mount: string, blockSize: number) {
    this.#random = random;
    this.#blockSize = blockSize;
    for (let at = 0; at < 3; at += 1) {
      const directory = join(mount, `d${at}`);
      mkdirSync(directory);
      this.#directories.push(directory);
    }
  }

  /** Files that are there before the last full commit. */
  prepare(): void {
    for (let count = 4 + this.#random.below(40); count > 0; count -= 1) this.#create();
    for (const file of this.#files.slice(0, 3)) this.#scatter(file, 3 + this.#random.below(120));
  }

  #create(): string {
    this.#count += 1;
    const padding = this.#random.chance(0.1) ? "w".repeat(this.#random.below(150)) : "";
    const path = join(this.#random.pick(this.#directories), `f${this.#count}${padding}`);
    writeFileSync(
      path,
      this.#random.bytes(this.#random.below(this.#random.pick([1, 3000, 60_000]))),
    );
    this.#files.push(path);
    return path;
  }

  /** Every other block of a file, so that each is an extent of its own. */
  #scatter(path: string, blocks: number): void {
    const file = openSync(path, "r+");
    const start = this.#random.below(50);
    for (let at = 0; at < blocks; at += 1)
      writeSync(file, this.#random.bytes(100), 0, 100, (start + at * 2) * this.#blockSize);
    closeSync(file);
  }

  #xfsIo(path: string, ...commands: readonly string[]): void {
    const args = commands.flatMap((command) => ["-c", command]);
    spawnSync(findProgram("xfs_io") ?? "xfs_io", [...args, path]);
  }

  sync(path: string): void {
    const file = openSync(path, "r");
    fsyncSync(file);
    closeSync(file);
  }

  /** What replays of Linux and e2fsck agree on. */
  gentle(): string {
    const random = this.#random;
    const at = random.below(this.#files.length);
    const path = this.#files[at] as string;
    const start = random.below(30) * this.#blockSize;
    const length = (1 + random.below(20)) * this.#blockSize;
    switch (random.below(9)) {
      case 0:
      case 1:
        return this.#create();
      case 2:
        appendFileSync(path, random.bytes(random.below(20_000)));
        return path;
      case 3:
        truncateSync(path, random.below(60_000));
        return path;
      case 4: {
        const to = join(random.pick(this.#directories), `r${(this.#count += 1)}`);
        renameSync(path, to);
        this.#files[at] = to;
        return to;
      }
      case 5: {
        const to = join(random.pick(this.#directories), `l${(this.#count += 1)}`);
        linkSync(path, to);
        this.#files.push(to);
        return to;
      }
      case 6:
        this.#scatter(path, 1 + random.below(random.pick([3, 3, 20])));
        return path;
      case 7:
        this.#xfsIo(path, `fpunch ${start} ${length}`);
        return path;
      default:
        this.#xfsIo(path, `${random.pick(["falloc", "falloc -k"])} ${start} ${length}`);
        return path;
    }
  }

  /** What a replay decides by itself, or Linux and e2fsck differ in. */
  rough(): void {
    const random = this.#random;
    const at = random.below(this.#files.length);
    const path = this.#files[at] as string;
    this.#count += 1;
    const fresh = join(random.pick(this.#directories), `n${this.#count}`);
    switch (random.below(5)) {
      case 0:
        unlinkSync(path);
        this.#files.splice(at, 1);
        return;
      case 1:
        writeFileSync(fresh, "short-lived");
        return unlinkSync(fresh);
      case 2:
        mkdirSync(fresh);
        this.#directories.push(fresh);
        return;
      case 3:
        return symlinkSync("w".repeat(1 + random.below(150)), fresh);
      default: {
        const other = random.below(this.#files.length);
        if (other === at) return;
        renameSync(path, this.#files[other] as string);
        this.#files.splice(at, 1);
      }
    }
  }

  /** Names until directories are nearly full. */
  crowd(): void {
    const directory = this.#random.pick(this.#directories);
    const count = 10 + this.#random.below(150);
    for (let at = 0; at < count; at += 1)
      writeFileSync(join(directory, `c-${at}-${"c".repeat(20)}`), "");
  }
}

function attempt<Result>(step: () => Result): Result | undefined {
  try {
    return step();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === undefined) throw error;
    return undefined;
  }
}

function workOn(random: Prng, mount: string, blockSize: number): void {
  const work = new Work(random, mount, blockSize);
  work.prepare();
  if (random.chance(0.4)) work.crowd();
  run("sync", ["-f", mount]);
  const rough = random.chance(0.4) ? 0.2 : 0;
  for (let step = 3 + random.below(60); step > 0; step -= 1) {
    if (random.chance(rough)) attempt(() => work.rough());
    const path = attempt(() => work.gentle());
    if (path !== undefined && random.chance(0.7)) attempt(() => work.sync(path));
  }
}

/** Makes the image of a seed. @throws {Error} if a program fails that should not */
export function makeFastCommitImage(options: FastCommitImageOptions): FastCommitImage {
  const { folder, seed } = options;
  const random = createPrng(seed);
  const image = join(folder, "image.img");
  const layout = random.pick(LAYOUTS);
  const blockSize = Number(layout[1]);
  writeFileSync(image, "");
  truncateSync(image, 40 * MIB);
  const named = layout.indexOf("-O");
  const features = `fast_commit${named < 0 ? "" : `,${layout[named + 1]}`}`;
  const journal = ["-J", `size=${blockSize === 1024 ? 4 : 12}`];
  const rest = layout.filter((_, at) => layout[at] !== "-O" && layout[at - 1] !== "-O");
  run("mke2fs", ["-q", "-F", "-t", "ext4", ...rest, "-O", features, ...journal, image]);
  const mount = join(folder, "mount");
  mkdirSync(mount);
  run("mount", ["-o", "loop,noinit_itable,no_prefetch_block_bitmaps,commit=300", image, mount]);
  const shutdown = random.chance(0.1) ? "shutdown -f" : "shutdown";
  try {
    workOn(random, mount, blockSize);
    run("xfs_io", ["-x", "-c", shutdown, mount]);
  } finally {
    run("umount", [mount]);
  }
  const byLinux = join(folder, "linux.img");
  copyFileSync(image, byLinux);
  const mounting = ["-o", "loop,noinit_itable,no_prefetch_block_bitmaps", byLinux, mount];
  const { status } = spawnSync(findProgram("mount") ?? "mount", mounting);
  if (status === null) throw new Error(`Linux itself failed while it replayed ${byLinux}`);
  const refused = status !== 0;
  if (!refused) run("umount", [mount]);
  const byE2fsck = join(folder, "e2fsck.img");
  copyFileSync(image, byE2fsck);
  const { stderr, stdout } = spawnSync(findProgram("e2fsck") ?? "e2fsck", ["-fy", byE2fsck], {
    encoding: "utf8",
  });
  // e2fsck may put a tree where a later fast commit has data, and then copies the block that both claim.
  const failed =
    /while recovering journal|encountered in function/.test(stderr) ||
    stdout.includes("ultiply-claimed");
  return {
    image,
    byLinux: refused ? undefined : byLinux,
    byE2fsck: failed ? undefined : byE2fsck,
    story: `mke2fs ${layout.join(" ")} -O ${features}; ${shutdown}${failed ? "; e2fsck could not replay" : ""}${refused ? "; Linux could not" : ""}`,
  };
}
