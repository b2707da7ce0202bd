/**
 * bench/make-ext4-image: an ext4 image with many files, made once by mke2fs and kept under .work/bench.
 *
 *     npx tsc -p bench; node .work/bench/bench/make-ext4-image.js [--files 200000]
 *
 * Directories of twenty files, three levels deep, as a source tree or a mail store has; sizes from one byte to 64 KiB, most
 * of them under 4 KiB; names of 8 to 40 bytes. Contents are not zeros, because mke2fs leaves zero blocks out.
 */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { createPrng } from "../src/base/index.ts";

const FILES_PER_DIRECTORY = 20;
const DIRECTORIES_PER_DIRECTORY = 25;
/** Bytes of the volume for each file: four times what it needs. */
const ROOM_PER_FILE = 16 * 1024;

/** Folder that benches keep their large files in; git ignores it. */
export const BENCH_FOLDER: string = join(process.cwd(), ".work", "bench");

function makeTree(folder: string, files: number): void {
  const random = createPrng(20_211);
  const content = Buffer.alloc(64 * 1024, "The quick brown fox jumps over the lazy dog. ");
  for (let file = 0; file < files; file += 1) {
    const directory = Math.floor(file / FILES_PER_DIRECTORY);
    const parts = [
      Math.floor(directory / DIRECTORIES_PER_DIRECTORY ** 2),
      Math.floor(directory / DIRECTORIES_PER_DIRECTORY) % DIRECTORIES_PER_DIRECTORY,
      directory % DIRECTORIES_PER_DIRECTORY,
    ];
    const path = join(
      folder,
      ...parts.map((part, level) => `${["area", "project", "folder"][level]}-${part}`),
    );
    if (file % FILES_PER_DIRECTORY === 0) mkdirSync(path, { recursive: true });
    const size = random.chance(0.85) ? 1 + random.below(4096) : 1 + random.below(64 * 1024);
    writeFileSync(
      join(path, `${"x".repeat(random.below(32))}document-${file}`),
      content.subarray(0, size),
    );
  }
}

/** Makes the image, or finds the one made before. @returns its path */
export function makeExt4Image(files: number): string {
  const image = join(BENCH_FOLDER, `ext4-${files}.img`);
  if (existsSync(image)) return image;
  mkdirSync(BENCH_FOLDER, { recursive: true });
  const work = mkdtempSync(join(BENCH_FOLDER, "tree-"));
  try {
    makeTree(work, files);
    const unfinished = `${image}.unfinished`;
    rmSync(unfinished, { force: true });
    const size = `${Math.ceil((files * ROOM_PER_FILE) / 2 ** 20) + 64}M`;
    execFileSync("mke2fs", [
      "-q",
      "-F",
      "-t",
      "ext4",
      "-N",
      `${Math.ceil(files * 1.2) + 1000}`,
      "-d",
      work,
      unfinished,
      size,
    ]);
    renameSync(unfinished, image);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  return image;
}

if (process.argv[1]?.endsWith("make-ext4-image.js") === true) {
  const { values } = parseArgs({ options: { files: { type: "string", default: "200000" } } });
  console.log(makeExt4Image(Number(values.files)));
}
