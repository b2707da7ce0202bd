/** replayLog: every moment that a log knows is what the device held then, as a plain array says; and a log that is none is refused whole. */
import { describe, expect, test } from "vitest";
import { createPrng, type Prng } from "../../../../src/base/index.ts";
import { createMemoryDevice, type ManagedDevice } from "../../../../src/device/index.ts";
import { readLog, replayLog, sendMessage } from "../../../../src/mapper/index.ts";
import { randomSeed } from "../../../base/seed.ts";
import { memoryStack, type MemoryStack, type Nodes } from "../../support/kernel-map.ts";

const seed = randomSeed();
const SIZE = 65_536;
const ONE: Nodes = { top: "0 128 log-writes a log" };
const STACKS: readonly Nodes[] = [
  ONE,
  { low: "0 128 striped 2 8 a 0 b 16", top: "0 128 log-writes low log" },
  { low: "0 128 log-writes a log", top: "0 128 linear low 0" },
  { low: "0 128 log-writes a log", top: "0 128 log-writes low log2" },
];

function logOf(stack: MemoryStack, name = "log"): ManagedDevice {
  return stack.leaves.get(name) as ManagedDevice;
}

async function bytesOf(device: ManagedDevice): Promise<Uint8Array> {
  const bytes = new Uint8Array(device.size);
  const { missing } = await device.read(bytes, 0, "recovery");
  expect(missing).toEqual([]);
  return bytes;
}

async function replayed(from: ManagedDevice, endMark: string): Promise<Uint8Array> {
  const target = createMemoryDevice({ size: SIZE });
  const result = await replayLog(from, target, { endMark });
  expect(result.lastMark).toBe(endMark);
  return bytesOf(target);
}

function rangeIn(prng: Prng): { offset: number; length: number } {
  const offset = prng.below(SIZE);
  return { offset, length: 1 + prng.below(Math.min(5000, SIZE - offset)) };
}

/** One random change, of a stack and of a plain array. */
async function changeOne(stack: MemoryStack, model: Uint8Array, prng: Prng): Promise<void> {
  const { top } = stack;
  const { offset, length } = rangeIn(prng);
  const data = prng.bytes(length);
  const { direct } = top;
  switch (prng.below(7)) {
    case 0:
    case 1:
      await top.write(data, offset);
      break;
    case 2:
      direct?.store(data, offset);
      if (direct === undefined) return;
      break;
    case 3: {
      const half = Math.floor(length / 2);
      const answers = await top.heal([
        { offset: offset + half, data: data.subarray(half) },
        { offset, data: data.subarray(0, half) },
      ]);
      expect(answers).toEqual([undefined, undefined]);
      break;
    }
    case 4: {
      // something bad is healed by a write of more than all of it
      const units = { offset: prng.below(100) * 512, length: 1024 };
      const bad = stack.leaves.get("a")?.inject({ offset: units.offset, length: 512 });
      const all = prng.bytes(SIZE);
      expect(bad?.length).toBe(512);
      await top.write(all, 0, prng.below(2) === 0 ? "access" : "recovery");
      model.set(all);
      return;
    }
    case 5: {
      if (direct === undefined) return;
      const page = prng.below(16);
      direct.zeroPages(page, 1);
      model.fill(0, page * 4096, page * 4096 + 4096);
      return;
    }
    default:
      await top.flush();
      return;
  }
  model.set(data, offset);
}

