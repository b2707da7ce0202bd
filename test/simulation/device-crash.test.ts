/**
 * The crash sweep of recovery writes and line stores: every way to clear, several units, one write and batches, a crash or a failure in every operation,
 * several states that each may leave, and a second crash while the first is settled. R1 to R5 hold after every one of them.
 */
import { describe, expect, test } from "vitest";
import {
  createPrng,
  endOf,
  MediaError,
  StorageError,
  type ByteRange,
  type Prng,
} from "../../src/base/index.ts";
import {
  adoptImage,
  CLEAR_KINDS,
  createImage,
  openDevice,
  type ClearKind,
  type HealWrite,
  type MediaDevice,
  type SimulatedDevice,
} from "../../src/device/index.ts";
import { CrashError, createCrashFiles, type CrashFiles } from "../../src/testing/index.ts";

const PATH = "/images/disk.img";
const seed = Number(process.env["SEED"] ?? Date.now() % 2 ** 31);
console.log(`SEED=${seed}`);

interface Geometry {
  readonly poisonUnit: number;
  readonly clearUnit: number;
  readonly size: number;
}

const GEOMETRIES: readonly Geometry[] = [
  { poisonUnit: 64, clearUnit: 256, size: 4096 },
  { poisonUnit: 64, clearUnit: 64, size: 2048 },
  { poisonUnit: 512, clearUnit: 4096, size: 16_384 },
];

/** What the world was before the heal, and what was asked of it. */
interface Case {
  readonly base: CrashFiles;
  readonly old: Uint8Array;
  /** 1 where the medium is bad. */
  readonly bad: Uint8Array;
  readonly writes: readonly HealWrite[];
  /** Whether the writes are lines of 64 bytes, stored each as one. */
  readonly lines: boolean;
}

function ranges(prng: Prng, count: number, geometry: Geometry): ByteRange[] {
  const found: ByteRange[] = [];
  for (let attempt = 0; attempt < count * 4 && found.length < count; attempt += 1) {
    const offset = prng.below(geometry.size - 1);
    const length = 1 + prng.below(Math.min(geometry.size - offset, geometry.clearUnit * 3));
    if (found.every((other) => endOf(other) <= offset || other.offset >= offset + length))
      found.push({ offset, length });
  }
  return found;
}

function makeCase(
  prng: Prng,
  geometry: Geometry,
  options: { clear: ClearKind; batch: boolean; lines?: boolean },
): Case {
  const files = createCrashFiles({ seed: prng.below(2 ** 31) });
  const { size, poisonUnit, clearUnit } = geometry;
  const device = createImage(PATH, { files, size, poisonUnit, clearUnit, clear: options.clear });
  const old = prng.bytes(size);
  device.write(old, 0);
  const bad = new Uint8Array(size);
  for (const range of ranges(prng, 4, geometry)) {
    const short = { offset: range.offset, length: Math.min(range.length, poisonUnit * 2) };
    const units = device.inject(short, { latent: prng.chance(0.3) });
    bad.fill(1, units.offset, endOf(units));
    // What is lost is known by the list alone: the medium reads well there.
    if (options.lines === true && prng.chance(0.5)) device.clear(units);
  }
  if (prng.chance(0.5)) {
    const zone = ranges(prng, 1, geometry)[0] as ByteRange;
    device.setFault({ ...zone, kind: prng.pick(["refuses", "partial"]), on: true });
  }
  device.flush();
  device.close();
  files.settle();
  const targets = targetsOf(prng, geometry, options);
  const writes = targets.map(({ offset, length }) => ({ offset, data: prng.bytes(length) }));
  return { base: files.crash("nothing"), old, bad, writes, lines: options.lines === true };
}

function targetsOf(
  prng: Prng,
  geometry: Geometry,
  options: { batch: boolean; lines?: boolean },
): ByteRange[] {
  if (options.lines !== true) return ranges(prng, options.batch ? 4 : 1, geometry);
  const all = Array.from({ length: geometry.size / 64 }, (_, index) => index * 64);
  return all.filter(() => prng.chance(0.3)).map((offset) => ({ offset, length: 64 }));
}

/** Whether a line is bad now, known or latent. */
function isBadLine(device: SimulatedDevice, offset: number): boolean {
  const latent = [...device.faults()].some(
    (fault) => fault.kind === "poison" && fault.offset <= offset && offset < endOf(fault),
  );
  return latent || [...device.poison.bad({ offset, length: 64 })].length > 0;
}

