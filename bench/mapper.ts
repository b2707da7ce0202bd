/**
 * mapper: what a stack of tables costs: cached reads of 4 KiB at random places of an image through linear, striped and a stack of three, beside the
 * same reads of the bare device in the same run; through mirrors, whole and damaged; on the synchronous face too; and with the checker of the contract between all layers.
 *
 *     npm run bench:mapper
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createPrng, isPromise } from "../src/base/index.ts";
import {
  createMemoryDevice,
  checkedDevice,
  openDevice,
  type Device,
  type ManagedDevice,
  type SimulatedDevice,
} from "../src/device/index.ts";
import { loadTable, mappedDevice, parseTable } from "../src/mapper/index.ts";

const SIZE = 128 * 1024 * 1024;
const LENGTH = 4096;
const COUNT = 40_000;
const ROUNDS = 15;

/** A way to read. */
interface Way {
  readonly name: string;
  readonly size: number;
  read(into: Uint8Array, offset: number): unknown;
}

function stack(
  devices: Readonly<Record<string, ManagedDevice>>,
  tables: readonly string[],
  isChecked = false,
): Device {
  const wrap = (device: ManagedDevice): ManagedDevice =>
    isChecked ? checkedDevice(device) : device;
  const known = new Map(Object.entries(devices).map(([name, device]) => [name, wrap(device)]));
  for (const [index, text] of tables.entries()) {
    const rows = loadTable(parseTable(text, "bench"), {
      path: "bench",
      lookup: (word) => known.get(word),
    });
    known.set(`t${index}`, wrap(mappedDevice(rows, { name: `t${index}` }) as ManagedDevice));
  }
  return [...known.values()].at(-1) as Device;
}

/** Microseconds of one read. Places are the same multiples of 4 KiB for every way. */
async function time(way: Way, places: Float64Array): Promise<number> {
  const into = new Uint8Array(LENGTH);
  const started = process.hrtime.bigint();
  for (const place of places) {
    const answer = way.read(into, place);
    if (isPromise(answer)) await answer;
  }
  return Number(process.hrtime.bigint() - started) / 1000 / places.length;
}

/** The median of what each round's figure is to the first way's of that round: a busy machine slows both. */
async function compare(title: string, ways: readonly Way[], count: number): Promise<void> {
  const slots = Math.min(...ways.map(({ size }) => size)) / LENGTH;
  const prng = createPrng(1);
  const places = Float64Array.from({ length: count }, () => prng.below(slots) * LENGTH);
  const figures = ways.map((): number[] => []);
  for (let round = 0; round <= ROUNDS; round += 1) {
    for (let turn = 0; turn < ways.length; turn += 1) {
      const index = (turn + round) % ways.length;
      const figure = await time(ways[index] as Way, places);
      if (round > 0) figures[index]?.push(figure);
    }
  }
  console.log(`\n${title.padEnd(46)}${"µs".padStart(8)}${"ratio".padStart(8)}`);
  for (const [index, { name }] of ways.entries()) {
    const own = figures[index] ?? [];
    const ratios = own.map((figure, round) => figure / (figures[0]?.[round] ?? figure));
    console.log(
      `  ${name.padEnd(44)}${median(own).toFixed(3).padStart(8)}${median(ratios).toFixed(3).padStart(8)}`,
    );
  }
}

function median(values: readonly number[]): number {
  return values.toSorted((one, other) => one - other)[Math.floor(values.length / 2)] ?? 0;
}

function asWay(name: string, device: Device): Way {
  return { name, size: device.size, read: (into, offset) => device.read(into, offset) };
}

function directWay(name: string, device: Device): Way {
  const { direct } = device;
  if (direct === undefined) throw new Error(`${name} has no direct access`);
  return {
    name,
    size: device.size,
    read: (into, offset) =>
      direct.probe(offset / LENGTH, 1, "access") === 1 ? direct.load(into, offset) : 0,
  };
}

