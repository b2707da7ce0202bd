/**
 * bench/xfs-survey: `theriac survey` beside xfs_db on an XFS image of 200,000 files. Whole processes, start-up included. Needs xfsprogs and time(1).
 *
 *     npm run build; npx tsc -p bench; node .work/bench/bench/xfs-survey.js [--files 200000] [--rounds 5] [--program dist/cli/main.js]
 *
 * 5,000 bad blocks at random among those in use, beside `blockget -n` and `blockuse -n` of the same blocks, which tell inode and path as
 * well, but no range of the file; and beside `fsmap` of each, which tells inode and range but no path, and only where there is a reverse map.
 * xfs_db reads all blocks as if they were whole: ours goes round 5,000 that are not. Rounds alternate; the page cache is warm for all.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { createPrng } from "../src/base/index.ts";
import { openDevice } from "../src/device/index.ts";
import { openFileMap } from "../src/fs/index.ts";
import { BENCH_FOLDER } from "./make-ext4-image.ts";

const BAD_BLOCKS = 5000;
const BLOCK = 4096;
const SECTORS = BLOCK / 512;
const FILES_PER_DIRECTORY = 200;

function made(program: string, args: readonly string[], input = ""): string {
  const { status, stdout, stderr } = spawnSync(program, args, {
    encoding: "utf8",
    input,
    maxBuffer: 2 ** 30,
  });
  if (status !== 0 && status !== 1)
    throw new Error(`${program} ended with ${status}: ${stderr.slice(-500)}`);
  return stdout;
}

/** An image of files of 6000 bytes in directories of 200, made once by mkfs.xfs from a prototype. */
function makeXfsImage(files: number): string {
  const image = join(BENCH_FOLDER, `xfs-${files}.img`);
  if (existsSync(image)) return image;
  const content = join(BENCH_FOLDER, "content");
  writeFileSync(content, createPrng(1).bytes(6000));
  const lines = ["/", "0 0", "d--755 0 0"];
  for (let directory = 0; directory * FILES_PER_DIRECTORY < files; directory += 1) {
    lines.push(`directory-${directory} d--755 0 0`);
    for (let file = 0; file < FILES_PER_DIRECTORY; file += 1)
      lines.push(`file-${directory}-${file} ---644 0 0 ${content}`);
    lines.push("$");
  }
  const prototype = join(BENCH_FOLDER, "prototype");
  writeFileSync(prototype, `${lines.join("\n")}\n$\n`);
  const size = Math.max(512 * 2 ** 20, files * 16 * 1024);
  made("mkfs.xfs", [
    "-q",
    "-f",
    "-m",
    "rmapbt=1",
    "-p",
    prototype,
    "-d",
    `file,name=${image}.new,size=${size}`,
  ]);
  renameSync(`${image}.new`, image);
  return image;
}

/** Blocks in use, at random, ascending, apart. */
async function badBlocks(image: string): Promise<readonly number[]> {
  const device = openDevice(image);
  const used = [...(await (await openFileMap(device)).used())];
  device.close();
  const random = createPrng(BAD_BLOCKS);
  const blocks = new Set<number>();
  const total = used.reduce((sum, { length }) => sum + length, 0) / BLOCK;
  while (blocks.size < Math.min(BAD_BLOCKS, total / 2)) {
    let place = random.below(total);
    for (const { offset, length } of used) {
      if (place * BLOCK < length) {
        blocks.add(offset / BLOCK + place);
        break;
      }
      place -= length / BLOCK;
    }
  }
  return [...blocks].sort((one, other) => one - other);
}

/** One thing to measure: what its last run found, so that nobody compares work with no work, and what its runs took. */
interface Contender {
  readonly name: string;
  readonly run: () => number;
  readonly runs: Run[];
  found: number;
}

/** Seconds on the clock and of processor time, and the largest memory. */
interface Run {
  readonly wall: number;
  readonly cpu: number;
  readonly mib: number;
}

const TIMES = join(BENCH_FOLDER, "times");

/** Runs a program under time(1). */
function timed(program: string, args: readonly string[], input = ""): string {
  return made("/usr/bin/time", ["-q", "-f", "%e %U %S %M", "-o", TIMES, program, ...args], input);
}