/** Does the writes; what the device said of each until the world stopped is in `outcome`. */
function perform(device: MediaDevice, one: Case, outcome: Outcome): void {
  if (!one.lines) {
    outcome.said = device.heal(one.writes).map((error) => error === undefined);
    return;
  }
  const said: (boolean | undefined)[] = [];
  outcome.said = said;
  for (const [index, { offset, data }] of one.writes.entries()) {
    // A line that is good is an ordinary write: durable at the next flush.
    const isBad = isBadLine(device as SimulatedDevice, offset);
    try {
      device.storeLine(data, offset);
      said[index] = isBad ? true : undefined;
    } catch (error) {
      if (!(error instanceof MediaError)) throw error;
      said[index] = false;
    }
  }
}

/** What a run came to: for each write whether the device said that it is healed. */
interface Outcome {
  said: readonly (boolean | undefined)[];
}

/** Heals and closes; what the device said until the world stopped is in `outcome`. */
function run(files: CrashFiles, one: Case, outcome: Outcome): MediaDevice | undefined {
  let device: MediaDevice | undefined;
  try {
    device = openDevice(PATH, { files, access: "write" });
    perform(device, one, outcome);
    device.close();
  } catch (error) {
    if (!(error instanceof CrashError) && !(error instanceof StorageError)) throw error;
  }
  return device;
}

async function contentOf(device: MediaDevice): Promise<{ bytes: Uint8Array; missing: Uint8Array }> {
  const bytes = new Uint8Array(device.size);
  const missing = new Uint8Array(device.size);
  const result = await device.read(bytes, 0, "recovery");
  for (const hole of result.missing) missing.fill(1, hole.offset, endOf(hole));
  return { bytes, missing };
}

/** Judges every byte of a world; the first break of a rule ends the test, by its name. */
async function judge(device: MediaDevice, one: Case, said: Outcome["said"]): Promise<void> {
  const { bytes, missing } = await contentOf(device);
  const given = new Int32Array(one.old.length).fill(-1);
  one.writes.forEach(({ offset, data }, index) => given.fill(index, offset, offset + data.length));
  for (let at = 0; at < bytes.length; at += 1) {
    const index = given[at] as number;
    const write = index < 0 ? undefined : (one.writes[index] as HealWrite);
    const wanted = write?.data[at - write.offset];
    const isOld = bytes[at] === one.old[at] && one.bad[at] === 0;
    const isGone = missing[at] === 1;
    const rule = ruleFor({
      isBad: one.bad[at] === 1,
      said: said[index],
      isGiven: write !== undefined,
    });
    const holds = {
      "R4: what was said to be healed holds the new data": !isGone && bytes[at] === wanted,
      "R3: a bad byte holds the new data or is still bad": isGone || bytes[at] === wanted,
      "R2: a clean byte holds the new data or the old": !isGone && (isOld || bytes[at] === wanted),
      "R1: a bad byte that nobody gave data for is still bad": isGone,
      "R2: a clean byte that nobody gave data for is what it was": !isGone && isOld,
    }[rule];
    if (!holds)
      expect.fail(
        `SEED=${seed} byte ${at}: ${rule} (missing ${isGone}, found ${bytes[at]}, old ${one.old[at]}, given ${wanted})`,
      );
  }
  const { total, clean, unread, poisoned, lost } = device.poison.totals();
  expect(clean + unread + poisoned + lost, "R7").toBe(total);
}

function ruleFor(byte: { isBad: boolean; said: boolean | undefined; isGiven: boolean }) {
  if (byte.isGiven && byte.said === true)
    return "R4: what was said to be healed holds the new data";
  if (byte.isGiven)
    return byte.isBad
      ? "R3: a bad byte holds the new data or is still bad"
      : "R2: a clean byte holds the new data or the old";
  return byte.isBad
    ? "R1: a bad byte that nobody gave data for is still bad"
    : "R2: a clean byte that nobody gave data for is what it was";
}

/** Opens what a crash left, for reading and for writing, and after a second crash in the middle of that. */
async function judgeWorld(
  world: CrashFiles,
  one: Case,
  context: { said: Outcome["said"]; prng: Prng },
): Promise<void> {
  const reader = openDevice(PATH, { files: world.crash("nothing") });
  await judge(reader, one, context.said);
  reader.close();
  // Settled and closed: what was put back is durable, or a second crash would take it.
  const settled = world.crash("nothing");
  openDevice(PATH, { files: settled, access: "write" }).close();
  const after = openDevice(PATH, { files: settled.crash("nothing") });
  await judge(after, one, context.said);
  after.close();
  const again = world.crash("nothing");
  again.crashAt(1 + context.prng.below(8));
  try {
    openDevice(PATH, { files: again, access: "write" }).close();
  } catch (error) {
    if (!(error instanceof CrashError)) throw error;
  }
  const last = openDevice(PATH, { files: again.crash(context.prng), access: "write" });
  await judge(last, one, context.said);
  last.close();
}

const HOWS = ["nothing", "everything", "random", "random", "random"] as const;

