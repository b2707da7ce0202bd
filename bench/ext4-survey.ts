/**
 * bench/ext4-survey: `theriac survey` beside debugfs on an ext4 image of 200,000 files. Whole processes, start-up included.
 *
 *     npm run build; npx tsc -p bench; node .work/bench/bench/ext4-survey.js [--files 200000] [--rounds 7] [--program dist/cli/main.js]
 *
 * - "5000 blocks": 5,000 bad blocks at random among those in use, beside `debugfs icheck` (which tells inodes alone; survey tells
 *   paths and ranges of files as well)
 * - "64 blocks": 64 bad blocks, beside `debugfs icheck` and then `ncheck` of the inodes that it found
 *
 * Rounds alternate between the two; the table has medians, the range, and the ratio of the medians. The page cache is warm for both.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { createPrng } from "../src/base/index.ts";
import { BENCH_FOLDER, makeExt4Image } from "./make-ext4-image.ts";

/** debugfs cuts a line of a script at 8 KiB. */
const NUMBERS_PER_LINE = 700;
const BLOCK = 4096;
const SECTORS_PER_BLOCK = BLOCK / 512;

/** One thing to measure, and how many facts its last run gave: so that nobody compares work with no work. */
interface Contender {
  readonly name: string;
  /** Runs the processes. @returns what counts the facts in what they printed, which is not their time */
  run(): () => number;
  readonly times: number[];
  found: number;
}

/** Block numbers in use, at random, ascending, apart. */
function badBlocks(image: string, count: number): number[] {
  const random = createPrng(count);
  const text = execFileSync("dumpe2fs", [image], {
    encoding: "latin1",
    maxBuffer: 2 ** 30,
    stdio: ["ignore", "pipe", "ignore"],
  });
  const total = Number(/^Block count: +(\d+)/m.exec(text)?.[1]);
  const free = [...text.matchAll(/^ {2}Free blocks: (.+)$/gm)].flatMap((match) =>
    [...(match[1] as string).matchAll(/(\d+)(?:-(\d+))?/g)].map(
      (range) => [Number(range[1]), Number(range[2] ?? range[1])] as const,
    ),
  );
  const isFree = (block: number): boolean =>
    free.some(([first, last]) => block >= first && block <= last);
  const blocks = new Set<number>();
  while (blocks.size < count) {
    const block = random.below(total);
    if (!isFree(block)) blocks.add(block);
  }
  return [...blocks].sort((one, other) => one - other);
}

function scriptOf(name: string, numbers: readonly number[]): string {
  const lines: string[] = [];
  for (let at = 0; at < numbers.length; at += NUMBERS_PER_LINE)
    lines.push(`${name} ${numbers.slice(at, at + NUMBERS_PER_LINE).join(" ")}`);
  return `${lines.join("\n")}\n`;
}

function debugfs(image: string, script: string): string {
  const path = join(BENCH_FOLDER, "script");
  writeFileSync(path, script);
  return execFileSync("debugfs", ["-f", path, image], {
    encoding: "latin1",
    maxBuffer: 2 ** 30,
    stdio: ["ignore", "pipe", "ignore"],
  });
}

function icheck(
  image: string,
  blocks: readonly number[],
): { readonly inodes: number[]; readonly found: number } {
  const matches = [...debugfs(image, scriptOf("icheck", blocks)).matchAll(/^\d+\t(\d+)$/gm)];
  return { inodes: [...new Set(matches.map((match) => Number(match[1])))], found: matches.length };
}

function survey(program: string, image: string, list: string): () => number {
  const result = spawnSync(
    process.execPath,
    [program, "survey", image, "--poison", list, "--json"],
    { encoding: "utf8", maxBuffer: 2 ** 30 },
  );
  // 1: data is missing, as it must be.
  if (result.status !== 1)
    throw new Error(`survey ended with ${result.status}: ${result.stderr.slice(-500)}`);
  return () => blocksWithInode(result.stdout);
}

function blocksWithInode(document: string): number {
  const report = JSON.parse(document) as {
    readonly damage: readonly {
      readonly length: number;
      readonly owners: readonly { readonly kind: string; readonly inode?: number }[];
    }[];
  };
  return report.damage
    .filter((damage) =>
      damage.owners.some((owner) => owner.inode !== undefined && owner.kind !== "free"),
    )
    .reduce((sum, damage) => sum + damage.length / BLOCK, 0);
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((one, other) => one - other);
  return (
    ((sorted[Math.floor((sorted.length - 1) / 2)] as number) +
      (sorted[Math.floor(sorted.length / 2)] as number)) /
    2
  );
}

function measure(contenders: readonly Contender[], rounds: number): void {
  for (const contender of contenders) contender.run()();
  for (let round = 0; round < rounds; round += 1) {
    for (const contender of round % 2 === 0 ? contenders : [...contenders].reverse()) {
      const started = performance.now();
      const count = contender.run();
      contender.times.push(performance.now() - started);
      contender.found = count();
    }
  }
}

function printTable(title: string, [ours, theirs]: readonly [Contender, Contender]): void {
  console.log(`\n${title}`);
  for (const { name, times, found } of [ours, theirs]) {
    const spread = `${(Math.min(...times) / 1000).toFixed(2)} to ${(Math.max(...times) / 1000).toFixed(2)}`;
    console.log(
      `  ${name.padEnd(28)} median ${(median(times) / 1000).toFixed(2)} s  (${spread}), blocks with an inode: ${found}`,
    );
  }
  console.log(
    `  ${theirs.name} / ${ours.name}: ${(median(theirs.times) / median(ours.times)).toFixed(2)}`,
  );
}

function main(): void {
  const { values } = parseArgs({
    options: {
      files: { type: "string", default: "200000" },
      rounds: { type: "string", default: "7" },
      program: { type: "string", default: "dist/cli/main.js" },
    },
  });
  mkdirSync(BENCH_FOLDER, { recursive: true });
  const image = makeExt4Image(Number(values.files));
  for (const count of [5000, 64]) {
    const blocks = badBlocks(image, count);
    const list = join(BENCH_FOLDER, `bad-${count}`);
    writeFileSync(
      list,
      blocks.map((block) => `${block * SECTORS_PER_BLOCK} ${SECTORS_PER_BLOCK}\n`).join(""),
    );
    const ours: Contender = {
      name: "theriac survey",
      run: () => survey(values.program, image, list),
      times: [],
      found: 0,
    };
    const both = count === 64;
    const theirs: Contender = {
      name: both ? "debugfs icheck + ncheck" : "debugfs icheck",
      run: () => {
        const { inodes, found } = icheck(image, blocks);
        if (both) debugfs(image, scriptOf("ncheck", inodes));
        return () => found;
      },
      times: [],
      found: 0,
    };
    measure([ours, theirs], Number(values.rounds));
    printTable(
      `${count} bad blocks, ${values.files} files, ${values.rounds} rounds, Node ${process.version}`,
      [ours, theirs],
    );
  }
}

main();
