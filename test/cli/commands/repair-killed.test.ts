/**
 * The real program, killed with SIGKILL in the middle of its heals, again and again on the same image. `SEED=123` replays, `KILLS=1000` kills more often.
 *
 * What the kernel has taken survives a killed process: power loss is the crash model's (test/simulation). Here are the real files, the real locks, the
 * real ends of half-made records.
 */
import { copyFileSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { alignOut, createPrng, RangeSet, type Prng } from "../../../src/base/index.ts";
import { adoptImage, openDevice, type ClearKind } from "../../../src/device/index.ts";
import { openFileMap } from "../../../src/fs/index.ts";
import { randomSeed } from "../../base/seed.ts";
import { removeTemporary, temporary, treeImage } from "../../rescue/support/tree.ts";
import { runKilled, type Death, type KillMoment } from "../support/killed.ts";
import { theriac } from "../support/theriac.ts";

const seed = randomSeed();
const KILLS = Number(process.env["KILLS"] ?? 6);
/** More places than one batch of a repair holds. */
const PLACES = 300;
const POISON_UNIT = 256;
const CLEAR_UNIT = 1024;
const CLEARS: readonly ClearKind[] = ["firmware", "atomic", "overwrite"];
const pristine = treeImage();
afterAll(removeTemporary);

/** A damaged image, and what is bad in it. */
interface World {
  readonly folder: string;
  readonly image: string;
  readonly donor: string;
  readonly bad: RangeSet;
}

/** The same world anew: from copies, because hundreds of durable injections take long. */
function renew(world: World): void {
  for (const name of ["image", "image.theriac"])
    copyFileSync(join(world.folder, "kept", name), join(world.folder, name));
}

/** An image with many bad places in the content of its files. */
async function makeWorld(random: Prng, clear: ClearKind): Promise<World> {
  const folder = temporary();
  const image = join(folder, "image");
  const donor = join(folder, "donor");
  for (const name of ["alone", "kept"]) mkdirSync(join(folder, name));
  for (const path of [image, donor]) writeFileSync(path, pristine);
  const units = { poisonUnit: POISON_UNIT, clearUnit: CLEAR_UNIT };
  const device = adoptImage(image, { ...units, clear });
  const map = await openFileMap(device);
  const owned = await map.owners([{ offset: 0, length: map.size }]);
  const data = owned.filter(({ owners }) => owners[0]?.what === "data");
  const bad = new RangeSet();
  for (let place = 0; place < PLACES; place += 1) {
    const { offset, length } = random.pick(data);
    const at = offset + random.below(length);
    const poisoned = device.inject({ offset: at, length: 1 });
    bad.add(poisoned.offset, poisoned.length);
  }
  device.close();
  for (const name of ["image", "image.theriac"])
    copyFileSync(join(folder, name), join(folder, "kept", name));
  return { folder, image, donor, bad };
}

/** R1 to R4: whatever reads is the original, and nothing else is missing than `allowed`. @returns the bytes that are missing */
async function checkNothingWrong(
  path: string,
  access: "read" | "write",
  allowed: RangeSet,
): Promise<number> {
  const device = openDevice(path, { access });
  try {
    const bytes = new Uint8Array(device.size);
    const { missing } = await device.read(bytes, 0, "recovery");
    let missed = 0;
    for (const { offset, length } of missing) {
      expect(allowed.covers(offset, length), `R2, R3: ${offset} + ${length} was clean`).toBe(true);
      bytes.set(pristine.subarray(offset, offset + length), offset);
      missed += length;
    }
    expect(Buffer.compare(bytes, pristine), "R1, R3, R4").toBe(0);
    const { total, clean, unread, poisoned, lost } = device.poison.totals();
    expect(clean + unread + poisoned + lost, "R7").toBe(total);
    return missed;
  } finally {
    device.close();
  }
}

/** The same for the image as the kill left it, for that image copied without its list, and for the image once it was settled. */
async function checkAll({ folder, image, bad }: World): Promise<number> {
  const missed = await checkNothingWrong(image, "read", bad);
  const alone = join(folder, "alone", "image");
  copyFileSync(image, alone);
  // What shares a clear unit with a bad place may be kept by the list alone.
  const units = RangeSet.from([...bad].map((range) => alignOut(range, CLEAR_UNIT)));
  await checkNothingWrong(alone, "read", units);
  rmSync(`${alone}.theriac`, { force: true });
  expect(await checkNothingWrong(image, "write", bad)).toBe(missed);
  return missed;
}

function drawMoment(random: Prng, world: World, operations: number): KillMoment {
  if (random.chance(0.3)) {
    const file = `${world.image}.theriac`;
    return { file, bytes: statSync(file).size + random.below(40_000) };
  }
  const when = random.pick(["before", "torn", "after"] as const);
  return { operation: 1 + random.below(operations), when };
}

function repairOf(world: World): readonly string[] {
  return ["repair", world.image, "--from", world.donor];
}

test.each(CLEARS)(
  `R1 to R5: repair, killed ${KILLS} times in its heals (clear: %s), leaves no wrong byte and finishes in the end`,
  async (clear) => {
    const random = createPrng(seed);
    const world = await makeWorld(random, clear);
    const whole = await runKilled(repairOf(world), "never", world.folder);
    expect(whole.code).toBe(0);
    renew(world);
    const deaths: Death[] = [];
    for (let kill = 1; kill <= KILLS; kill += 1) {
      const moment = drawMoment(random, world, whole.operations!);
      const death = await runKilled(repairOf(world), moment, world.folder);
      deaths.push(death);
      const missed = await checkAll(world);
      if (death.signal === null) expect(death.code, JSON.stringify(moment)).toBe(0);
      if (missed > 0 && kill < KILLS) continue;
      const last = await theriac([...repairOf(world), "--json"]);
      expect(last.code, last.stdout).toBe(0);
      expect((await theriac(["verify", world.image, "--against", world.donor])).code).toBe(0);
      expect(Buffer.compare(readFileSync(world.image), pristine)).toBe(0);
      renew(world);
    }
    const killed = deaths.filter(({ signal }) => signal === "SIGKILL").length;
    expect(killed).toBeGreaterThan(KILLS / 2);
  },
  300_000,
);