async function sweepCrashes(one: Case, prng: Prng): Promise<number> {
  const count = operationsOf(one);
  for (let operation = 1; operation <= count + 1; operation += 1) {
    const files = one.base.crash("nothing");
    files.crashAt(operation);
    const outcome: Outcome = { said: [] };
    run(files, one, outcome);
    for (const how of HOWS) {
      await judgeWorld(files.crash(how === "random" ? prng : how), one, {
        said: outcome.said,
        prng,
      });
    }
  }
  return count;
}

function operationsOf(one: Case): number {
  const files = one.base.crash("nothing");
  run(files, one, { said: [] });
  return files.operations;
}

/** Lets one operation fail, then judges the session that goes on, what a crash leaves of it, and a second try. */
async function sweepFailures(one: Case, prng: Prng, code: "EIO" | "ENOSPC"): Promise<number> {
  const count = operationsOf(one);
  for (let operation = 1; operation <= count; operation += 1) {
    const files = one.base.crash("nothing");
    files.failAt(operation, code);
    let device: MediaDevice | undefined;
    const outcome: Outcome = { said: [] };
    try {
      device = openDevice(PATH, { files, access: "write" });
      perform(device, one, outcome);
    } catch (error) {
      if (!(error instanceof StorageError)) throw error;
    }
    let { said } = outcome;
    if (device !== undefined) {
      await judge(device, one, said);
      said = secondTry(device, one, said);
      await judge(device, one, said);
      closeQuietly(device);
    }
    for (const how of HOWS)
      await judgeWorld(files.crash(how === "random" ? prng : how), one, { said, prng });
    await judgeWorld(files, one, { said, prng });
  }
  return count;
}

function secondTry(device: MediaDevice, one: Case, said: Outcome["said"]): Outcome["said"] {
  const outcome: Outcome = { said };
  try {
    perform(device, one, outcome);
    return outcome.said;
  } catch (error) {
    if (!(error instanceof StorageError)) throw error;
    return said;
  }
}

function closeQuietly(device: MediaDevice): void {
  try {
    device.close();
  } catch (error) {
    if (!(error instanceof StorageError)) throw error;
  }
}

const CASES = Number(process.env["CASES"] ?? 2);

describe.each(CLEAR_KINDS)("recovery write, clear %s", (clear) => {
  describe.each(GEOMETRIES)("units $poisonUnit and $clearUnit", (geometry) => {
    test.each([false, true])(
      "R1 to R5 after a crash in every operation (batch: %s)",
      async (batch) => {
        const prng = createPrng(seed + geometry.clearUnit + (batch ? 1 : 0));
        for (let round = 0; round < CASES; round += 1) {
          const one = makeCase(prng, geometry, { clear, batch });
          expect(await sweepCrashes(one, prng)).toBeGreaterThan(clear === "none" ? -1 : 1);
        }
      },
    );

    test.each(["EIO", "ENOSPC"] as const)("R1 to R5 after %s in every operation", async (code) => {
      const prng = createPrng(seed ^ (geometry.poisonUnit * 31));
      for (let round = 0; round < CASES; round += 1) {
        const one = makeCase(prng, geometry, { clear, batch: true });
        expect(await sweepFailures(one, prng, code)).toBeGreaterThanOrEqual(0);
      }
    });
  });
});

describe("line stores", () => {
  const LINES: Geometry = { poisonUnit: 64, clearUnit: 64, size: 2048 };

  test.each(["crash", "EIO", "ENOSPC"] as const)(
    "R1 to R5 after %s in every operation",
    async (way) => {
      const prng = createPrng(seed + 7);
      for (let round = 0; round < CASES; round += 1) {
        const one = makeCase(prng, LINES, { clear: "atomic", batch: true, lines: true });
        const sweep = way === "crash" ? sweepCrashes(one, prng) : sweepFailures(one, prng, way);
        expect(await sweep).toBeGreaterThan(1);
      }
    },
  );
});

test("adoptImage() gives an image a sidecar that a crash does not halve", () => {
  const files = createCrashFiles({ seed });
  const file = files.open(PATH, { access: "create" });
  file.writeSync(new Uint8Array(4096).fill(7), 0);
  file.close();
  files.settle();
  const base = files.crash("nothing");
  const first = base.crash("nothing");
  adoptImage(PATH, { files: first }).close();
  for (let operation = 1; operation <= first.operations; operation += 1) {
    const world = base.crash("nothing");
    world.crashAt(operation);
    expect(() => adoptImage(PATH, { files: world }).close()).toThrow(CrashError);
    for (const how of ["nothing", "everything"] as const) {
      const device = openDevice(PATH, { files: world.crash(how) });
      expect(device.readSync(new Uint8Array(4096), 0).missing).toEqual([]);
      device.close();
    }
  }
});
