/**
 * The crash sweep of pwritev2: with RWF_RECOVERY_DATA and without, over every way to clear, a crash in every operation of the files below, several
 * states that each may leave, and a second crash while the first is settled. R1 to R4 hold for every byte after every one of them.
 */
import { describe, expect, test } from "vitest";
import { createPrng, endOf, StorageError, type Prng } from "../../src/base/index.ts";
import { CLEAR_KINDS, createImage, openDevice, type ClearKind } from "../../src/device/index.ts";
import { openFile, RWF_DSYNC, RWF_RECOVERY_DATA, type Face } from "../../src/file/index.ts";
import { CrashError, createCrashFiles, type CrashFiles } from "../../src/testing/index.ts";
import { randomSeed } from "../base/seed.ts";

const PATH = "/images/disk.img";
const SIZE = 6 * 4096;
const SECTOR = 512;
const CASES = Number(process.env["CASES"] ?? 9);
const HOWS = ["nothing", "everything", "random", "random"] as const;
const seed = randomSeed();

/** What the world was, and what is asked of it. */
interface Case {
  readonly base: CrashFiles;
  readonly old: Uint8Array;
  /** Per byte: 1 where the list knows it to be bad, 2 where it is latent. */
  readonly bad: Uint8Array;
  readonly face: Face;
  readonly offset: number;
  readonly data: Uint8Array;
  readonly flags: number;
}

/** What the call answered before the world stopped. */
interface Answer {
  count?: number;
}

function makeCase(prng: Prng, clear: ClearKind, flags: number): Case {
  const files = createCrashFiles({ seed: prng.below(2 ** 31) });
  const clearUnit = prng.pick([64, 256, 1024]);
  const device = createImage(PATH, { files, size: SIZE, clear, poisonUnit: 64, clearUnit });
  const old = prng.bytes(SIZE);
  device.write(old, 0);
  const bad = new Uint8Array(SIZE);
  for (let count = 0; count < 4; count += 1) {
    const latent = prng.chance(0.25);
    const length = 1 + prng.below(prng.pick([64, 600, 5000]));
    const units = device.inject({ offset: prng.below(SIZE - length), length }, { latent });
    for (let at = units.offset; at < endOf(units); at += 1)
      if (bad[at] !== 1) bad[at] = latent ? 2 : 1;
  }
  if (prng.chance(0.4)) {
    const kind = prng.pick(["refuses", "partial"] as const);
    device.setFault({ offset: prng.below(SIZE - 2000), length: 2000, kind, on: true });
  }
  device.flush();
  device.close();
  files.settle();
  const face = prng.pick(["dax", "direct", "buffered"] as const);
  const unit = face === "direct" ? SECTOR : prng.pick([1, SECTOR, 4096]);
  const offset = prng.below(SIZE / unit) * unit;
  const length = Math.min((1 + prng.below(SIZE / unit)) * unit, SIZE - offset);
  return { base: files.crash("nothing"), old, bad, face, offset, data: prng.bytes(length), flags };
}

/** Opens, writes, closes; what the call answered until the world stopped is in `answer`. */
async function run(files: CrashFiles, one: Case, answer: Answer): Promise<void> {
  try {
    const device = openDevice(PATH, { files, access: "write", map: one.face === "dax" });
    const file = await openFile(device, { face: one.face });
    const half = Math.floor(one.data.length / 2 / SECTOR) * SECTOR;
    const parts = [one.data.subarray(0, half), one.data.subarray(half)];
    answer.count = await file.pwritev2(parts, one.offset, one.flags);
    device.close();
  } catch (error) {
    if (!(error instanceof CrashError) && !(error instanceof StorageError)) throw error;
  }
}

/** What a byte may be, by its name. */
function ruleOf(one: Case, at: number, count: number): keyof ReturnType<typeof verdicts> {
  const isGiven = at >= one.offset && at < one.offset + one.data.length;
  const isCounted = at >= one.offset && at < one.offset + count;
  const state = one.bad[at];
  // What a block device wrote with the flag was read back past caches, and so is durable, whatever it lay on.
  if (isCounted && one.face !== "dax" && (one.flags & RWF_RECOVERY_DATA) !== 0) return "R4: new";
  if (state === 2) return isGiven ? "latent: new or missing" : "R1: missing";
  if (state === 1 && isCounted) return "R4: new";
  if (state === 1) return isGiven ? "R3: new or missing" : "R1: missing";
  if (isCounted && (one.flags & RWF_DSYNC) !== 0) return "R4: new";
  return isGiven ? "R2: new or old" : "R2: old";
}

