/** RandomTree: a folder with random contents for `mke2fs -d`. */
import {
  linkSync,
  mkdirSync,
  openSync,
  closeSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import type { Prng } from "../../../src/base/index.ts";

/** Names that parsers stumble over; no "/" and no NUL can be in one. */
const ODD_NAMES = [
  " leading",
  "trailing ",
  "new\nline",
  "back\\slash",
  'quo"te',
  "Ünï-çödé",
  "日本語",
  "tab\there",
  "-rf",
  "*",
  "...",
  "\\x41",
];

function fileName(random: Prng, at: number): Buffer {
  if (random.chance(0.03))
    return Buffer.concat([
      Buffer.from(`raw${at}-`),
      Buffer.from([0x80 + random.below(64), 0xff, 0xfe]),
    ]);
  if (random.chance(0.05)) return Buffer.from(`${random.pick(ODD_NAMES)}${at}`);
  if (random.chance(0.05)) return Buffer.from(`${at}-${"n".repeat(240)}`.slice(0, 255));
  return Buffer.from(`file-${at}`);
}

function fileSize(random: Prng, blockSize: number): number {
  const size = random.pick([
    0,
    random.below(60),
    random.below(160),
    random.below(blockSize),
    random.below(8 * blockSize),
    random.below(64 * blockSize),
  ]);
  return random.chance(0.02) ? random.below(512 * blockSize) : size;
}

/** Writes pieces with holes between them: many extents, or indirect blocks up to the third level. */
function writeSparse(random: Prng, path: Buffer, blockSize: number): void {
  const file = openSync(path, "w");
  const pieces = random.pick([1, 4, 12, 60]);
  const spread = random.pick([64, 1000, 70_000]);
  for (let piece = 0; piece < pieces; piece += 1) {
    writeSync(
      file,
      random.bytes(1 + random.below(2 * blockSize)),
      0,
      undefined,
      random.below(spread) * blockSize + random.below(3),
    );
  }
  closeSync(file);
  if (random.chance(0.3)) truncateSync(path, random.below(spread * blockSize));
}

/** What a tree is made of. */
export interface TreeOptions {
  readonly blockSize: number;
  /** Entries in the directory that holds many. */
  readonly many: number;
  /** About the bytes that the files may hold together. */
  readonly bytes: number;
}

/**
 * Fills an empty folder with a random tree.
 *
 * @returns paths of the regular files that plain names reach, from the folder, beginning with "/"
 */
export function makeRandomTree(random: Prng, folder: string, options: TreeOptions): string[] {
  const files: string[] = [];
  const directories = [""];
  for (let at = random.below(12); at > 0; at -= 1) {
    const parent = random.pick(directories);
    const path = `${parent}/dir-${at}${random.chance(0.1) ? ` ${"d".repeat(200)}` : ""}`;
    mkdirSync(join(folder, path));
    directories.push(path);
  }
  let left = options.bytes;
  for (let at = 0; at < 40 + random.below(120) && left > 0; at += 1) {
    const parent = random.pick(directories);
    const name = fileName(random, at);
    const path = Buffer.concat([Buffer.from(`${folder}${parent}/`), name]);
    if (random.chance(0.1)) {
      writeSparse(random, path, options.blockSize);
      left -= 30 * options.blockSize;
    } else {
      const size = Math.min(left, fileSize(random, options.blockSize));
      left -= size;
      writeFileSync(path, random.bytes(size));
    }
    utimesSync(
      path,
      1_700_000_000,
      random.pick([0, 1_600_000_000, 2_000_000_000, 1_234_567_890.123]),
    );
    if (/^file-\d+$/.test(name.toString())) files.push(`${parent}/${name.toString()}`);
    if (random.chance(0.08)) linkSync(path, `${folder}${random.pick(directories)}/link-${at}`);
    if (random.chance(0.1))
      symlinkSync(
        "t".repeat(1 + random.below(random.pick([58, 61, 150, 900]))),
        `${folder}${parent}/symbolic-${at}`,
      );
  }
  const many = random.pick(directories);
  const padding = "p".repeat(random.pick([0, 20, 120, 200]));
  for (let at = 0; at < options.many; at += 1)
    writeFileSync(`${folder}${many}/many-${at}-${padding}`, "");
  return files;
}
