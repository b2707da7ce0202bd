/**
 * device-read: what a read costs through a device, beside plain `fs.readSync` of the same file in the same run: cached reads of 4 KiB and
 * 1 MiB at random places, with an empty list and with one of 100,000 ranges that the reads do not touch (R6).
 *
 *     tsc -p bench && node .work/bench/bench/device-read.js
 */
import { closeSync, mkdtempSync, openSync, readSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createPrng, isPromise } from "../src/base/index.ts";
import { openDevice, type MediaDevice } from "../src/device/index.ts";

const SIZE = 256 * 1024 * 1024;
const RANGES = 100_000;
const ROUNDS = 7;

interface Case {
  readonly name: string;
  readonly length: number;
  readonly count: number;
}

const CASES: readonly Case[] = [
  { name: "4 KiB", length: 4096, count: 40_000 },
  { name: "1 MiB", length: 1024 * 1024, count: 400 },
];

/** A way to read. */
type Read = (into: Uint8Array, offset: number) => unknown;

/** Microseconds of one read: the best of the rounds, because whatever disturbs only adds. */
async function time(read: Read, { length, count }: Case): Promise<number> {
  const prng = createPrng(1);
  const slots = SIZE / length;
  const offsets = Array.from({ length: count }, () => prng.below(slots) * length);
  const into = new Uint8Array(length);
  const started = process.hrtime.bigint();
  for (const offset of offsets) {
    const answer = read(into, offset);
    if (isPromise(answer)) await answer;
  }
  return Number(process.hrtime.bigint() - started) / 1000 / count;
}

/** A list that every read looks into and none meets. */
function listOf(
  ranges: number,
  from: number,
): { offset: number; length: number; state: "poisoned" }[] {
  return Array.from({ length: ranges }, (_, index) => ({
    offset: from + index * 512,
    length: 64,
    state: "poisoned" as const,
  }));
}

async function main(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "theriac-bench-"));
  const path = join(folder, "image");
  const spare = RANGES * 512;
  try {
    // The list lies behind what is read, so that a look-up is made and finds nothing.
    writeFileSync(path, createPrng(2).bytes(16 * 1024 * 1024));
    const chunk = createPrng(3).bytes(16 * 1024 * 1024);
    const whole = openSync(path, "w");
    for (let at = 0; at < SIZE + spare; at += chunk.length) writeFileSync(whole, chunk);
    closeSync(whole);
    const fd = openSync(path, "r");
    const empty = openDevice(path);
    const listed = openDevice(path, { poison: listOf(RANGES, SIZE) });
    const through =
      (device: MediaDevice): Read =>
      (into, offset) =>
        device.read(into, offset);
    const synchronous =
      (device: MediaDevice): Read =>
      (into, offset) =>
        device.readSync(into, offset);
    const ways: readonly (readonly [string, Read])[] = [
      ["fs.readSync", (into, offset) => readSync(fd, into, 0, into.length, offset)],
      ["read(), empty list", through(empty)],
      [`read(), ${RANGES} ranges`, through(listed)],
      ["readSync(), empty list", synchronous(empty)],
      [`readSync(), ${RANGES} ranges`, synchronous(listed)],
    ];
    console.log(`${"reads".padEnd(8)}${"way".padEnd(30)}${"µs".padStart(9)}${"ratio".padStart(8)}`);
    for (const one of CASES) {
      const best = ways.map(() => Infinity);
      for (let round = 0; round < ROUNDS; round += 1) {
        for (const [index, [, read]] of ways.entries())
          best[index] = Math.min(best[index] ?? Infinity, await time(read, one));
      }
      for (const [index, [name]] of ways.entries()) {
        const ratio = (best[index] ?? 0) / (best[0] ?? 1);
        console.log(
          `${one.name.padEnd(8)}${name.padEnd(30)}${(best[index] ?? 0).toFixed(2).padStart(9)}${ratio.toFixed(2).padStart(8)}`,
        );
      }
    }
    closeSync(fd);
    empty.close();
    listed.close();
  } finally {
    rmSync(folder, { recursive: true });
  }
}

await main();