describe("replayLog()", () => {
  test.each(STACKS)("R3: to each mark gives what the device held there: %j", async (nodes) => {
    const prng = createPrng(seed);
    const stack = memoryStack(nodes, { size: SIZE, poisonUnit: 512, clearUnit: 512 });
    const model = new Uint8Array(SIZE);
    const moments = new Map<string, Uint8Array>();
    const logging = [...stack.nodes.values()].find(
      ({ rows }) => rows[0]?.row.type === "log-writes",
    );
    for (let turn = 0; turn < 40; turn += 1) {
      for (let count = prng.below(4); count >= 0; count -= 1) await changeOne(stack, model, prng);
      await stack.top.flush();
      if (logging === undefined) continue;
      await sendMessage(logging, { sector: 0, words: ["mark", `m${turn}`] });
      moments.set(`m${turn}`, model.slice());
    }
    await stack.top.close();
    for (const table of stack.nodes.values()) await table.close();
    expect(moments.size).toBe(40);
    for (const [mark, bytes] of moments)
      expect(Buffer.compare(await replayed(logOf(stack), mark), bytes)).toBe(0);
    expect(Buffer.compare(await replayed(logOf(stack), "dm-log-writes-end"), model)).toBe(0);
  });

  test("to each entry gives the content after the writes that it has, in their order", async () => {
    const prng = createPrng(seed);
    const stack = memoryStack(ONE, { size: SIZE });
    const model = new Uint8Array(SIZE);
    const moments: Uint8Array[] = [];
    for (let turn = 0; turn < 30; turn += 1) {
      const { offset, length } = rangeIn(prng);
      const data = prng.bytes(length);
      await stack.top.write(data, offset);
      model.set(data, offset);
      moments.push(model.slice());
    }
    await stack.top.flush();
    const target = createMemoryDevice({ size: SIZE });
    for (const [index, bytes] of moments.entries()) {
      await replayLog(logOf(stack), target, { limit: index + 1 });
      expect(Buffer.compare(await bytesOf(target), bytes)).toBe(0);
    }
  });

  test("heals what is bad on the device that it writes to", async () => {
    const stack = memoryStack(ONE, { size: SIZE });
    await stack.top.write(new Uint8Array(4096).fill(5), 0);
    await stack.top.flush();
    const target = createMemoryDevice({ size: SIZE });
    target.inject({ offset: 100, length: 64 });
    await replayLog(logOf(stack), target);
    expect((await bytesOf(target)).subarray(0, 4096)).toEqual(new Uint8Array(4096).fill(5));
  });

  test("onEntry() may end it between two entries", async () => {
    const stack = memoryStack(ONE, { size: SIZE });
    await stack.top.write(new Uint8Array(512).fill(5), 0);
    await stack.top.write(new Uint8Array(512).fill(6), 0);
    await stack.top.flush();
    const target = createMemoryDevice({ size: SIZE });
    const stop = replayLog(logOf(stack), target, {
      onEntry: (index) => {
        if (index === 1) throw new Error("enough");
      },
    });
    await expect(stop).rejects.toThrow("enough");
    expect((await bytesOf(target))[0]).toBe(5);
  });
});

/** A log of three writes, a flush and a mark, and hands that change one number of it. */
async function wholeLog(change: (view: DataView) => void): Promise<ManagedDevice> {
  const stack = memoryStack(ONE, { size: SIZE });
  for (const at of [0, 4096, 8192]) await stack.top.write(new Uint8Array(1024).fill(1), at);
  await stack.top.flush();
  await stack.top.close();
  const bytes = (await bytesOf(logOf(stack))).slice(0, 65_536);
  change(new DataView(bytes.buffer));
  return createMemoryDevice({ bytes, name: "log" });
}

const ALL_ONES = 0xffff_ffff_ffff_ffffn;

