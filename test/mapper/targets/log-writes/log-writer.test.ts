/** LogWriter: the kernel's order on disk, room set aside before any byte moves, and failures of the log that are told. */
import { describe, expect, test } from "vitest";
import { createPrng, type MaybePromise } from "../../../../src/base/index.ts";
import {
  createMemoryDevice,
  type ManagedDevice,
  type SimulatedDevice,
} from "../../../../src/device/index.ts";
import {
  activateRows,
  loadTable,
  LOG_FLAGS,
  mappedDevice,
  parseTable,
  readLog,
  replayLog,
  sendMessage,
  type MappedManagedDevice,
} from "../../../../src/mapper/index.ts";
import { openFile } from "../../../../src/file/index.ts";
import { randomSeed } from "../../../base/seed.ts";

const seed = randomSeed();
const SIZE = 65_536;

interface Logged {
  readonly data: SimulatedDevice;
  readonly log: SimulatedDevice;
  readonly top: MappedManagedDevice;
}

/** A device of 64 KiB with a log, opened; `over` puts something between the target and its log. */
async function logged(
  options: {
    readonly log?: SimulatedDevice;
    readonly over?: (log: ManagedDevice) => ManagedDevice;
  } = {},
): Promise<Logged> {
  const data = createMemoryDevice({ size: SIZE, name: "data", poisonUnit: 512, clearUnit: 512 });
  const log = options.log ?? createMemoryDevice({ size: 1024 * 1024, name: "log" });
  const seen = options.over?.(log) ?? log;
  const rows = loadTable(parseTable("0 128 log-writes data log", "t"), {
    path: "t",
    lookup: (word) => (word === "data" ? data : seen),
  });
  await activateRows(rows);
  return { data, log, top: mappedDevice(rows, { name: "t" }) as MappedManagedDevice };
}

async function entriesOf(log: ManagedDevice): Promise<string[]> {
  const names = Object.entries(LOG_FLAGS);
  const found: string[] = [];
  for await (const { offset, length, flags, mark } of readLog(log)) {
    const words = names.filter(([, bit]) => (flags & bit) !== 0).map(([name]) => name);
    found.push(mark ?? (words.join("+") || "write") + (length > 0 ? ` ${offset}+${length}` : ""));
  }
  return found;
}

const mark = (top: MappedManagedDevice, ...words: string[]): MaybePromise<unknown> =>
  sendMessage(top, { sector: 0, words });
const bytes = (length: number): Uint8Array => new Uint8Array(length).fill(7);

async function isUntouched(log: ManagedDevice): Promise<boolean> {
  const content = new Uint8Array(log.size);
  await log.read(content, 0);
  return content.every((byte) => byte === 0);
}

