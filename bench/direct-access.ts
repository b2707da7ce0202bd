/**
 * direct-access: what a load and a store cost through the direct face, beside a bare copy from and to the same mapping in the same run: at
 * random in 1 GiB, with an empty list and with 100,000 bad ranges elsewhere (R6). Rounds are interleaved, medians of their ratios.
 *
 *     npm run bench:direct-access
 */
import { closeSync, fsyncSync, mkdtempSync, openSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createPrng } from "../src/base/index.ts";
import { ExtentTable } from "../src/dax/index.ts";
import {
  adoptImage,
  openDevice,
  type DirectAccess,
  type MediaDevice,
} from "../src/device/index.ts";
import { mapFile, type MappedFile } from "../src/file/index.ts";

const SIZE = 1024 ** 3;
const RANGES = 100_000;
const SPARE = RANGES * 512;
const PAGE_SIZE = 4096;
const ROUNDS = 25;

interface Case {
  readonly name: string;
  readonly length: number;
  readonly count: number;
}

const CASES: readonly Case[] = [
  { name: "4 KiB", length: 4096, count: 60_000 },
  { name: "128 KiB", length: 128 * 1024, count: 1500 },
];

/** One operation at an offset; a class for each way, so that none spoils the inline caches of another. */
type Operation = (buffer: Uint8Array, offset: number) => void;

/** Microseconds of one operation. The loop is made anew for each way: shared, its call would be no direct one. */
function timer(operation: Operation): (buffer: Uint8Array, offsets: Float64Array) => number {
  // oxlint-disable-next-line no-new-func, typescript/no-implied-eval -- a loop of its own for each way
  const loop = new Function(
    "operation",
    "buffer",
    "offsets",
    "for (let at = 0; at < offsets.length; at += 1) operation(buffer, offsets[at]);",
  ) as (operation: Operation, buffer: Uint8Array, offsets: Float64Array) => void;
  return (buffer, offsets) => {
    const started = process.hrtime.bigint();
    loop(operation, buffer, offsets);
    return Number(process.hrtime.bigint() - started) / 1000 / offsets.length;
  };
}

function offsetsOf({ length, count }: Case, seed: number): Float64Array {
  const prng = createPrng(seed);
  const slots = SIZE / length;
  return Float64Array.from({ length: count }, () => prng.below(slots) * length);
}

/** The mapping itself, in the device's one window of 1 GiB. */
function windowOf(device: MediaDevice): Uint8Array {
  const view = device.direct?.view({ offset: 0, length: SIZE });
  if (view?.length !== SIZE) throw new Error("want an image in one window");
  return view;
}

function directOf(device: MediaDevice): DirectAccess {
  if (device.direct === undefined) throw new Error("want direct access: is koffi there?");
  return device.direct;
}

/** The two calls that dax/ makes for a read. */
function loadThrough(direct: DirectAccess): Operation {
  return (into, offset) => {
    const pages = into.length / PAGE_SIZE;
    if (direct.probe(offset / PAGE_SIZE, pages, "access") !== pages) throw new Error("refused");
    if (direct.load(into, offset) !== into.length) throw new Error("short");
  };
}

/** The two calls that dax/ makes for a write. */
function storeThrough(direct: DirectAccess): Operation {
  return (from, offset) => {
    const pages = from.length / PAGE_SIZE;
    if (direct.probe(offset / PAGE_SIZE, pages, "access") !== pages) throw new Error("refused");
    direct.store(from, offset);
  };
}

/** All of a device as a mapped file. */
function mappedOf(device: MediaDevice): MappedFile {
  const extents = new ExtentTable([{ offset: 0, length: device.size, kind: "data", device: 0 }]);
  const { size } = device;
  const direct = directOf(device);
  return mapFile({ name: "bench", device, direct, pageSize: PAGE_SIZE, extents, size });
}

/** Loads of a mapped file. */
function loadMapped(mapping: MappedFile): Operation {
  return (into, offset) => {
    if (mapping.load(into, offset) !== into.length) throw new Error("short");
  };
}

