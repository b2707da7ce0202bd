/**
 * bench/xfs-survey: `theriac survey` beside xfs_db on an XFS image of 200,000 files. Whole processes, start-up included.
 *
 *     npm run build; npx tsc -p bench; node .work/bench/bench/xfs-survey.js [--files 200000] [--rounds 5] [--program dist/cli/main.js]
 *
 * 5,000 bad blocks at random among those in use, beside `blockget -n` and `blockuse -n` of the same blocks, which tell inode and path as
 * well, but no range of the file. Rounds alternate between the two; the page cache is warm for both.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, renameSync, writeFileSync } from "node:fs";
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
  while (blocks.size < BAD_BLOCKS) {
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

function survey(program: string, image: string, list: string): number {
  const text = made(process.execPath, [program, "survey", image, "--poison", list, "--json"]);
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

function xfsDb(image: string, blocks: readonly number[]): number {
  const geometry = made("xfs_db", ["-r", "-c", "sb 0", "-c", "p agblocks agblklog", image]);
  const [agBlocks, bits] = [...geometry.matchAll(/= (\d+)/g)].map((match) => Number(match[1])) as [
    number,
    number,
  ];
  const asks = blocks.map(
    (block) =>
      `fsblock ${Math.floor(block / agBlocks) * 2 ** bits + (block % agBlocks)}\nblockuse -n\n`,
  );
  return [...made("xfs_db", ["-r", image], `blockget -n\n${asks.join("")}`).matchAll(/ inode \d+/g)]
    .length;
}

function told(name: string, times: readonly number[], found: number): number {
  const sorted = [...times].sort((one, other) => one - other).map((time) => time / 1000);
  const middle = sorted[Math.floor(sorted.length / 2)]!;
  console.log(
    `  ${name.padEnd(18)} median ${middle.toFixed(2)} s  (${sorted[0]!.toFixed(2)} to ${sorted.at(-1)!.toFixed(2)}), blocks with an inode: ${found}`,
  );
  return middle;
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
const list = join(BENCH_FOLDER, "bad-xfs");
writeFileSync(list, blocks.map((block) => `${block * SECTORS} ${SECTORS}\n`).join(""));
const contenders = [
  {
    name: "theriac survey",
    run: () => survey(values.program, image, list),
    times: [] as number[],
    found: 0,
  },
  { name: "xfs_db blockuse", run: () => xfsDb(image, blocks), times: [] as number[], found: 0 },
];
for (let round = -1; round < Number(values.rounds); round += 1) {
  for (const contender of contenders) {
    const started = performance.now();
    contender.found = contender.run();
    if (round >= 0) contender.times.push(performance.now() - started);
  }
}
console.log(
  `${BAD_BLOCKS} bad blocks, ${values.files} files, ${values.rounds} rounds, Node ${process.version}`,
);
const [ours, theirs] = contenders.map(({ name, times, found }) => told(name, times, found)) as [
  number,
  number,
];
console.log(`  xfs_db / theriac: ${(theirs / ours).toFixed(2)}`);
