/**
 * salvage: whole processes, start-up included, until the bytes are durable, beside GNU ddrescue in the same run, the same image and the same bad map; rounds
 * take turns, the best of each counts, because whatever disturbs only adds. Nothing is hashed but where it is said.
 *
 *     npm run build && npm run bench:salvage [rounds] [--ddrescue-sparse]     # needs gddrescue and 5 GiB of disk; the option takes minutes
 */
import { spawnSync } from "node:child_process";
import {
  closeSync,
  fsyncSync,
  ftruncateSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createPrng, RangeSet } from "../src/base/index.ts";
import { createMemoryDevice } from "../src/device/index.ts";
import { describeTarget, salvage, wholeTarget } from "../src/rescue/index.ts";

const DENSE = 2 * 1024 ** 3;
const SPARSE = 64 * 1024 ** 3;
const PIECE = 16 * 1024 ** 2;
const PIECES = 64;
const ROUNDS = Number(process.argv[2] ?? 3);
const PROGRAM = join(import.meta.dirname, "../../../dist/cli/main.js");

/** A way to copy; every file that it makes begins with the name it is given. */
type Way = (out: string) => void;

function run(command: string, args: readonly string[], codes: readonly number[] = [0]): void {
  const { status, stderr } = spawnSync(command, args, { encoding: "utf8" });
  if (status === null || !codes.includes(status))
    throw new Error(`${command} ${args.join(" ")}: ${status}: ${stderr}`);
}

/** Makes what another program wrote durable; it is little where that program did it itself. */
function durable(path: string): void {
  const fd = openSync(path, "r+");
  fsyncSync(fd);
  closeSync(fd);
}

function timeMs(way: Way, out: string): number {
  for (const end of ["", ".map", ".map.theriac", ".map.hashes", ".map.bak"])
    rmSync(`${out}${end}`, { force: true });
  const started = process.hrtime.bigint();
  way(out);
  return Number(process.hrtime.bigint() - started) / 1e6;
}

/** Best times of ways that take turns; the first is ours. */
function compare(
  name: string,
  ways: Readonly<Record<string, Way>>,
  options: { folder: string; rounds: number },
): void {
  const best = new Map<string, number>();
  const out = join(options.folder, "out");
  for (let round = 0; round < options.rounds; round += 1)
    for (const [label, way] of Object.entries(ways))
      best.set(label, Math.min(best.get(label) ?? Infinity, timeMs(way, out)));
  rmSync(out, { force: true });
  const [ours = 0] = best.values();
  for (const [label, time] of best)
    console.log(
      `${name.padEnd(34)}${label.padEnd(24)}${time.toFixed(0).padStart(8)} ms${(time / ours).toFixed(2).padStart(9)}`,
    );
}

function makeDense(path: string): void {
  const chunk = createPrng(3).bytes(PIECE);
  const fd = openSync(path, "w");
  for (let at = 0; at < DENSE; at += PIECE) {
    new DataView(chunk.buffer).setFloat64(0, at, true);
    writeSync(fd, chunk);
  }
  fsyncSync(fd);
  closeSync(fd);
}

/** Data in pieces, one in every part of the same length. */
function makeSparse(path: string): void {
  const chunk = createPrng(4).bytes(PIECE);
  const fd = openSync(path, "w");
  ftruncateSync(fd, SPARSE);
  for (let index = 0; index < PIECES; index += 1)
    writeSync(fd, chunk, 0, PIECE, index * (SPARSE / PIECES) + PIECE);
  fsyncSync(fd);
  closeSync(fd);
}

/** A map that calls everything finished but what is bad. */
function mapText(bad: RangeSet, size: number): string {
  let text = "0x0 ? 1\n";
  let at = 0;
  for (const { offset, length } of bad) {
    if (offset > at) text += `${at} ${offset - at} +\n`;
    text += `${offset} ${length} -\n`;
    at = offset + length;
  }
  return at < size ? `${text}${at} ${size - at} +\n` : text;
}

/** Bad pages and sectors of the dense image, a hundred of them. */
function hundredBad(): RangeSet {
  const places = Array.from({ length: 100 }, (_, index) => ({
    offset: (index * 20 + 7) * 1024 * 1024 + index * 4096,
    length: index % 2 === 0 ? 4096 : 512,
  }));
  return RangeSet.from(places);
}