function verdicts(byte: { isGone: boolean; isNew: boolean; isOld: boolean }) {
  const { isGone, isNew, isOld } = byte;
  return {
    "R4: new": !isGone && isNew,
    "R3: new or missing": isGone || isNew,
    "latent: new or missing": isGone || isNew,
    "R1: missing": isGone,
    "R2: new or old": !isGone && (isNew || isOld),
    "R2: old": !isGone && isOld,
  };
}

/** Judges every byte of a world; the first break of a rule ends the test, by its name. */
function judge(files: CrashFiles, one: Case, count: number): void {
  const device = openDevice(PATH, { files });
  const bytes = new Uint8Array(SIZE);
  const gone = new Uint8Array(SIZE);
  for (const hole of device.readSync(bytes, 0, "recovery").missing)
    gone.fill(1, hole.offset, endOf(hole));
  for (let at = 0; at < SIZE; at += 1) {
    const rule = ruleOf(one, at, count);
    const byte = {
      isGone: gone[at] === 1,
      isNew: bytes[at] === one.data[at - one.offset],
      isOld: bytes[at] === one.old[at],
    };
    if (!verdicts(byte)[rule])
      expect.fail(`SEED=${seed} byte ${at}: ${rule}: ${JSON.stringify(byte)}, count ${count}`);
  }
  const { total, clean, unread, poisoned, lost } = device.poison.totals();
  expect(clean + unread + poisoned + lost, "R7").toBe(total);
  device.close();
}

/** What a crash left: as it is, settled, and after a second crash in the middle of that. */
function judgeWorld(world: CrashFiles, one: Case, context: { count: number; prng: Prng }): void {
  const { count, prng } = context;
  judge(world.crash("nothing"), one, count);
  const again = world.crash("nothing");
  again.crashAt(1 + prng.below(6));
  try {
    openDevice(PATH, { files: again, access: "write" }).close();
  } catch (error) {
    if (!(error instanceof CrashError)) throw error;
  }
  const settled = again.crash(prng);
  openDevice(PATH, { files: settled, access: "write" }).close();
  judge(settled.crash("nothing"), one, count);
}

/** @returns operations that the call makes */
async function sweep(one: Case, prng: Prng): Promise<number> {
  const whole = one.base.crash("nothing");
  await run(whole, one, {});
  for (let operation = 1; operation <= whole.operations + 1; operation += 1) {
    const files = one.base.crash("nothing");
    files.crashAt(operation);
    const answer: Answer = {};
    await run(files, one, answer);
    for (const how of HOWS) {
      const left = files.crash(how === "random" ? prng : how);
      judgeWorld(left, one, { count: answer.count ?? 0, prng });
    }
  }
  return whole.operations;
}

describe.each(CLEAR_KINDS)("pwritev2, clear %s", (clear) => {
  test.each([
    ["RWF_RECOVERY_DATA", RWF_RECOVERY_DATA],
    ["RWF_RECOVERY_DATA and RWF_DSYNC", RWF_RECOVERY_DATA | RWF_DSYNC],
    ["no flag", 0],
    ["RWF_DSYNC", RWF_DSYNC],
  ] as const)("S36: R1 to R4 after a crash in every operation, %s", async (_, flags) => {
    const prng = createPrng(seed ^ flags ^ CLEAR_KINDS.indexOf(clear));
    let operations = 0;
    for (let round = 0; round < CASES; round += 1)
      operations += await sweep(makeCase(prng, clear, flags), prng);
    // What cannot be healed is refused before anything is touched.
    const heals = clear !== "none" && (flags & RWF_RECOVERY_DATA) !== 0;
    expect(operations).toBeGreaterThan(heals ? CASES : -1);
  });
});
