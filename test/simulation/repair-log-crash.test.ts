/**
 * A repair of a hundred ranges from three donors is stopped at every write, sync, rename and step of its log, by the crash model of the design. After
 * every crash: nothing that reads as clean is anything but the original (R1 to R4), what the log says was done was done, nothing was done that
 * the log did not say before, and the repair that goes on finishes. The same at failures (EIO, ENOSPC) of every one of them.
 *
 * Each kind of clear takes every `SWEEP`th operation, others than the others take: 3 sees them all once, 1 all of them for every kind.
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createPrng, StorageError, type ErrorCode } from "../../src/base/index.ts";
import {
  adoptImage,
  createMemoryDevice,
  openDevice,
  type ClearKind,
} from "../../src/device/index.ts";
import { imageDonor, openDirectoryDonor, type Donor } from "../../src/donor/index.ts";
import { sidecarPath } from "../../src/poison/index.ts";
import {
  describeTarget,
  findInterrupted,
  readLog,
  repair,
  RepairLog,
  type LogRecord,
  type Repair,
} from "../../src/rescue/index.ts";
import { CrashError, createCrashFiles, type CrashFiles } from "../../src/testing/index.ts";
import { randomSeed } from "../base/seed.ts";
import {
  placeOf,
  removeTemporary,
  targetOf,
  temporary,
  treeImage,
  writeTree,
} from "../rescue/support/tree.ts";

const seed = randomSeed();
const IMAGE = "/disk/image";
const CLEARS: readonly ClearKind[] = ["firmware", "atomic", "overwrite"];
const SWEEP = Number(process.env["SWEEP"] ?? 12);
/** Small batches, so that the log is at work many times. */
const BATCH = 24;
const pristine = treeImage();
let donors: readonly Donor[] = [];

beforeAll(async () => {
  donors = await threeDonors();
});
afterAll(removeTemporary);

/** A tree without the largest file, an image that misses half of it, and a tree that has all but the archive. */
async function threeDonors(): Promise<readonly Donor[]> {
  const [first, last] = [temporary(), temporary()];
  writeTree(first, (path, bytes) => (path === "/docs/big.bin" ? undefined : bytes));
  writeTree(last, (path, bytes) => (path === "/docs/archive.bin" ? undefined : bytes));
  const device = createMemoryDevice({ bytes: treeImage(), poisonUnit: 512, clearUnit: 512 });
  const { map } = await targetOf(device);
  for (let offset = 0; offset < 700_000; offset += 4096)
    device.inject({ offset: await placeOf(map, "/docs/big.bin", offset), length: 4096 });
  const volumes = [{ device, offset: 0, length: device.size, map }];
  return [
    openDirectoryDonor(first),
    imageDonor({ name: "half an image", device, volumes, close: () => undefined }),
    openDirectoryDonor(last),
  ];
}

/** A settled world with a hundred bad places in the content of files, and nothing else going on. */
async function damagedWorld(clear: ClearKind): Promise<CrashFiles> {
  const files = createCrashFiles({ seed });
  const image = files.open(IMAGE, { access: "create" });
  image.writeSync(pristine, 0);
  image.close();
  const device = adoptImage(IMAGE, { files, poisonUnit: 256, clearUnit: 1024, clear });
  const { map } = await targetOf(device);
  const places = [
    ...Array.from({ length: 80 }, (_, at) => ["/docs/big.bin", 8192 + at * 18_432] as const),
    ...Array.from({ length: 20 }, (_, at) => ["/docs/archive.bin", 4096 + at * 13_312] as const),
  ];
  for (const [path, offset] of places) {
    const at = offset - (offset % 256);
    device.inject({ offset: await placeOf(map, path, at), length: 256 + (at % 512) });
  }
  device.close();
  files.settle();
  return files;
}

const worlds = new Map<ClearKind, CrashFiles>();

/** The same, each time anew. */
async function world(clear: ClearKind): Promise<CrashFiles> {
  const made = worlds.get(clear) ?? (await damagedWorld(clear));
  worlds.set(clear, made);
  return made.crash("everything");
}

async function repairIn(files: CrashFiles, how: "begin" | "resume"): Promise<Repair> {
  const device = openDevice(IMAGE, { files, access: "write" });
  const log = new RepairLog(IMAGE, files);
  try {
    const target = await describeTarget(device, { path: IMAGE });
    const found = how === "resume" ? await findInterrupted(log) : undefined;
    const interrupted = found === undefined ? {} : { interrupted: found };
    return await repair({ target, donors, log, ...interrupted }, { batchSteps: BATCH });
  } finally {
    log.close();
    device.close();
  }
}

/** R1 to R4, R7: every byte that can be read is the original one. @returns the bytes that are missing */
async function checkBytes(files: CrashFiles, where: string): Promise<number> {
  const device = openDevice(IMAGE, { files });
  try {
    const bytes = new Uint8Array(device.size);
    const { missing } = await device.read(bytes, 0, "recovery");
    let bad = 0;
    for (const hole of missing) {
      bytes.set(pristine.subarray(hole.offset, hole.offset + hole.length), hole.offset);
      bad += hole.length;
    }
    expect(Buffer.compare(bytes, pristine), `R1, R3, R4: ${where}`).toBe(0);
    const { total, clean, unread, poisoned, lost } = device.poison.totals();
    expect(clean + unread + poisoned + lost, `R7: ${where}`).toBe(total);
    expect(poisoned + lost, where).toBe(bad);
    return bad;
  } finally {
    device.close();
  }
}

