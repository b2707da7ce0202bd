/**
 * nbd: the NBD server beside nbdkit and qemu-nbd, on the same image and with the same client, on Unix sockets, in interleaved rounds of one run.
 *
 *     npm run bench:nbd -- [ROUNDS] [SECONDS] [PART OF A LOAD'S NAME]
 *
 * Needs fio with its nbd engine, nbdcopy, nbdkit and qemu-nbd. Every number is the median of the rounds; a ratio is the median of the rounds' own ratios.
 */
import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { copyFileSync, existsSync, mkdtempSync, openSync, rmSync, writeSync } from "node:fs";
import { loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { createPrng } from "../src/base/index.ts";
import { openDevice } from "../src/device/index.ts";

const SIZE = 256 * 1024 * 1024;
const ROUNDS = Number(process.argv[2] ?? 5);
const SECONDS = Number(process.argv[3] ?? 1);
const RANGES = 100_000;
const MAIN = join(import.meta.dirname, "../../../dist/cli/main.js");
const folder = mkdtempSync(join(tmpdir(), "theriac-bench-nbd-"));

/** One server. */
interface Rival {
  readonly name: string;
  readonly uri: string;
  readonly command: readonly string[];
}

const socketOf = (name: string): string => join(folder, `${name.replaceAll(" ", "-")}.sock`);
const imageOf = (name: string): string => join(folder, `${name.replaceAll(" ", "-")}.img`);
const uriOf = (name: string): string => `nbd+unix:///?socket=${socketOf(name)}`;

function rivals(): Rival[] {
  const ours = (name: string): Rival => ({
    name,
    uri: uriOf(name),
    command: [process.execPath, MAIN, "serve", imageOf(name), "--listen", `unix:${socketOf(name)}`],
  });
  const file = "nbdkit file";
  const memory = "nbdkit memory";
  const qemu = "qemu-nbd";
  return [
    ours("theriac"),
    ours("theriac, 100,000 ranges"),
    {
      name: file,
      uri: uriOf(file),
      command: ["nbdkit", "-f", "-U", socketOf(file), "file", imageOf(file)],
    },
    {
      name: memory,
      uri: uriOf(memory),
      command: ["nbdkit", "-f", "-U", socketOf(memory), "memory", String(SIZE)],
    },
    {
      name: qemu,
      uri: uriOf(qemu),
      command: [
        "qemu-nbd",
        "-t",
        "-e",
        "8",
        "-f",
        "raw",
        "-x",
        "",
        "-k",
        socketOf(qemu),
        imageOf(qemu),
      ],
    },
  ];
}

function makeImages(): void {
  const first = imageOf("theriac");
  const fd = openSync(first, "w");
  const block = createPrng(1).bytes(1024 * 1024);
  for (let at = 0; at < SIZE; at += block.length) writeSync(fd, block);
  for (const name of ["theriac, 100,000 ranges", "nbdkit file", "qemu-nbd"])
    copyFileSync(first, imageOf(name));
  // The ranges lie in the last eighth, and loads in what comes before.
  const step = Math.floor(SIZE / 8 / RANGES / 64) * 64;
  const poison = Array.from({ length: RANGES }, (_, index) => ({
    offset: SIZE - (index + 1) * step,
    length: 64,
    state: "poisoned" as const,
  }));
  openDevice(imageOf("theriac, 100,000 ranges"), { access: "write", poison }).close();
}

/** What is measured: higher is better. */
interface Load {
  readonly name: string;
  readonly fio?: readonly string[];
}

const fio = (rw: string, bs: string, depth: number): Load => ({
  name: `${rw} ${bs}, depth ${depth}`,
  fio: [`--rw=${rw}`, `--bs=${bs}`, `--iodepth=${depth}`],
});
const LOADS: readonly Load[] = [
  fio("randread", "4k", 64),
  fio("randread", "4k", 1),
  fio("randwrite", "4k", 64),
  fio("randwrite", "128k", 8),
  { name: "nbdcopy to null:, MiB/s" },
];

/** Requests a second, or MiB a second of a copy. */
function measure({ uri }: Rival, load: Load, seconds: number): number {
  if (load.fio === undefined) {
    // A copy ends at the first bad range.
    if (uri === uriOf("theriac, 100,000 ranges")) return Number.NaN;
    const started = process.hrtime.bigint();
    for (let copies = 0; copies < 4; copies += 1)
      spawnSync("nbdcopy", ["--no-extents", uri, "null:"]);
    return (4 * SIZE) / 1024 / 1024 / (Number(process.hrtime.bigint() - started) / 1e9);
  }
  const run = spawnSync(
    "fio",
    [
      "--name=x",
      "--ioengine=nbd",
      `--uri=${uri}`,
      ...load.fio,
      `--size=${(SIZE / 8) * 7}`,
      `--runtime=${seconds}`,
      "--time_based",
      "--output-format=json",
    ],
    { encoding: "utf8" },
  );
  const text = run.stdout.slice(run.stdout.indexOf("{\n"));
  const [job] = (JSON.parse(text) as { jobs: Record<"read" | "write", { iops: number }>[] }).jobs;
  return (job?.read.iops ?? 0) + (job?.write.iops ?? 0);
}

const median = (values: readonly number[]): number =>
  values.toSorted((one, other) => one - other)[Math.floor(values.length / 2)] ?? Number.NaN;

async function startAll(all: readonly Rival[]): Promise<ChildProcess[]> {
  const children = all.map(({ command: [program = "", ...args] }) =>
    spawn(program, args, { stdio: "ignore" }),
  );
  for (const { name } of all)
    while (!existsSync(socketOf(name))) await new Promise((resolve) => setTimeout(resolve, 50));
  await new Promise((resolve) => setTimeout(resolve, 500));
  return children;
}

async function main(): Promise<void> {
  const all = rivals();
  makeImages();
  const children = await startAll(all);
  spawnSync("nbdcopy", [imageOf("nbdkit file"), uriOf("nbdkit memory")]);
  try {
    console.log(
      `${ROUNDS} rounds of ${SECONDS} s; load average ${loadavg()
        .map((load) => load.toFixed(1))
        .join(" ")}`,
    );
    console.log(
      [
        "load",
        ...all.map(({ name }) => name),
        "beside file",
        "beside memory",
        "beside qemu",
        "100,000 beside none",
      ].join(" | "),
    );
    for (const load of LOADS.filter(({ name }) => name.includes(process.argv[4] ?? ""))) {
      const rounds: number[][] = [];
      for (const rival of all) measure(rival, load, 1);
      for (let round = 0; round < ROUNDS; round += 1)
        rounds.push(all.map((rival) => measure(rival, load, SECONDS)));
      const ratio = (one: number, other: number): string =>
        median(rounds.map((row) => (row[one] ?? 0) / (row[other] ?? 1))).toFixed(2);
      const numbers = all.map((_, index) =>
        String(Math.round(median(rounds.map((row) => row[index] ?? 0)))),
      );
      console.log(
        [load.name, ...numbers, ratio(0, 2), ratio(0, 3), ratio(0, 4), ratio(1, 0)].join(" | "),
      );
    }
    console.log(
      `load average ${loadavg()
        .map((load) => load.toFixed(1))
        .join(" ")}`,
    );
  } finally {
    for (const child of children) child.kill();
    rmSync(folder, { recursive: true, force: true });
  }
}

await main();