describe("LogWriter", () => {
  test("logs writes behind the flush that made them durable, a mark at once, heals with all before them", async () => {
    const { top, log, data } = await logged();
    await top.write(bytes(512), 1024);
    await top.write(bytes(1024), 0);
    await mark(top, "mark", "early");
    await top.flush();
    await top.flush();
    await top.write(bytes(10), 4090);
    data.inject({ offset: 8192, length: 512 });
    await top.write(bytes(512), 8192);
    top.direct?.store(bytes(700), 100);
    await top.close();
    expect(await entriesOf(log)).toEqual([
      "early",
      "write 1024+512",
      "write 0+1024",
      "flush",
      "write 3584+1024",
      "flush+fua 8192+512",
      "write 0+1024",
      "flush",
      "dm-log-writes-end",
    ]);
  });

  test("S39: an O_DIRECT write, a flush and a mark are a log that replays, with their count and the kernel's end mark", async () => {
    const { log, top } = await logged();
    const file = await openFile(top, { face: "direct" });
    const data = createPrng(seed).bytes(4096);
    expect(await file.pwritev2(data, 8192)).toBe(4096);
    await file.close();
    await top.flush();
    await mark(top, "mark", "done");
    await top.close();
    const entries = await entriesOf(log);
    expect(entries.filter((entry) => entry !== "flush")).toEqual([
      "write 8192+4096",
      "done",
      "dm-log-writes-end",
    ]);
    const head = new Uint8Array(32);
    await log.read(head, 0);
    expect(new DataView(head.buffer).getBigUint64(16, true)).toBe(BigInt(entries.length));
    const target = createMemoryDevice({ size: SIZE });
    await replayLog(log, target, { endMark: "done" });
    const into = new Uint8Array(4096);
    await target.read(into, 8192);
    expect(Buffer.compare(into, data)).toBe(0);
  });

  test("writes nothing where nothing was written, and nothing of a session that only reads", async () => {
    const { top, log } = await logged();
    await top.read(bytes(512), 0);
    await top.flush();
    await top.close();
    expect(await isUntouched(log)).toBe(true);
  });

  test("goes on behind what is there", async () => {
    const first = await logged();
    await first.top.write(bytes(512), 0);
    await first.top.close();
    const second = await logged({ log: first.log });
    await second.top.write(bytes(512), 512);
    await second.top.close();
    expect(await entriesOf(first.log)).toEqual([
      "write 0+512",
      "flush",
      "dm-log-writes-end",
      "write 512+512",
      "flush",
      "dm-log-writes-end",
    ]);
  });

  test("a log that is full: the change is refused before any byte moves, and the log stays whole", async () => {
    const log = createMemoryDevice({ size: 8192, name: "log" });
    const { top, data } = await logged({ log });
    await top.write(bytes(4096), 0);
    expect(() => top.write(bytes(4096), 8192)).toThrow("ENOSPC: Cannot log to log: 4096 bytes");
    expect(() => top.heal([{ offset: 8192, data: bytes(4096) }])).toThrow("ENOSPC");
    expect(() => top.direct?.store(bytes(4096), 8192)).toThrow("ENOSPC");
    await top.close();
    expect(await entriesOf(log)).toEqual(["write 0+4096", "flush", "dm-log-writes-end"]);
    const content = new Uint8Array(SIZE);
    await data.read(content, 0);
    expect(content.subarray(8192).every((byte) => byte === 0)).toBe(true);
  });

  test("R5: a log that cannot be written is told, and ends all changes; reads go on", async () => {
    const log = createMemoryDevice({ size: 65_536, name: "log", clear: "none" });
    const { top } = await logged({ log });
    log.inject({ offset: 512, length: 512 });
    await top.write(bytes(512), 0);
    expect(() => top.flush()).toThrow("EIO: Cannot log to log: what was written is on the device");
    expect(() => top.write(bytes(512), 512)).toThrow("an earlier entry could not be written");
    await top.flush();
    const content = new Uint8Array(SIZE);
    expect((await top.read(content, 0)).missing).toEqual([]);
    expect(content.subarray(0, 513)).toEqual(Uint8Array.of(...bytes(512), 0));
    await top.close();
  });

  test("what is bad on the log is written over where that heals", async () => {
    const { top, log } = await logged();
    log.inject({ offset: 512, length: 3072 });
    await top.write(bytes(512), 0);
    await top.close();
    expect(await entriesOf(log)).toEqual(["write 0+512", "flush", "dm-log-writes-end"]);
    expect(log.poison.totals().poisoned).toBe(1024);
  });

  test("R1: a part of a sector whose rest cannot be read is refused before any byte moves", async () => {
    const { top, log, data } = await logged();
    data.inject({ offset: 1024, length: 512 });
    for (const write of [
      () => top.write(bytes(600), 900, "recovery"),
      () => top.direct?.heal(bytes(600), 900),
    ])
      expect(write).toThrow("EIO: Cannot write log-writes over data");
    expect((await top.heal([{ offset: 1000, data: bytes(100) }]))[0]).toMatchObject({
      code: "EIO",
    });
    await top.close();
    expect(await isUntouched(log)).toBe(true);
    expect(Array.from(top.poison.bad({ offset: 0, length: SIZE }))).toEqual([
      { offset: 1024, length: 512, state: "poisoned" },
    ]);
  });

  test.each<[string, (log: SimulatedDevice) => void, string]>([
    ["something else", (log) => log.write(bytes(512), 0), "want the magic number"],
    ["poison in its first sector", (log) => void log.inject({ offset: 0, length: 1 }), "EIO"],
  ])("a log device that holds %s is refused, and nothing is written", async (_, spoil, message) => {
    const log = createMemoryDevice({ size: 65_536, name: "log" });
    spoil(log);
    await expect(logged({ log })).rejects.toThrow(message);
  });

  test("a torn log is refused with the row's line", async () => {
    const { top, log } = await logged();
    await top.write(bytes(512), 0);
    await top.close();
    log.write(bytes(8), 512 + 16);
    await expect(logged({ log })).rejects.toThrow(
      "t: line 1: log-writes: Cannot use the log on log: entry 0 of 3, at 512: want flags up to 31",
    );
  });

  test("messages are the kernel's", async () => {
    const { top } = await logged();
    expect(() => mark(top, "mark")).toThrow(
      "EINVAL: Cannot take message: Invalid log-writes message arguments, expect 2 arguments, got 1",
    );
    expect(() => mark(top, "wipe", "x")).toThrow(
      "Unrecognised log writes target message received: wipe",
    );
    const target = top.rows[0]?.target;
    const status = (): string => (target?.kind === "device" ? (target.status?.() ?? "") : "");
    expect(status()).toBe("0 0");
    await mark(top, "MARK", "m".repeat(1000));
    expect(status()).toBe("1 1");
    await top.close();
  });

  test("a mark is cut to its sector, at a character", async () => {
    const { top, log } = await logged();
    await mark(top, "mark", "m".repeat(478) + "\u00e9");
    await mark(top, "mark", "m".repeat(479) + "\u00e9");
    await top.close();
    const found = await entriesOf(log);
    expect(found[0]).toBe("m".repeat(478));
    expect(found[1]).toBe("m".repeat(479));
  });

  test("R3: after a crash at any write of the log it is whole, and gives the device at some flush", async () => {
    const prng = createPrng(seed);
    const snapshots: Uint8Array[] = [];
    const durable = new Uint8Array(1024 * 1024);
    let unsynced: { readonly data: Uint8Array; readonly offset: number }[] = [];
    const crash = (): void => {
      const image = durable.slice();
      for (const { data, offset } of unsynced)
        if (prng.below(2) === 0) image.set(data.subarray(0, 512 * prng.below(9)), offset);
      snapshots.push(image);
    };
    const { top } = await logged({
      over: (log) =>
        new Proxy(log, {
          get(device, name) {
            if (name === "write")
              return (data: Uint8Array, offset: number) => {
                unsynced.push({ data: data.slice(), offset });
                crash();
                return device.write(data, offset, "recovery");
              };
            if (name === "flush")
              return () => {
                for (const { data, offset } of unsynced) durable.set(data, offset);
                unsynced = [];
                crash();
                return device.flush();
              };
            const value: unknown = Reflect.get(device, name, device);
            return typeof value === "function" ? (value.bind(device) as unknown) : value;
          },
        }),
    });
    const model = new Uint8Array(SIZE);
    const moments = [model.slice()];
    for (let turn = 0; turn < 12; turn += 1) {
      for (let count = 0; count < 3; count += 1) {
        const offset = prng.below(SIZE - 5000);
        const data = prng.bytes(1 + prng.below(5000));
        await top.write(data, offset);
        model.set(data, offset);
      }
      await top.flush();
      moments.push(model.slice());
    }
    await top.close();
    expect(snapshots.length).toBeGreaterThan(50);
    let whole = 0;
    for (const image of snapshots) {
      const target = createMemoryDevice({ size: SIZE });
      const log = createMemoryDevice({ bytes: image, name: "log" });
      if (image.subarray(0, 512).every((byte) => byte === 0)) continue;
      await replayLog(log, target);
      const content = new Uint8Array(SIZE);
      await target.read(content, 0);
      expect(moments.some((moment) => Buffer.compare(moment, content) === 0)).toBe(true);
      whole += 1;
    }
    expect(whole).toBeGreaterThan(40);
  });
});