async function recordsOf(files: CrashFiles): Promise<readonly LogRecord[]> {
  const records: LogRecord[] = [];
  for await (const record of readLog(files, new RepairLog(IMAGE, files).path)) records.push(record);
  return records;
}

/** The log and the list agree: done is done, and nothing was done before it was told. */
async function checkLog(files: CrashFiles, wanted: number, where: string): Promise<void> {
  const steps = new Map<number, { offset: number; length: number }>();
  const device = openDevice(IMAGE, { files });
  try {
    for (const record of await recordsOf(files)) {
      if (record.record === "step") steps.set(record.step, record);
      if (record.record !== "done" || record.outcome !== "healed") continue;
      const step = steps.get(record.step);
      expect(step, `a step before it is done: ${where}`).toBeDefined();
      const bad = [...device.poison.bad(step ?? { offset: 0, length: 0 })];
      expect(bad, `the log says more than is done: ${where}`).toEqual([]);
    }
    const told = [...steps.values()].reduce((sum, { length }) => sum + length, 0);
    const { poisoned, lost } = device.poison.totals();
    expect(wanted - poisoned - lost, `healed, and not told before: ${where}`).toBeLessThanOrEqual(
      told,
    );
  } finally {
    device.close();
  }
}

async function measure(clear: ClearKind): Promise<{ operations: number; bad: number }> {
  const files = await world(clear);
  const bad = await checkBytes(files, "before");
  const before = files.operations;
  const result = await repairIn(files, "begin");
  expect(result).toMatchObject({ missing: 0, moved: [] });
  expect(result.steps.length).toBeGreaterThanOrEqual(100);
  expect(new Set(result.steps.map(({ donor }) => donor?.index))).toEqual(new Set([0, 1, 2]));
  return { operations: files.operations - before, bad };
}

/** The operations that one kind of clear is stopped at. */
function operationsFor(clear: ClearKind, operations: number): readonly number[] {
  const first = seed + Math.floor((CLEARS.indexOf(clear) * SWEEP) / CLEARS.length);
  return Array.from({ length: operations }, (_, index) => index + 1).filter(
    (at) => at % SWEEP === first % SWEEP,
  );
}

/** Runs a repair that is stopped or fails, and gives the world as it stands. */
async function disturbed(
  clear: ClearKind,
  disturb: (files: CrashFiles, first: number) => void,
): Promise<{ files: CrashFiles; error: unknown }> {
  const files = await world(clear);
  disturb(files, files.operations);
  try {
    await repairIn(files, "begin");
    return { files, error: undefined };
  } catch (error) {
    return { files, error };
  }
}

async function checkFinishes(files: CrashFiles, where: string): Promise<void> {
  const result = await repairIn(files, "resume");
  expect(result, where).toMatchObject({ missing: 0, moved: [] });
  const { bad, ...parts } = result.sums;
  expect(
    Object.values(parts).reduce((sum, part) => sum + part, 0),
    `R7: ${where}`,
  ).toBe(bad);
  expect(await checkBytes(files, `${where}, finished`)).toBe(0);
  expect(await findInterrupted(new RepairLog(IMAGE, files)), where).toBeUndefined();
  const done = new Set<number>();
  for (const record of await recordsOf(files)) {
    if (record.record === "done" && record.outcome === "healed") done.add(record.step);
    if (record.record === "step")
      expect(done.has(record.step), `done, and done again: ${where}`).toBe(false);
    if (record.record === "end") expect(record.result, where).toBe("complete");
  }
}

describe.each(CLEARS)("repair() of a hundred ranges from three donors, clear: %s", (clear) => {
  test("S36, S68 to S71, S73: R1 to R4, R7, R8: stopped anywhere, it leaves no wrong byte, its log is true, and it goes on to its end", async () => {
    const { operations, bad } = await measure(clear);
    for (const at of operationsFor(clear, operations)) {
      const { files, error } = await disturbed(clear, (all, first) => all.crashAt(first + at));
      expect(error instanceof CrashError || files.crashed, String(error)).toBe(true);
      const prng = createPrng(seed + at);
      for (const how of ["nothing", "everything", prng] as const) {
        const after = files.crash(how);
        const where = `operation ${at} of ${operations}, ${typeof how === "string" ? how : `seed ${how.seed}`}`;
        await checkBytes(after, where);
        await checkLog(after, bad, where);
        const alone = after.crash("everything");
        alone.remove(sidecarPath(IMAGE));
        await checkBytes(alone, `${where}, the image alone`);
        await checkFinishes(after, where);
      }
    }
  });

  test.each(["EIO", "ENOSPC"] as const)(
    "R4, R5: %s anywhere, of the log or of the image, is told, costs no byte, and it goes on to its end",
    async (code: ErrorCode) => {
      const { operations, bad } = await measure(clear);
      for (const at of operationsFor(clear, operations)) {
        const { files, error } = await disturbed(clear, (all, first) =>
          all.failAt(first + at, code),
        );
        const where = `${code} at operation ${at} of ${operations}`;
        expect(error === undefined || error instanceof StorageError, String(error)).toBe(true);
        await checkBytes(files, where);
        await checkLog(files, bad, where);
        const after = files.crash(createPrng(seed + at));
        await checkBytes(after, `${where}, then a crash`);
        await checkLog(after, bad, `${where}, then a crash`);
        await checkFinishes(after, where);
      }
    },
  );
});
