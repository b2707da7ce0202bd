/**
 * file-calls: "show us the numbers": what preadv2 and pwritev2 cost through file, dax and pmem, at random in 1 GiB, beside the same stack built
 * without list and mode, a bare copy from the mapping, and fs.readSync.
 *
 *     npm run bench:file-calls
 *
 * Each way runs in processes of its own, so that none shapes the machine code of another; rounds take turns; medians of the ratios of a round.
 * What is measured is processor time, user's and system's, because nothing here waits and the machine has other work.
 */
import { execFileSync } from "node:child_process";
import { closeSync, fsyncSync, mkdirSync, openSync, readSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { checkSpan, createPrng } from "../src/base/index.ts";
import { adoptImage, openDevice, type Device, type DirectAccess } from "../src/device/index.ts";
import { mapFile, nodeFiles, type FileMapping } from "../src/os/index.ts";
import { openFile, RWF_RECOVERY_DATA, type FileCalls } from "../src/file/index.ts";

const SIZE = 1024 ** 3;
const RANGES = 100_000;
const SPARE = RANGES * 512;
const PAGE = 4096;
const FOLDER = join(process.cwd(), ".work", "bench");
const IMAGE = join(FOLDER, "file-calls.img");
const LOOPS = 7;

const WAYS = ["bare", "readSync", "without", "empty", "flag", "ranges"] as const;
type Way = (typeof WAYS)[number];
type Kind = "read" | "write";

/** What is measured against what, and the goal. */
const ROWS: readonly {
  readonly title: string;
  readonly way: Way;
  readonly beside: Way;
  readonly kind: Kind;
  readonly length: number;
  readonly goal: string;
}[] = [
  ...(["read", "write"] as const).flatMap((kind) => [
    {
      title: "empty list",
      way: "empty" as const,
      beside: "without" as const,
      kind,
      length: PAGE,
      goal: "1.01",
    },
    {
      title: "empty list, with the flag",
      way: "flag" as const,
      beside: "without" as const,
      kind,
      length: PAGE,
      goal: "1.01",
    },
    {
      title: "100,000 ranges elsewhere",
      way: "ranges" as const,
      beside: "without" as const,
      kind,
      length: PAGE,
      goal: "1.05",
    },
  ]),
  {
    title: "whole call beside a bare copy",
    way: "empty",
    beside: "bare",
    kind: "read",
    length: PAGE,
    goal: "1.15",
  },
  {
    title: "whole call beside a bare copy",
    way: "empty",
    beside: "bare",
    kind: "read",
    length: 32 * PAGE,
    goal: "1.03",
  },
  {
    title: "whole call beside fs.readSync",
    way: "empty",
    beside: "readSync",
    kind: "read",
    length: PAGE,
    goal: "0.50",
  },
];

/** The device's direct face without list and mode: bounds, pages, windows and copies as there, and nothing that asks what is bad. */
class PlainFace implements Pick<DirectAccess, "probe" | "load" | "store"> {
  readonly #mapping: FileMapping;

  constructor(mapping: FileMapping) {
    this.#mapping = mapping;
  }

  probe(page: number, pages: number): number {
    const start = page * PAGE;
    checkSpan(start, 0, this.#mapping.size);
    return Math.min(pages, Math.ceil((this.#mapping.size - start) / PAGE));
  }

  load(into: Uint8Array, offset: number): number {
    checkSpan(offset, into.length, this.#mapping.size);
    this.#mapping.copyOut(into, offset);
    return into.length;
  }

  store(from: Uint8Array, offset: number): void {
    checkSpan(offset, from.length, this.#mapping.size);
    this.#mapping.copyIn(from, offset);
  }
}

/** A device over the same image whose direct face asks no list. */
function withoutList(device: Device, kind: Kind): Device {
  const file = nodeFiles.open(IMAGE, { access: kind === "write" ? "write" : "read" });
  const mapping = mapFile(file, { writable: kind === "write" });
  if (mapping === undefined) throw new Error("want a mapping: is koffi there?");
  return {
    size: device.size,
    identity: device.identity,
    capabilities: device.capabilities,
    poison: device.poison,
    direct: new PlainFace(mapping) as unknown as DirectAccess,
    read: () => ({ missing: [] }),
    write: () => undefined,
    flush: () => undefined,
    close: () => undefined,
  };
}

type Operation = (buffer: Uint8Array, offset: number) => void;

async function operationOf(way: Way, kind: Kind): Promise<Operation> {
  const device = openDevice(IMAGE, { map: true, access: kind === "write" ? "write" : "read" });
  const memory = device.direct?.view({ offset: 0, length: SIZE });
  if (memory?.length !== SIZE) throw new Error("want an image in one window: is koffi there?");
  if (way === "bare") {
    return kind === "read"
      ? (into, offset) => into.set(memory.subarray(offset, offset + into.length))
      : (from, offset) => memory.set(from, offset);
  }
  if (way === "readSync") {
    const fd = openSync(IMAGE, "r");
    return (into, offset) => void readSync(fd, into, 0, into.length, offset);
  }
  if (way === "ranges") {
    const list = Array.from({ length: RANGES }, (_, index) => ({
      offset: SIZE + index * 512,
      length: 64,
      state: "poisoned" as const,
    }));
    device.takeList(list, { remember: false });
  }
  const file = await openFile(way === "without" ? withoutList(device, kind) : device, {
    face: "dax",
  });
  return callOf(file.direct as FileCalls<"sync">, kind, way === "flag" ? RWF_RECOVERY_DATA : 0);
}

function callOf(calls: FileCalls<"sync">, kind: Kind, flags: number): Operation {
  return kind === "read"
    ? (into, offset) => void calls.preadv2(into, offset, flags)
    : (from, offset) => void calls.pwritev2(from, offset, flags);
}

/** Nanoseconds of the processor for one operation: the best of some loops of one process. */
async function measure(way: Way, kind: Kind, length: number): Promise<number> {
  const operation = await operationOf(way, kind);
  const prng = createPrng(7);
  const count = Math.floor(400_000_000 / (length + 2048));
  const offsets = Float64Array.from({ length: count }, () => prng.below(SIZE / length) * length);
  const buffer = prng.bytes(length);
  let best = Infinity;
  for (let loop = -2; loop < LOOPS; loop += 1) {
    const started = process.cpuUsage();
    for (let at = 0; at < count; at += 1) operation(buffer, offsets[at] as number);
    const { user, system } = process.cpuUsage(started);
    const spent = ((user + system) * 1000) / count;
    if (loop >= 0) best = Math.min(best, spent);
  }
  return best;
}

function inOwnProcess(way: Way, kind: Kind, length: number): number {
  const args = [import.meta.filename, "--way", way, "--kind", kind, "--length", String(length)];
  return Number(execFileSync(process.execPath, args, { encoding: "utf8" }));
}

/** The image, filled once, so that no page of it is a hole. */
function makeImage(): void {
  mkdirSync(FOLDER, { recursive: true });
  const fd = openSync(IMAGE, "w");
  const chunk = createPrng(3).bytes(16 * 1024 * 1024);
  for (let at = 0; at < SIZE + SPARE; at += chunk.length)
    writeSync(fd, chunk, 0, Math.min(chunk.length, SIZE + SPARE - at), at);
  fsyncSync(fd);
  closeSync(fd);
  adoptImage(IMAGE).close();
}

function median(values: readonly number[]): number {
  return [...values].sort((one, other) => one - other)[values.length >>> 1] ?? 0;
}

function compareAll(rounds: number): void {
  makeImage();
  try {
    console.log(
      `${"".padEnd(48)}${"ns".padStart(8)}${"beside".padStart(9)}${"ratio".padStart(8)}${"goal".padStart(7)}`,
    );
    for (const { title, way, beside, kind, length, goal } of ROWS) {
      const times: [number[], number[]] = [[], []];
      for (let round = 0; round < rounds; round += 1) {
        for (const turn of round % 2 === 0 ? [0, 1] : [1, 0])
          times[turn]?.push(inOwnProcess(turn === 0 ? way : beside, kind, length));
      }
      const ratio = median(times[0].map((spent, round) => spent / (times[1][round] ?? 1)));
      const name = `${kind === "read" ? "preadv2" : "pwritev2"} ${length / 1024} KiB: ${title}`;
      const cells = [
        median(times[0]).toFixed(0).padStart(8),
        median(times[1]).toFixed(0).padStart(9),
      ];
      console.log(
        `${name.padEnd(48)}${cells.join("")}${ratio.toFixed(3).padStart(8)}${goal.padStart(7)}`,
      );
    }
  } finally {
    for (const path of [IMAGE, `${IMAGE}.theriac`]) rmSync(path, { force: true });
  }
}

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "9" },
    way: { type: "string" },
    kind: { type: "string" },
    length: { type: "string" },
  },
});
if (values.way === undefined) compareAll(Number(values.rounds));
else console.log(await measure(values.way as Way, values.kind as Kind, Number(values.length)));
