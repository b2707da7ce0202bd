/**
 * The crash sweep of what changes a device without healing it: create, inject, clear, scrub and the record of a read. A crash or a failure in
 * every operation, several states that each may leave, and a second crash while the first is settled. After every one of them what was
 * bad is bad, what was clean is what it was, and an image that lost its sidecar still holds markers.
 */
import { describe, expect, test } from "vitest";
import {
  createPrng,
  endOf,
  SECTOR,
  StorageError,
  type ByteRange,
  type MaybePromise,
  type Prng,
} from "../../src/base/index.ts";
import {
  AddressRangeScrub,
  CLEAR_KINDS,
  clearError,
  createImage,
  ErrorInjection,
  openDevice,
  scrub,
  type ClearKind,
  type SimulatedDevice,
} from "../../src/device/index.ts";
import { sidecarPath } from "../../src/poison/index.ts";
import { CrashError, createCrashFiles, type CrashFiles } from "../../src/testing/index.ts";
import { randomSeed } from "../base/seed.ts";

const PATH = "/images/disk.img";
const SIZE = 8192;
const CLEAR_UNIT = 256;
const CASES = Number(process.env["CASES"] ?? 2);
const HOWS = ["nothing", "everything", "random", "random", "random"] as const;
const seed = randomSeed();

/** What the world was, and what is asked of it. */
interface Case {
  readonly base: CrashFiles;
  readonly old: Uint8Array;
  /** Per byte: 1 where the list knows it to be bad, 2 where it is latent. */
  readonly bad: Uint8Array;
  readonly targets: readonly ByteRange[];
  readonly latent: boolean;
}

/** What is true of the bytes of `targets` once the change has returned, for each of them that it came to. */
interface Outcome {
  readonly done: ByteRange[];
}

/** One kind of change. */
interface Change {
  readonly name: string;
  /** Whether it may end the bytes of its targets. */
  readonly destroys: boolean;
  run(device: SimulatedDevice, one: Case, outcome: Outcome): MaybePromise<void>;
}

const CHANGES: readonly Change[] = [
  {
    name: "inject",
    destroys: true,
    run: (device, { targets, latent }, { done }) => {
      for (const range of targets) done.push(device.inject(range, { latent }));
    },
  },
  {
    name: "clear",
    destroys: true,
    run: (device, { targets }, { done }) => {
      for (const range of targets) {
        device.clear(range);
        done.push(range);
      }
    },
  },
  {
    name: "scrub",
    destroys: false,
    run: async (device) => void (await scrub(device, { chunk: 1000 })),
  },
  {
    name: "clearError()",
    destroys: true,
    run: (device, { targets }, { done }) => {
      for (const { offset, length } of targets)
        done.push({ offset, length: clearError(device, { offset, length }) });
    },
  },
  {
    name: "address-range scrub",
    destroys: false,
    run: (device) => {
      const ars = new AddressRangeScrub(device, { maxRecords: 3 });
      for (let at = 0; at < SIZE; at = ars.status().restart.offset) {
        ars.start({ range: { offset: at, length: SIZE - at } });
        while (ars.advance(1024));
      }
    },
  },
  {
    name: "uninject()",
    destroys: false,
    run: (device, { targets }) => {
      const injection = new ErrorInjection(device);
      for (const { offset, length } of targets) {
        const block = Math.floor(offset / SECTOR);
        injection.uninject({ block, count: Math.ceil((offset + length) / SECTOR) - block });
      }
    },
  },
  {
    name: "recordRead() and close()",
    destroys: false,
    run: (device, { targets }) => {
      for (const range of targets) {
        const { missing } = device.readSync(new Uint8Array(range.length), range.offset, "recovery");
        if (missing.length === 0) device.recordRead(range);
      }
    },
  },
];

function units(prng: Prng, count: number): ByteRange[] {
  const length = CLEAR_UNIT * (1 + prng.below(3));
  return Array.from({ length: count }, (_, index) => {
    const step = SIZE / count;
    return { offset: index * step + CLEAR_UNIT * prng.below(step / CLEAR_UNIT - 3), length };
  });
}