describe("replayLog() of what is no whole log", () => {
  test("replays it where nothing is changed", async () => {
    const target = createMemoryDevice({ size: SIZE });
    const result = await replayLog(await wholeLog(() => undefined), target);
    expect(result).toEqual({
      entries: 5,
      total: 5,
      written: 3072,
      discarded: 0,
      lastMark: "dm-log-writes-end",
    });
  });

  test.each<[string, (view: DataView) => void, string]>([
    ["another magic", (view) => view.setUint8(0, 0), "want the magic number 0x6a736677736872"],
    ["another version", (view) => view.setBigUint64(8, 2n, true), "want version 1: got 2"],
    ["a sector of 0", (view) => view.setUint32(24, 0, true), "want sectors of a power of two"],
    ["a sector of 1 GiB", (view) => view.setUint32(24, 2 ** 30, true), "want sectors of a power"],
    [
      "more entries than it can hold",
      (view) => view.setBigUint64(16, ALL_ONES, true),
      "want at most 127 entries in 65536 bytes: got 18446744073709551615",
    ],
    [
      "more entries than are there",
      (view) => view.setBigUint64(16, 6n, true),
      "entry 5 of 6, at 6144: want data, a flush, a discard or a mark: got nothing",
    ],
    [
      "a length past the end",
      (view) => view.setBigUint64(512 + 8, 1000n, true),
      "entry 0 of 5, at 512: want its 1000 sectors inside",
    ],
    [
      "a length that wraps",
      (view) => view.setBigUint64(512 + 8, ALL_ONES, true),
      "entry 0 of 5, at 512: want its 18446744073709551615 sectors inside",
    ],
    [
      "a place that wraps",
      (view) => view.setBigUint64(512, ALL_ONES, true),
      "entry 0 of 5, at 512: want a place below",
    ],
    [
      "a place past the device",
      (view) => view.setBigUint64(512 + 1536 * 2, 127n, true),
      "entry 2 of 5, at 3584: want it inside the 65536 bytes of memory: it ends at 66048",
    ],
    [
      "a flag that is none",
      (view) => view.setBigUint64(512 + 16, 32n, true),
      "want flags up to 31",
    ],
    ["text behind data", (view) => view.setUint8(512 + 32, 65), "want no text behind an entry"],
    [
      "data of its own past its sectors",
      (view) => view.setBigUint64(512 + 24, 1025n, true),
      "want at most the 1024 bytes of its sectors: got 1025",
    ],
    [
      "a mark longer than a sector",
      (view) => view.setBigUint64(5632 + 24, 481n, true),
      "entry 4 of 5, at 5632: want a mark of at most 480 bytes: got 481",
    ],
    [
      "a mark with data",
      (view) => view.setBigUint64(5632 + 8, 1n, true),
      "want no data behind a mark: got 1 sectors",
    ],
  ])("%s: nothing is written", async (_name, change, message) => {
    const target = createMemoryDevice({ size: SIZE });
    const bad = await wholeLog(change);
    await expect(replayLog(bad, target)).rejects.toThrow(message);
    expect(Buffer.compare(await bytesOf(target), new Uint8Array(SIZE))).toBe(0);
  });

  test("a mark that it has not: the marks that it has are told", async () => {
    const target = createMemoryDevice({ size: SIZE });
    const whole = await wholeLog(() => undefined);
    await expect(replayLog(whole, target, { endMark: "no" })).rejects.toThrow(
      'EINVAL: Cannot replay the log on log: want a mark that it has, as "dm-log-writes-end": got "no"',
    );
    expect((await bytesOf(target))[0]).toBe(0);
  });

  test("R1: data that cannot be read is not replayed", async () => {
    const target = createMemoryDevice({ size: SIZE });
    const whole = (await wholeLog(() => undefined)) as ReturnType<typeof createMemoryDevice>;
    whole.inject({ offset: 512 + 1536 + 600, length: 1 });
    await expect(replayLog(whole, target)).rejects.toThrow("EIO: Cannot read the log on log");
    const bytes = await bytesOf(target);
    expect([bytes[0], bytes[4096]]).toEqual([1, 0]);
  });

  test("a torn log is replayed up to the tear with a limit", async () => {
    const torn = await wholeLog((view) => view.setBigUint64(512 + 1536 * 2 + 8, 9999n, true));
    const target = createMemoryDevice({ size: SIZE });
    const result = await replayLog(torn, target, { limit: 2 });
    expect(result.entries).toBe(2);
    const found: number[] = [];
    const walk = async (): Promise<void> => {
      for await (const { index } of readLog(torn)) found.push(index);
    };
    await expect(walk()).rejects.toThrow("entry 2 of 5");
    expect(found).toEqual([0, 1]);
  });
});