const SECTORS = SIZE / 512;
const LINEAR = [`0 ${SECTORS} linear a 0`];
const STRIPED = [`0 ${SECTORS * 2} striped 2 128 a 0 b 0`];
const THREE = [...STRIPED, `0 ${SECTORS} linear t0 ${SECTORS}`, `0 ${SECTORS} linear t1 0`];
const NESTED = [
  `0 ${SECTORS / 2} linear a 0\n${SECTORS / 2} ${SECTORS / 2} linear a ${SECTORS / 2}`,
  `0 ${SECTORS * 2} striped 2 128 t0 0 b 0`,
  `0 ${SECTORS} linear t1 64`,
];

async function run(
  title: string,
  devices: Readonly<Record<"a" | "b", ManagedDevice>>,
): Promise<void> {
  const tables: readonly (readonly [string, Device])[] = [
    ["bare device", devices.a],
    ["bare device again: what the ratio is worth", devices.a],
    ["linear", stack(devices, LINEAR)],
    ["striped, 64 KiB chunks", stack(devices, STRIPED)],
    ["linear over linear over striped", stack(devices, THREE)],
    ["linear over striped over two linear rows", stack(devices, NESTED)],
  ];
  await compare(
    `${title}: read()`,
    tables.map(([name, device]) => asWay(name, device)),
    COUNT,
  );
  if (devices.a.direct !== undefined) {
    await compare(
      `${title}: probe() and load()`,
      tables.map(([name, device]) => directWay(name, device)),
      COUNT,
    );
  }
  await compare(
    `${title}: the checker between all layers`,
    [
      asWay("bare device", devices.a),
      asWay("bare device, checked", stack(devices, [], true)),
      asWay("linear, checked", stack(devices, LINEAR, true)),
      asWay("stack of three, checked", stack(devices, THREE, true)),
    ],
    COUNT / 20,
  );
}

/** Mirrors: whole, and with a thousand ranges of 64 bytes bad in the first leg that it refuses to heal: each read there is put together. */
async function mirrors(): Promise<void> {
  const leg = (name: string): SimulatedDevice => createMemoryDevice({ size: SIZE, name });
  const make = (names: readonly [string, string]): Device => {
    const [one, other] = names;
    return stack({ [one]: leg(one), [other]: leg(other) }, [
      `0 ${SECTORS} mirror core 2 1024 nosync 2 ${one} 0 ${other} 0`,
    ]);
  };
  const bad = leg("a");
  const prng = createPrng(2);
  for (let count = 0; count < 1000; count += 1) {
    const range = { offset: prng.below(SIZE / 64) * 64, length: 64 };
    bad.inject(range);
    bad.setFault({ ...range, kind: "refuses", on: true });
  }
  const table = `0 ${SECTORS} mirror core 2 1024 nosync 2 a 0 b 0`;
  const damaged = stack({ a: bad, b: leg("b") }, [table]);
  // each bad range is tried once in a session: that is not what is measured
  for (let at = 0; at < SIZE; at += LENGTH) await damaged.read(new Uint8Array(LENGTH), at);
  await compare(
    "memory: mirror of two legs: read()",
    [
      asWay("bare device", leg("bare")),
      asWay("bare device, 1,000 bad ranges", bad),
      asWay("mirror", make(["c", "d"])),
      asWay("mirror, 1,000 bad ranges in one leg", damaged),
    ],
    COUNT,
  );
}

async function main(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "theriac-bench-"));
  try {
    const content = createPrng(1).bytes(SIZE);
    for (const name of ["a", "b"]) writeFileSync(join(folder, name), content);
    const open = (name: string): ManagedDevice => openDevice(join(folder, name));
    const files = { a: open("a"), b: open("b") };
    await run("image in a file", files);
    for (const device of Object.values(files)) await device.close();
    const memory = (name: string): ManagedDevice => createMemoryDevice({ size: SIZE, name });
    await run("memory", { a: memory("a"), b: memory("b") });
    await mirrors();
  } finally {
    rmSync(folder, { recursive: true });
  }
}

await main();
