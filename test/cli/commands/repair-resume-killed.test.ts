/**
 * The real program, killed with SIGKILL in the middle of a repair from three donors, and again in the middle of going on with it, until `--resume` came to its end.
 * `SEED=123` replays, `SIGKILLS=500` kills more often.
 *
 * What the kernel has taken survives a killed process; power loss is the crash model's (test/simulation). Here are the real files, the real locks, the real
 * ends of half-written lines.
 */
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { createPrng, RangeSet, type Prng } from "../../../src/base/index.ts";
import { adoptImage, openDevice, type ClearKind } from "../../../src/device/index.ts";
import { openFileMap } from "../../../src/fs/index.ts";
import { readRun, RepairLog } from "../../../src/rescue/index.ts";
import { randomSeed } from "../../base/seed.ts";
import { nodeFiles } from "../../../src/os/index.ts";
import {
  placeOf,
  removeTemporary,
  temporary,
  treeImage,
  writeTree,
} from "../../rescue/support/tree.ts";
import { runKilled, type KillMoment } from "../support/killed.ts";
import { theriac, theriacJson } from "../support/theriac.ts";

const seed = randomSeed();
const KILLS = Number(process.env["SIGKILLS"] ?? 40);
const CLEARS: readonly ClearKind[] = ["firmware", "atomic", "overwrite"];
/** More places than one batch of a repair holds. */
const PLACES = 300;
const pristine = treeImage();
afterAll(removeTemporary);

/** A damaged image, its donors, and what is bad in it. */
interface World {
  readonly folder: string;
  readonly image: string;
  readonly repair: readonly string[];
  readonly bad: RangeSet;
}

async function makeWorld(random: Prng, clear: ClearKind): Promise<World> {
  const folder = temporary();
  const path = (name: string): string => join(folder, name);
  for (const name of ["kept", "part", "rest"]) mkdirSync(path(name));
  // The first lacks the largest file, the second misses half of that, the third has it.
  writeTree(path("part"), (file, bytes) => (file === "/docs/big.bin" ? undefined : bytes));
  writeTree(path("rest"), (file, bytes) => (file.startsWith("/many") ? undefined : bytes));
  for (const name of ["image", "half"]) writeFileSync(path(name), pristine);
  const half = adoptImage(path("half"), { poisonUnit: 512, clearUnit: 512 });
  for (let offset = 0; offset < 700_000; offset += 4096)
    half.inject({
      offset: await placeOf(await openFileMap(half), "/docs/big.bin", offset),
      length: 512,
    });
  half.close();
  const device = adoptImage(path("image"), { poisonUnit: 256, clearUnit: 1024, clear });
  const map = await openFileMap(device);
  const bad = new RangeSet();
  for (let place = 0; place < PLACES; place += 1) {
    const file = random.pick(["/docs/big.bin", "/docs/big.bin", "/docs/archive.bin"]);
    const offset = random.below(file === "/docs/big.bin" ? 1_450_000 : 290_000);
    const poisoned = device.inject({ offset: await placeOf(map, file, offset), length: 1 });
    bad.add(poisoned.offset, poisoned.length);
  }
  device.close();
  for (const name of ["image", "image.theriac"]) copyFileSync(path(name), path(`kept/${name}`));
  const repair = ["repair", path("image"), "--from", path("part"), path("half"), path("rest")];
  return { folder, image: path("image"), repair, bad };
}

/** The same world anew: from copies, because hundreds of durable injections take long. */
function renew({ folder, image }: World): void {
  for (const name of ["image", "image.theriac"])
    copyFileSync(join(folder, "kept", name), join(folder, name));
  for (const ending of ["log", "plan", "plan.new", "kept"])
    rmSync(`${image}.theriac.${ending}`, { force: true });
}

/** R1 to R4, R7: whatever reads is the original, nothing else is missing than was bad, and the log says no more than is done. */
async function checkNothingWrong({ image, bad }: World): Promise<void> {
  const device = openDevice(image);
  try {
    const bytes = new Uint8Array(device.size);
    const { missing } = await device.read(bytes, 0, "recovery");
    for (const { offset, length } of missing) {
      expect(bad.covers(offset, length), `R2, R3: ${offset} + ${length} was clean`).toBe(true);
      bytes.set(pristine.subarray(offset, offset + length), offset);
    }
    expect(Buffer.compare(bytes, pristine), "R1, R3, R4").toBe(0);
    const { total, clean, unread, poisoned, lost } = device.poison.totals();
    expect(clean + unread + poisoned + lost, "R7").toBe(total);
    const run = await readRun(nodeFiles, new RepairLog(image).path, "last");
    for (const { step, outcome } of run?.done.values() ?? []) {
      const told = run?.steps.get(step);
      expect(outcome).toBe("healed");
      expect([...device.poison.bad(told ?? { offset: 0, length: device.size })]).toEqual([]);
    }
  } finally {
    device.close();
  }
}

function drawMoment(random: Prng, world: World, operations: number): KillMoment {
  const log = `${world.image}.theriac.log`;
  if (random.chance(0.2))
    return { file: log, bytes: (existsSync(log) ? statSync(log).size : 0) + random.below(120_000) };
  const when = random.pick(["before", "torn", "after"] as const);
  return { operation: 1 + random.below(operations), when };
}

/** Whether the last run of the log waits for its end. */
async function isInterrupted(image: string): Promise<boolean> {
  const run = await readRun(nodeFiles, new RepairLog(image).path, "last");
  return run !== undefined && run.end === undefined;
}

/** Lets it come to its end, and looks at everything. */
async function finish(world: World): Promise<void> {
  if (await isInterrupted(world.image)) {
    const { code, document } = await theriacJson(["repair", world.image, "--resume"]);
    expect(document).toMatchObject({ schema: "theriac.repair/1", missing: 0, moved: [] });
    expect(code).toBe(0);
  } else {
    const { code, stderr } = await theriac(["repair", world.image, "--resume"]);
    expect([code, stderr]).toEqual([3, expect.stringContaining("no repair of")]);
    expect((await theriac(world.repair)).code).toBe(0);
  }
  expect(Buffer.compare(readFileSync(world.image), pristine)).toBe(0);
  expect(await isInterrupted(world.image)).toBe(false);
}

test(`S69, S73: R1 to R5, R7: a repair killed ${KILLS} times leaves no wrong byte and no untrue log, and --resume always finishes it`, async () => {
  const random = createPrng(seed);
  let killed = 0;
  let resumed = 0;
  for (const [index, clear] of CLEARS.entries()) {
    const world = await makeWorld(random, clear);
    const whole = await runKilled(world.repair, "never", world.folder);
    expect(whole.code).toBe(0);
    renew(world);
    const until = Math.ceil((KILLS * (index + 1)) / CLEARS.length);
    while (killed < until) {
      const goesOn = await isInterrupted(world.image);
      const args = goesOn ? ["repair", world.image, "--resume"] : world.repair;
      const moment = drawMoment(random, world, whole.operations!);
      const death = await runKilled(args, moment, world.folder);
      await checkNothingWrong(world);
      if (death.signal === null) expect(death.code, JSON.stringify(moment)).toBe(0);
      else killed += 1;
      if (goesOn && death.signal !== null) resumed += 1;
      if (death.signal !== null && random.chance(0.6)) continue;
      await finish(world);
      renew(world);
    }
  }
  console.log(`killed ${killed} times, ${resumed} of them while it went on`);
  expect(resumed).toBeGreaterThan(KILLS / 20);
}, 14_400_000);