/** Fault patterns of 64 MiB. */
const PATTERN_SIZE = 64 * 1024 * 1024;
const PATTERNS: readonly (readonly [string, number, number])[] = [
  ["one bad sector", 1, 512],
  ["one bad page", 1, 4096],
  ["64 random bad pages", 64, 4096],
  ["64 random bad sectors", 64, 512],
  ["one bad run of 1 MiB", 1, 1024 * 1024],
];

/** Reads and failed reads of both policies, with a list, and of ddrescue by its own log. */
async function countReads(folder: string): Promise<void> {
  const prng = createPrng(5);
  const bytes = prng.bytes(PATTERN_SIZE);
  const file = (name: string): string => join(folder, name);
  writeFileSync(file("pattern"), bytes);
  console.log(
    `\n${"reads / failed of them".padEnd(28)}${["ddrescue", "costly", "cheap", "listed"].map((name) => name.padStart(16)).join("")}`,
  );
  for (const [name, count, length] of PATTERNS) {
    const places = Array.from({ length: count }, () => ({
      offset: prng.below(PATTERN_SIZE / length) * length,
      length,
    }));
    const bad = RangeSet.from(places);
    writeFileSync(file("pattern.bad"), mapText(bad, PATTERN_SIZE));
    for (const end of ["", ".map"]) rmSync(file(`out${end}`), { force: true });
    const log = `--log-reads=${file("log")}`;
    run("ddrescue", [
      "-q",
      log,
      "-H",
      file("pattern.bad"),
      file("pattern"),
      file("out"),
      file("out.map"),
    ]);
    const lines = readFileSync(file("log"), "utf8")
      .split("\n")
      .filter((line) => line.startsWith("0x"));
    const failed = lines.filter((line) => /^0x\S+\s+\d+\s+\d+\s+[1-9]/.test(line)).length;
    const cells = [`${lines.length} / ${failed}`];
    for (const policy of ["costly", "cheap", "listed"] as const) {
      for (const end of ["", ".map", ".map.theriac"]) rmSync(file(`out${end}`), { force: true });
      const device = createMemoryDevice({
        bytes: Uint8Array.from(bytes),
        poisonUnit: 512,
        clearUnit: 512,
        name: "memory",
      });
      for (const range of bad) device.inject(range, { latent: policy !== "listed" });
      const target = await describeTarget(device, { path: "memory" });
      // With the list, by attempts too, so that they can be counted.
      const by = policy === "listed" ? "cheap" : policy;
      const { reads } = await salvage(wholeTarget(target), file("out"), { policy: by });
      cells.push(`${reads?.reads} / ${reads?.failed}`);
    }
    console.log(`${name.padEnd(28)}${cells.map((cell) => cell.padStart(16)).join("")}`);
  }
}

async function main(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "theriac-bench-"));
  const file = (name: string): string => join(folder, name);
  const theriac = (args: readonly string[]): void =>
    run(process.execPath, [PROGRAM, "salvage", ...args], [0, 1]);
  const ddrescue = (args: readonly string[], out: string): void => {
    run("ddrescue", ["-q", ...args, out, `${out}.map`]);
    durable(out);
  };
  try {
    console.log(
      `${"case".padEnd(34)}${"way".padEnd(24)}${"best".padStart(11)}${"ratio".padStart(9)}`,
    );
    makeDense(file("dense"));
    writeFileSync(file("bad.map"), mapText(hundredBad(), DENSE));
    compare(
      "dense 2 GiB, 100 bad ranges",
      {
        theriac: (out) => theriac([file("dense"), out, "--poison", file("bad.map")]),
        "theriac --hash": (out) =>
          theriac(["--hash", file("dense"), out, "--poison", file("bad.map")]),
        "ddrescue -H": (out) => ddrescue(["-H", file("bad.map"), file("dense")], out),
        "ddrescue (nothing bad)": (out) => ddrescue([file("dense")], out),
      },
      { folder, rounds: ROUNDS },
    );
    rmSync(file("dense"));
    makeSparse(file("sparse"));
    const sparse: Record<string, Way> = {
      theriac: (out) => theriac([file("sparse"), out]),
      "cp, fsync": (out) => {
        run("cp", ["--sparse=auto", "--reflink=never", file("sparse"), out]);
        durable(out);
      },
    };
    compare("sparse 64 GiB holding 1 GiB", sparse, { folder, rounds: ROUNDS });
    if (process.argv.includes("--ddrescue-sparse"))
      compare(
        "the same, once",
        { ...sparse, "ddrescue -S": (out) => ddrescue(["-S", file("sparse")], out) },
        { folder, rounds: 1 },
      );
    rmSync(file("sparse"));
    await countReads(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

await main();
