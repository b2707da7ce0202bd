/** MountedWorkload: random work on a mounted image that is cut off in the middle, so that its journal stays dirty. Needs root. */
import {
  appendFileSync,
  closeSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import type { Prng } from "../../../src/base/index.ts";
import { findProgram, run } from "./programs.ts";

/** Nothing for the kernel's background thread to do: one thread serves all mounted ext4 volumes. */
const MOUNT_OPTIONS = "loop,noinit_itable,no_prefetch_block_bitmaps";

/** Why images cannot be mounted here, or `undefined` where they can. */
export function whyNotMountable(): string | undefined {
  if (process.getuid?.() !== 0) return "needs root to mount images";
  return findProgram("mount") === undefined || findProgram("losetup") === undefined
    ? "needs mount and losetup"
    : undefined;
}

/** Encrypts an empty directory with a random key; false where the kernel or the image cannot. */
function encryptDirectory(random: Prng, mount: string, directory: string): boolean {
  const options = { input: Buffer.from(random.bytes(64)), encoding: "latin1" } as const;
  const xfsIo = findProgram("xfs_io") ?? "xfs_io";
  const added = spawnSync(xfsIo, ["-c", "add_enckey", mount], options);
  const identifier = /identifier ([0-9a-f]{32})/.exec(added.stdout)?.[1];
  return (
    identifier !== undefined &&
    spawnSync(xfsIo, ["-c", `set_encpolicy ${identifier}`, directory]).status === 0
  );
}

/** One open world: the directories and files that the work goes on in. */
class Work {
  readonly #random: Prng;
  readonly #blockSize: number;
  readonly #directories: string[];
  readonly #files: string[] = [];
  #count = 0;

  constructor(random: Prng, mount: string, blockSize: number) {
    this.#random = random;
    this.#blockSize = blockSize;
    this.#directories = [mount];
  }

  addDirectory(path: string): void {
    this.#directories.push(path);
  }

  #newPath(): string {
    this.#count += 1;
    const padding = this.#random.chance(0.1) ? "w".repeat(this.#random.below(200)) : "";
    return join(this.#random.pick(this.#directories), `work-${this.#count}${padding}`);
  }

  #sync(path: string): void {
    const file = openSync(path, "r");
    fsyncSync(file);
    closeSync(file);
  }

  #allocate(path: string): void {
    const random = this.#random;
    const start = random.below(40) * this.#blockSize;
    const length = (1 + random.below(40)) * this.#blockSize;
    const command = random.pick([
      `falloc ${start} ${length}`,
      `falloc -k ${start} ${length}`,
      `fpunch ${start} ${length}`,
      `fzero ${start} ${length}`,
      `fcollapse ${start} ${this.#blockSize}`,
      `pwrite -q ${start} 3000`,
    ]);
    spawnSync(findProgram("xfs_io") ?? "xfs_io", ["-c", command, path]);
  }

  #attribute(path: string): void {
    const setfattr = findProgram("setfattr");
    if (setfattr === undefined) return;
    const size = this.#random.below(this.#random.pick([20, 200, 900]));
    spawnSync(setfattr, [
      "-n",
      `user.work${this.#random.below(4)}`,
      "-v",
      "v".repeat(1 + size),
      path,
    ]);
  }

  step(): void {
    const random = this.#random;
    if (this.#files.length === 0 || random.chance(0.3)) {
      const path = this.#newPath();
      writeFileSync(path, random.bytes(random.below(random.pick([1, 150, 3000, 60_000]))));
      this.#files.push(path);
      return;
    }
    const at = random.below(this.#files.length);
    const path = this.#files[at] as string;
    switch (random.below(11)) {
      case 0:
        appendFileSync(path, random.bytes(random.below(20_000)));
        break;
      case 1:
        truncateSync(path, random.below(100_000));
        break;
      case 2: {
        const to = this.#newPath();
        renameSync(path, to);
        this.#files[at] = to;
        break;
      }
      case 3:
        unlinkSync(path);
        this.#files.splice(at, 1);
        break;
      case 4:
        this.#sync(path);
        break;
      case 5:
        linkSync(path, this.#newPath());
        break;
      case 6:
        symlinkSync("w".repeat(1 + random.below(200)), this.#newPath());
        break;
      case 7: {
        const directory = this.#newPath();
        mkdirSync(directory);
        this.#directories.push(directory);
        break;
      }
      case 8:
        this.#attribute(path);
        break;
      default:
        this.#allocate(path);
    }
  }

  /** A change that a fast commit can hold, made durable at once. */
  commitFast(): void {
    const path = this.#newPath();
    writeFileSync(path, this.#random.bytes(1 + this.#random.below(30_000)));
    this.#sync(path);
    if (this.#random.chance(0.3)) renameSync(path, this.#newPath());
    const other = this.#files[this.#random.below(Math.max(1, this.#files.length))];
    if (other === undefined) return;
    if (this.#random.chance(0.5))
      appendFileSync(other, this.#random.bytes(1 + this.#random.below(30_000)));
    else truncateSync(other, this.#random.below(30_000));
    this.#sync(other);
  }

  /** Many names in one directory: an index grows, splits, and loses half of them again. */
  crowd(): void {
    const directory = this.#newPath();
    mkdirSync(directory);
    const padding = "c".repeat(this.#random.below(200));
    const count = 200 + this.#random.below(1500);
    for (let at = 0; at < count; at += 1)
      writeFileSync(join(directory, `crowd-${at}-${padding}`), "");
    for (const name of readdirSync(directory))
      if (this.#random.chance(0.3)) rmSync(join(directory, name));
    this.#directories.push(directory);
  }
}

/** How a workload is run. */
export interface WorkloadOptions {
  readonly image: string;
  /** Empty folder to mount at. */
  readonly mount: string;
  readonly blockSize: number;
  readonly encrypt: boolean;
  /** Whether the image has inline data. */
  readonly inlineData: boolean;
  /** Whether it may end in fast commits. */
  readonly fastCommit: boolean;
}

/** A step that the file system refuses (no space, an encrypted name too long) is left out. */
function attempt(step: () => void): void {
  try {
    step();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === undefined) throw error;
  }
}

/**
 * Mounts an image, works on it, and takes the file system down without unmounting it first.
 *
 * Open files without a name are left behind too: they become orphans.
 *
 * @throws {Error} if it cannot be mounted
 */
export function runMountedWorkload(random: Prng, options: WorkloadOptions): void {
  const { image, mount } = options;
  const modes = ["", "", "", ",data=journal", ",nodelalloc", ",journal_checksum"];
  // In ordered mode jbd2's own thread writes inline data out, and waits for ever for room in a small log (seen on Linux 6.18).
  const mode = options.inlineData ? ",data=writeback" : random.pick(modes);
  run("mount", ["-o", `${MOUNT_OPTIONS}${mode}`, image, mount]);
  const orphans: number[] = [];
  try {
    const work = new Work(random, mount, options.blockSize);
    const secret = join(mount, "secret");
    if (options.encrypt) attempt(() => mkdirSync(secret));
    if (options.encrypt && encryptDirectory(random, mount, secret)) work.addDirectory(secret);
    for (let at = 50 + random.below(200); at > 0; at -= 1) attempt(() => work.step());
    if (random.chance(0.4)) attempt(() => work.crowd());
    run("sync", ["-f", mount]);
    for (let at = 0; at < random.below(4); at += 1) {
      attempt(() => {
        const path = join(mount, `orphan-${at}`);
        writeFileSync(path, random.bytes(random.below(30_000)));
        orphans.push(openSync(path, "r"));
        unlinkSync(path);
      });
    }
    for (let at = random.below(120); at > 0; at -= 1) attempt(() => work.step());
    if (random.chance(0.5)) run("sync", ["-f", mount]);
    for (let at = random.below(20); at > 0; at -= 1) attempt(() => work.step());
    if (options.fastCommit && random.chance(0.7)) {
      run("sync", ["-f", mount]);
      for (let at = 1 + random.below(8); at > 0; at -= 1) attempt(() => work.commitFast());
      run("xfs_io", ["-x", "-c", "shutdown", mount]);
      return;
    }
    // "-f" flushes the log first; without it what was not committed is gone, as after a crash.
    run("xfs_io", ["-x", "-c", random.pick(["shutdown", "shutdown -f"]), mount]);
  } finally {
    for (const file of orphans) attempt(() => closeSync(file));
    run("umount", [mount]);
  }
}

/** Mounts an image and unmounts it again: the kernel replays its journal and frees its orphans. */
export function replayByMount(image: string, mount: string): void {
  run("mount", ["-o", MOUNT_OPTIONS, image, mount]);
  run("umount", [mount]);
}