/** Stores of a mapped file. */
function storeMapped(mapping: MappedFile): Operation {
  return (from, offset) => {
    if (mapping.store(from, offset) !== from.length) throw new Error("short");
  };
}

function median(values: readonly number[]): number {
  return [...values].sort((one, other) => one - other)[values.length >>> 1] ?? 0;
}

/** Times ways beside the first; prints µs and ratios. */
function compare(title: string, ways: readonly (readonly [string, Operation])[], one: Case): void {
  const timers = ways.map(([, operation]) => timer(operation));
  const buffer = createPrng(9).bytes(one.length);
  const times = ways.map((): number[] => []);
  for (let round = -3; round < ROUNDS; round += 1) {
    const offsets = offsetsOf(one, round + 100);
    for (let turn = 0; turn < ways.length; turn += 1) {
      // Another one begins each round: who comes first meets colder caches.
      const index = (turn + round + ways.length * 3) % ways.length;
      const spent = timers[index]?.(buffer, offsets) ?? 0;
      if (round >= 0) times[index]?.push(spent);
    }
  }
  for (const [index, [name]] of ways.entries()) {
    const ratios = (times[index] ?? []).map((spent, round) => spent / (times[0]?.[round] ?? 1));
    const cells = [title.padEnd(7), one.name.padEnd(9), name.padEnd(34)];
    console.log(
      `${cells.join("")}${median(times[index] ?? [])
        .toFixed(3)
        .padStart(9)}${median(ratios).toFixed(3).padStart(8)}`,
    );
  }
}

/** An image of `size` bytes, filled once. */
function fill(path: string, size: number): void {
  const fd = openSync(path, "w");
  const chunk = createPrng(3).bytes(16 * 1024 * 1024);
  for (let at = 0; at < size; at += chunk.length)
    writeSync(fd, chunk, 0, Math.min(chunk.length, size - at), at);
  fsyncSync(fd);
  closeSync(fd);
}

function main(): void {
  const folder = mkdtempSync(join(tmpdir(), "theriac-bench-"));
  try {
    const path = join(folder, "image");
    fill(path, SIZE + SPARE);
    adoptImage(path).close();
    // Two openings of one image would lock each other out: reading ones share it.
    const empty = openDevice(path, { map: true });
    const listed = openDevice(path, {
      map: true,
      poison: Array.from({ length: RANGES }, (_, index) => ({
        offset: SIZE + index * 512,
        length: 64,
        state: "poisoned" as const,
      })),
    });
    const mapping = windowOf(empty);
    console.log(`${"".padEnd(50)}${"µs".padStart(9)}${"ratio".padStart(8)}`);
    for (const one of CASES) {
      const bare: Operation = (into, offset) =>
        into.set(mapping.subarray(offset, offset + into.length));
      const ways = [
        ["bare copy from the mapping", bare],
        ["bare copy again (noise)", ((into, offset) => bare(into, offset)) as Operation],
        ["probe and load, empty list", loadThrough(directOf(empty))],
        [`probe and load, ${RANGES} ranges`, loadThrough(directOf(listed))],
        ["mapped load, empty list", loadMapped(mappedOf(empty))],
        [`mapped load, ${RANGES} ranges`, loadMapped(mappedOf(listed))],
      ] as const;
      compare("load", ways, one);
    }
    empty.close();
    listed.close();
    const writable = openDevice(path, { access: "write", map: true });
    const target = windowOf(writable);
    const stored = [
      ["bare copy into the mapping", (from, offset) => target.set(from, offset)],
      ["probe and store, empty list", storeThrough(directOf(writable))],
      ["mapped store, empty list", storeMapped(mappedOf(writable))],
    ] as const satisfies readonly (readonly [string, Operation])[];
    for (const one of CASES) compare("store", stored, one);
    for (let index = 0; index < RANGES; index += 1)
      writable.recordBad({ offset: SIZE + index * 512, length: 64 }, "poisoned");
    for (const one of CASES)
      compare(
        "store",
        [stored[0], [`probe and store, ${RANGES} ranges`, storeThrough(directOf(writable))]],
        one,
      );
    writable.close();
  } finally {
    rmSync(folder, { recursive: true });
  }
}

main();
