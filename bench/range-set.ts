/**
 * bench/range-set: RangeSet beside a plain sorted array, an npm interval tree and C++ `std::upper_bound`, in one run.
 *
 *     npx tsc -p bench; node --expose-gc .work/bench/bench/range-set.js [--counts 1000000,10000000] [--tree PATH]
 *
 * `--tree` names the module file of `@flatten-js/interval-tree`; without it the package is looked for, and left out where it
 * is missing. The C++ peer is left out where g++ is missing. Every look-up is for the same queries; the best of three rounds
 * counts. A plain array's insert moves half of it: it is measured over fewer inserts, at the full size, and N says how many.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { createPrng, RangeSet, type Prng } from "../src/base/index.ts";

const SECTOR = 512;
const QUERIES = 2_000_000;
/** A tree of objects takes 200 bytes a range and more: larger ones do not fit a default heap. */
const TREE_COUNT_MAX = 1_000_000;

/** Ranges of one or more sectors, sorted, apart; and offsets to look up. */
interface Load {
  readonly name: string;
  readonly starts: Float64Array;
  readonly ends: Float64Array;
  /** First byte behind all of them. */
  readonly end: number;
  readonly queries: Float64Array;
}

/** One line of the table: nanoseconds for one of something, or bytes. */
interface Row {
  readonly what: string;
  readonly value: number;
  readonly unit: "ns" | "B";
  /** The same of a peer; its name, and its remark. */
  readonly peer?: { readonly name: string; readonly value: number };
}

/** The parts of the interval tree that are used. */
interface IntervalTree {
  insert(key: [number, number], value?: unknown): unknown;
  intersect_any(key: [number, number]): boolean;
}

function makeLoad(name: string, count: number, random: Prng): Load {
  const starts = new Float64Array(count);
  const ends = new Float64Array(count);
  let at = 0;
  for (let index = 0; index < count; index += 1) {
    // "clustered": a hundred ranges close together, then a long way to the next, as a scratch on a disk leaves them.
    const apart = name === "even" ? 64 : random.chance(0.01) ? 2 ** 20 : 16;
    at += 1 + random.below(apart);
    starts[index] = at * SECTOR;
    at += 1;
    ends[index] = at * SECTOR;
  }
  const queries = Float64Array.from({ length: QUERIES }, () => random.below(at * SECTOR));
  return { name, starts, ends, end: at * SECTOR, queries };
}

/** Nanoseconds of one of `count`; the best of `rounds`. */
function time(count: number, rounds: number, work: () => unknown): number {
  let best = Infinity;
  for (let round = 0; round < rounds; round += 1) {
    const begin = performance.now();
    work();
    best = Math.min(best, ((performance.now() - begin) * 1e6) / count);
  }
  return best;
}