function makeCase(prng: Prng, clear: ClearKind): Case {
  const files = createCrashFiles({ seed: prng.below(2 ** 31) });
  const device = createImage(PATH, { files, size: SIZE, clear, clearUnit: CLEAR_UNIT });
  const old = prng.bytes(SIZE);
  device.write(old, 0);
  const bad = new Uint8Array(SIZE);
  for (let count = 0; count < 6; count += 1) {
    const latent = prng.chance(0.4);
    const range = { offset: prng.below(SIZE - 300), length: 1 + prng.below(300) };
    const poisoned = device.inject(range, { latent });
    for (let at = poisoned.offset; at < endOf(poisoned); at += 1)
      if (bad[at] !== 1) bad[at] = latent ? 2 : 1;
  }
  if (prng.chance(0.5)) {
    const zone = { offset: prng.below(SIZE / 2), length: SIZE / 4 };
    device.setFault({ ...zone, kind: prng.pick(["refuses", "partial", "transient"]), on: true });
  }
  device.close();
  files.settle();
  return {
    base: files.crash("nothing"),
    old,
    bad,
    targets: units(prng, 4),
    latent: prng.chance(0.5),
  };
}

/** Changes, judges what the session that goes on says, and closes; what came to its end is in `outcome`. */
async function run(files: CrashFiles, one: Case, context: Context): Promise<void> {
  let device: SimulatedDevice | undefined;
  try {
    device = openDevice(PATH, { files, access: "write" }) as SimulatedDevice;
    await context.change.run(device, one, context.outcome);
  } catch (error) {
    if (!(error instanceof CrashError) && !(error instanceof StorageError)) throw error;
  }
  try {
    if (device !== undefined && !files.crashed) await judgeDevice(device, one, context);
    device?.close();
  } catch (error) {
    if (!(error instanceof CrashError) && !(error instanceof StorageError)) throw error;
  }
}

function marks(ranges: readonly ByteRange[]): Uint8Array {
  const bytes = new Uint8Array(SIZE);
  for (const range of ranges) bytes.fill(1, range.offset, endOf(range));
  return bytes;
}

/** What has to hold of one byte. */
interface Byte {
  readonly bad: number;
  readonly isDone: boolean;
  readonly isTarget: boolean;
}

function judgeByte(byte: Byte, found: { isOld: boolean; isGone: boolean; state: string }): string {
  const { bad, isDone, isTarget } = byte;
  const { isOld, isGone, state } = found;
  if (bad > 0 && !isGone) return "R1: a bad byte is data";
  if (bad === 1 && state !== "poisoned" && state !== "lost")
    return "R4: a known bad byte left the list";
  if (bad > 0 && state === "clean") return "R4: a bad byte is clean";
  if (isDone && !isGone) return "R1: a byte that was destroyed is data";
  if (!isGone && !isOld) return "R1: a byte is neither data nor missing";
  if (!isTarget && bad === 0 && isGone) return "R2: a clean byte is gone";
  return "holds";
}

async function judge(files: CrashFiles, one: Case, context: Context): Promise<void> {
  const device = openDevice(PATH, { files, access: context.access }) as SimulatedDevice;
  await judgeDevice(device, one, context);
  device.close();
}

async function judgeDevice(device: SimulatedDevice, one: Case, context: Context): Promise<void> {
  const states = [...device.poison.states({ offset: 0, length: SIZE })].flatMap(
    ({ length, state }) => Array.from({ length }, () => state),
  );
  const bytes = new Uint8Array(SIZE);
  const { missing } = await device.read(bytes, 0, "recovery");
  const gone = marks(missing);
  const done = marks(context.outcome.done);
  const targets = marks(context.change.destroys ? one.targets : []);
  for (let at = 0; at < SIZE; at += 1) {
    const rule = judgeByte(
      { bad: one.bad[at] ?? 0, isDone: done[at] === 1, isTarget: targets[at] === 1 },
      { isOld: bytes[at] === one.old[at], isGone: gone[at] === 1, state: states[at] ?? "" },
    );
    if (rule !== "holds") expect.fail(`SEED=${seed} ${context.where}: byte ${at}: ${rule}`);
  }
}

interface Context {
  readonly change: Change;
  readonly outcome: Outcome;
  readonly prng: Prng;
  readonly access: "read" | "write";
  /** The change, and what disturbed it. */
  readonly where: string;
}

/** An image without its sidecar: what was bad holds markers, which a scan finds. */
async function judgeAlone(
  files: CrashFiles,
  one: Case,
  { where, outcome }: Context,
): Promise<void> {
  files.remove(sidecarPath(PATH));
  const device = openDevice(PATH, { files });
  await scrub(device);
  const found = marks([...device.poison.bad({ offset: 0, length: SIZE })]);
  device.close();
  const done = marks(outcome.done);
  for (let at = 0; at < SIZE; at += 1) {
    if (found[at] === 0 && ((one.bad[at] ?? 0) > 0 || done[at] === 1))
      expect.fail(`SEED=${seed} ${where}: byte ${at} is bad and holds no marker`);
  }
}