function lastRun(): Run {
  const [wall, user, system, kib] = readFileSync(TIMES, "utf8").trim().split(" ").map(Number) as [
    number,
    number,
    number,
    number,
  ];
  return { wall, cpu: user + system, mib: kib / 1024 };
}

function survey(program: string, image: string, list: string): number {
  const text = timed(process.execPath, [program, "survey", image, "--poison", list, "--json"]);
  const { damage } = JSON.parse(text) as {
    readonly damage: readonly {
      readonly length: number;
      readonly owners: readonly { readonly inode?: number }[];
    }[];
  };
  return damage
    .filter(({ owners }) => owners.some(({ inode }) => inode !== undefined))
    .reduce((sum, { length }) => sum + length / BLOCK, 0);
}

/** Blocks as xfs_db numbers them. */
function numbersOf(image: string, blocks: readonly number[]): readonly number[] {
  const geometry = made("xfs_db", ["-r", "-c", "sb 0", "-c", "p agblocks agblklog", image]);
  const [agBlocks, bits] = [...geometry.matchAll(/= (\d+)/g)].map((match) => Number(match[1])) as [
    number,
    number,
  ];
  return blocks.map((block) => Math.floor(block / agBlocks) * 2 ** bits + (block % agBlocks));
}

/** Inode and path of each block, by a walk over everything. */
function blockUse(image: string, numbers: readonly number[]): number {
  const asks = numbers.map((number) => `fsblock ${number}\nblockuse -n\n`).join("");
  return [...timed("xfs_db", ["-r", image], `blockget -n\n${asks}`).matchAll(/ inode \d+/g)].length;
}

/** Inode and offset in the file of each block, by the reverse map: no path. */
function fsmap(image: string, numbers: readonly number[]): number {
  const asks = numbers.map((number) => `fsmap ${number} ${number}\n`).join("");
  return [...timed("xfs_db", ["-r", image], asks).matchAll(/ owner \d+/g)].length;
}

const median = (values: readonly number[]): number =>
  [...values].sort((one, other) => one - other)[Math.floor(values.length / 2)]!;

function told({ name, runs, found }: Contender): void {
  const [wall, cpu, mib] = (["wall", "cpu", "mib"] as const).map((what) =>
    median(runs.map((run) => run[what])),
  ) as [number, number, number];
  console.log(
    `  ${name.padEnd(18)} ${wall.toFixed(2)} s, processor ${cpu.toFixed(2)} s, ${mib.toFixed(0)} MiB; blocks with an inode: ${found}`,
  );
}

const { values } = parseArgs({
  options: {
    files: { type: "string", default: "200000" },
    rounds: { type: "string", default: "5" },
    program: { type: "string", default: "dist/cli/main.js" },
  },
});
mkdirSync(BENCH_FOLDER, { recursive: true });
const image = makeXfsImage(Number(values.files));
const blocks = await badBlocks(image);
const numbers = numbersOf(image, blocks);
const list = join(BENCH_FOLDER, "bad-xfs");
writeFileSync(list, blocks.map((block) => `${block * SECTORS} ${SECTORS}\n`).join(""));
const contenders: readonly Contender[] = [
  {
    name: "theriac survey",
    run: () => survey(values.program, image, list),
    runs: [],
    found: 0,
  },
  { name: "xfs_db blockuse", run: () => blockUse(image, numbers), runs: [], found: 0 },
  { name: "xfs_db fsmap", run: () => fsmap(image, numbers), runs: [], found: 0 },
];
for (let round = -1; round < Number(values.rounds); round += 1) {
  for (const contender of contenders) {
    contender.found = contender.run();
    if (round >= 0) contender.runs.push(lastRun());
  }
}
console.log(
  `${BAD_BLOCKS} bad blocks, ${values.files} files, medians of ${values.rounds} rounds, Node ${process.version}`,
);
for (const contender of contenders) told(contender);
const [ours, ...rivals] = contenders.map(({ runs }) => median(runs.map(({ wall }) => wall))) as [
  number,
  ...number[],
];
console.log(`  xfs_db / theriac: ${rivals.map((time) => (time / ours).toFixed(2)).join(", ")}`);