/** Bytes of the heap and outside it that are in use. */
function memoryUsed(): number {
  globalThis.gc?.();
  globalThis.gc?.();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

function lookUpAll(set: RangeSet, offsets: Float64Array): number {
  let hits = 0;
  for (let at = 0; at < offsets.length; at += 1) if (set.intersects(offsets[at]!, 1)) hits += 1;
  return hits;
}

/** The usual way: a sorted array of objects, binary search, splice. */
class PlainArray {
  readonly ranges: { offset: number; end: number }[] = [];

  /** Index behind the last range that starts at or before `key`. */
  after(key: number): number {
    let low = 0;
    let high = this.ranges.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.ranges[middle]!.offset <= key) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  intersects(offset: number): boolean {
    const at = this.after(offset);
    return at > 0 && this.ranges[at - 1]!.end > offset;
  }

  insert(offset: number, end: number): void {
    this.ranges.splice(this.after(offset), 0, { offset, end });
  }
}

function measureOwn(load: Load, random: Prng): { rows: Row[]; randomNs: number; addNs: number } {
  const count = load.starts.length;
  const before = memoryUsed();
  let set = RangeSet.fromSorted(load.starts, load.ends);
  const built = (memoryUsed() - before) / count;
  const buildNs = time(count, 2, () => (set = RangeSet.fromSorted(load.starts, load.ends)));
  const ascendingNs = time(count, 3, () => lookUpAll(set, load.starts));
  const randomNs = time(QUERIES, 3, () => lookUpAll(set, load.queries));
  const changes = Math.min(count, QUERIES);
  const offsets = load.queries.map((query) => query - (query % SECTOR) + 128);
  const addNs = time(changes, 1, () => {
    for (let at = 0; at < changes; at += 1) set.add(offsets[at]!, 64);
  });
  const added = (memoryUsed() - before - offsets.byteLength) / set.size;
  const deleteNs = time(changes, 1, () => {
    for (let at = 0; at < changes; at += 1) set.delete(random.below(load.end), SECTOR);
  });
  const rows: Row[] = [
    { what: "build from sorted, a range", value: buildNs, unit: "ns" },
    { what: "look-up, ascending", value: ascendingNs, unit: "ns" },
    { what: `insert at random (N ${changes})`, value: addNs, unit: "ns" },
    { what: `delete at random (N ${changes})`, value: deleteNs, unit: "ns" },
    { what: "memory of a range, built", value: built, unit: "B" },
    { what: "memory of a range, after the inserts", value: added, unit: "B" },
  ];
  return { rows, randomNs, addNs };
}

function measureArray(load: Load, own: { randomNs: number; addNs: number }): Row[] {
  const plain = new PlainArray();
  const before = memoryUsed();
  for (let at = 0; at < load.starts.length; at += 1) {
    plain.ranges.push({ offset: load.starts[at]!, end: load.ends[at]! });
  }
  const bytes = (memoryUsed() - before) / load.starts.length;
  const lookNs = time(QUERIES, 2, () => {
    let hits = 0;
    for (const query of load.queries) if (plain.intersects(query)) hits += 1;
    return hits;
  });
  const inserts = 300;
  const insertNs = time(inserts, 1, () => {
    for (const query of load.queries.subarray(0, inserts)) plain.insert(query, query + 1);
  });
  return [
    {
      what: "look-up, random",
      value: own.randomNs,
      unit: "ns",
      peer: { name: "sorted array", value: lookNs },
    },
    {
      what: "insert at random",
      value: own.addNs,
      unit: "ns",
      peer: { name: `array, splice (N ${inserts})`, value: insertNs },
    },
    { what: "memory of a range, of the array", value: bytes, unit: "B" },
  ];
}

async function measureTree(
  load: Load,
  own: { randomNs: number; addNs: number },
  path: string | undefined,
): Promise<Row[]> {
  const count = load.starts.length;
  if (count > TREE_COUNT_MAX) return [];
  const name = path === undefined ? "@flatten-js/interval-tree" : pathToFileURL(path).href;
  const loaded = (await import(name).catch(() => undefined)) as
    | { default: new () => IntervalTree }
    | undefined;
  if (loaded === undefined) return [];
  const tree = new loaded.default();
  const before = memoryUsed();
  // Inserted in random order, as the inserts that it is compared with are.
  const order = Uint32Array.from(load.starts, (_, at) => at);
  const random = createPrng(2);
  for (let at = count - 1; at > 0; at -= 1) {
    const other = random.below(at + 1);
    [order[at], order[other]] = [order[other]!, order[at]!];
  }
  const insertNs = time(count, 1, () => {
    for (const at of order) tree.insert([load.starts[at]!, load.ends[at]! - 1], true);
  });
  const bytes = (memoryUsed() - before) / count;
  const queries = load.queries.subarray(0, QUERIES / 10);
  const lookNs = time(queries.length, 2, () => {
    let hits = 0;
    for (const query of queries) if (tree.intersect_any([query, query])) hits += 1;
    return hits;
  });
  return [
    {
      what: "look-up, random",
      value: own.randomNs,
      unit: "ns",
      peer: { name: "interval tree", value: lookNs },
    },
    {
      what: "insert at random",
      value: own.addNs,
      unit: "ns",
      peer: { name: "interval tree", value: insertNs },
    },
    { what: "memory of a range, of the tree", value: bytes, unit: "B" },
  ];
}

function measureUpperBound(load: Load, randomNs: number, folder: string): Row[] {
  const program = join(folder, "upper-bound");
  const source = join(import.meta.dirname, "../../../bench/range-set-upper-bound.cpp");
  try {
    execFileSync("g++", ["-O2", "-o", program, source]);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
  const files = [load.starts, load.queries].map((values, at) => {
    const path = join(folder, `values-${at}`);
    writeFileSync(path, values);
    return path;
  });
  const value = Number(execFileSync(program, files, { encoding: "utf8" }).split(" ")[0]);
  return [
    {
      what: "look-up, random",
      value: randomNs,
      unit: "ns",
      peer: { name: "C++ upper_bound", value },
    },
  ];
}

function print(load: Load, rows: readonly Row[]): void {
  console.log(`\n${load.starts.length} ranges, ${load.name}`);
  for (const { what, value, unit, peer } of rows) {
    const own = `${value.toFixed(value < 100 ? 1 : 0)} ${unit}`;
    const rate = unit === "ns" ? `${(1000 / value).toFixed(2)} M/s` : "";
    const beside =
      peer &&
      `${peer.name} ${peer.value.toFixed(0)} ns: ${(peer.value / value).toFixed(2)} times as fast`;
    console.log(
      `  ${what.padEnd(38)} ${own.padStart(9)} ${rate.padStart(11)}  ${beside ?? ""}`.trimEnd(),
    );
  }
}

const { values } = parseArgs({
  options: { counts: { type: "string", default: "1000000,10000000" }, tree: { type: "string" } },
});
const folder = mkdtempSync(join(tmpdir(), "theriac-bench-"));
try {
  for (const count of values.counts.split(",").map(Number)) {
    for (const name of ["even", "clustered"]) {
      const random = createPrng(1);
      const load = makeLoad(name, count, random);
      const own = measureOwn(load, random);
      const rows = [...own.rows, ...measureUpperBound(load, own.randomNs, folder)];
      if (name === "even") {
        rows.push(...(await measureTree(load, own, values.tree)), ...measureArray(load, own));
      }
      print(load, rows);
    }
  }
} finally {
  rmSync(folder, { recursive: true });
}