async function judgeWorld(world: CrashFiles, one: Case, context: Context): Promise<void> {
  await judge(world.crash("nothing"), one, { ...context, access: "read" });
  await judgeAlone(world.crash("nothing"), one, context);
  const again = world.crash("nothing");
  again.crashAt(1 + context.prng.below(6));
  try {
    openDevice(PATH, { files: again, access: "write" }).close();
  } catch (error) {
    if (!(error instanceof CrashError)) throw error;
  }
  await judge(again.crash(context.prng), one, { ...context, access: "write" });
}

async function sweep(change: Change, one: Case, prng: Prng): Promise<number> {
  const whole = one.base.crash("nothing");
  const context = (where: string): Context => ({
    change,
    prng,
    outcome: { done: [] },
    access: "read",
    where: `${change.name}, ${where}`,
  });
  await run(whole, one, context("undisturbed"));
  for (const way of ["crash", "EIO", "ENOSPC"] as const) {
    for (let operation = 1; operation <= whole.operations + 1; operation += 1) {
      const files = one.base.crash("nothing");
      if (way === "crash") files.crashAt(operation);
      else files.failAt(operation, way);
      const own = context(`${way} in operation ${operation}`);
      await run(files, one, own);
      for (const how of HOWS)
        await judgeWorld(files.crash(how === "random" ? prng : how), one, own);
    }
  }
  return whole.operations;
}

describe.each(CHANGES)("$name", (change) => {
  test.each(CLEAR_KINDS)(
    "R1, R2, R4 after a crash or failure in every operation, clear %s",
    async (clear) => {
      const prng = createPrng(seed);
      for (let round = 0; round < CASES; round += 1)
        expect(await sweep(change, makeCase(prng, clear), prng)).toBeGreaterThan(0);
    },
  );
});

/** What a session of createImage() leaves: nothing, an image that nobody calls simulated, or the whole. */
function judgeCreated(files: CrashFiles, isDone: boolean): void {
  const sidecar = sidecarPath(PATH);
  const has = (path: string): boolean => files.info(path) !== undefined;
  if (isDone) expect([has(PATH), has(sidecar)]).toEqual([true, true]);
  if (!has(PATH)) {
    expect(has(sidecar), "a sidecar without its image").toBe(false);
    createImage(PATH, { files, size: SIZE }).close();
  }
  const device = openDevice(PATH, { files });
  expect(device.poison.totals()).toMatchObject({ clean: 0, unread: device.size, poisoned: 0 });
  expect(device.readSync(new Uint8Array(device.size), 0).missing).toEqual([]);
  if (has(sidecar)) expect(device.size).toBe(SIZE);
  device.close();
}

describe("createImage()", () => {
  const operations = (): number => {
    const files = createCrashFiles({ seed });
    createImage(PATH, { files, size: SIZE }).close();
    return files.operations;
  };

  test("a crash in every operation leaves nothing, a plain image, or the whole", () => {
    const prng = createPrng(seed);
    for (let operation = 1; operation <= operations() + 1; operation += 1) {
      const files = createCrashFiles({ seed });
      files.crashAt(operation);
      let isDone = false;
      try {
        const device = createImage(PATH, { files, size: SIZE });
        isDone = true;
        device.close();
      } catch (error) {
        if (!(error instanceof CrashError)) throw error;
      }
      for (const how of HOWS) {
        const world = files.crash(how === "random" ? prng : how);
        judgeCreated(world, isDone);
        expect(() => createImage(PATH, { files: world, size: SIZE })).toThrow(/EEXIST/);
      }
    }
  });

  test.each(["EIO", "ENOSPC"] as const)(
    "%s in every operation leaves nothing, and it can be made again",
    (code) => {
      for (let operation = 1; operation <= operations(); operation += 1) {
        const files = createCrashFiles({ seed });
        files.failAt(operation, code);
        expect(
          () => createImage(PATH, { files, size: SIZE }).close(),
          `operation ${operation}`,
        ).toThrow(code);
        expect(files.paths(), `operation ${operation}`).toEqual([]);
        createImage(PATH, { files, size: SIZE }).close();
      }
    },
  );
});
