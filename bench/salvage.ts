/**
 * salvage: whole processes, start-up included, until the bytes are durable, beside GNU ddrescue in the same run, the same image and the same bad map; rounds
 * take turns, the best of each counts, because whatever disturbs only adds. Nothing is hashed but where it is said.
 *
 *     npm run build && npm run bench:salvage [rounds]       # needs gddrescue, and 5 GiB of disk
 */
import { spawnSync } from "node:child_process";
import {
  closeSync,
  fsyncSync,
  ftruncateSync,
  mkdtempSync,
  openSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createPrng } from "../src/base/index.ts";

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
  for (const end of ["", ".map", ".map.theriac", ".map.bak"])
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

/** A bad map of pages and sectors, a hundred of them. */
function makeMap(path: string): void {
  let text = "0x0 ? 1\n";
  let at = 0;
  for (let index = 0; index < 100; index += 1) {
    const offset = (index * 20 + 7) * 1024 * 1024 + index * 4096;
    const length = index % 2 === 0 ? 4096 : 512;
    text += `${at} ${offset - at} +\n${offset} ${length} -\n`;
    at = offset + length;
  }
  writeFileSync(path, `${text}${at} ${DENSE - at} +\n`);
}

function main(): void {
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
    makeMap(file("bad.map"));
    compare(
      "dense 2 GiB, 100 bad ranges",
      {
        theriac: (out) => theriac([file("dense"), out, "--poison", file("bad.map")]),
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
    compare(
      "the same, once",
      { ...sparse, "ddrescue -S": (out) => ddrescue(["-S", file("sparse")], out) },
      { folder, rounds: 1 },
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
}

main();
