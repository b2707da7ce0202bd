/**
 * Random images, random poison, random stale donors: after a repair every file is the original, or its missing ranges are reported. No clean
 * byte changes (R2), the states add up (R7), no extent moves (R8), a second repair finds nothing to do.
 */
import { utimesSync } from "node:fs";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { createPrng, RangeSet, type Prng } from "../../src/base/index.ts";
import { createMemoryDevice, type SimulatedDevice } from "../../src/device/index.ts";
import { imageDonor, openDirectoryDonor, VolumeFile, type Donor } from "../../src/donor/index.ts";
import { openFileMap } from "../../src/fs/index.ts";
import {
  describeTarget,
  findDamage,
  isMissing,
  repair,
  scan,
  type Repair,
  type Trust,
} from "../../src/rescue/index.ts";
import { randomSeed } from "../base/seed.ts";
import {
  hasProgram,
  makeImage,
  MODIFIED,
  removeTemporary,
  targetOf,
  temporary,
  treeImage,
  writeTree,
} from "../rescue/support/tree.ts";

const seed = randomSeed();
const RUNS = Number(process.env["RUNS"] ?? 40);
const SHAPES: readonly (readonly string[])[] = [
  ["-b", "4096"],
  ["-b", "1024"],
  ["-b", "2048", "-O", "^metadata_csum,^64bit"],
  ["-b", "1024", "-O", "^extent,^64bit"],
  ["-b", "4096", "-O", "bigalloc", "-C", "16384"],
  ["-b", "1024", "-O", "inline_data", "-I", "256"],
];
afterAll(removeTemporary);

const images = new Map<string, Uint8Array>();

function image(prng: Prng): Uint8Array {
  if (!hasProgram("mke2fs")) return treeImage();
  const shape = prng.pick(SHAPES);
  const made = images.get(shape.join(" ")) ?? makeImage(shape, "12M");
  images.set(shape.join(" "), made);
  return Uint8Array.from(made);
}

/** Files whose donor is stale in a way that grading must see, or that it cannot see: those hold the right bytes where they are used. */
function randomBackup(prng: Prng): { root: string; wrong: ReadonlySet<string> } {
  const root = temporary();
  const wrong = new Set<string>();
  writeTree(root, (path, bytes) => {
    const kind = prng.below(8);
    if (kind === 0) return undefined;
    if (kind > 2 || bytes.length < 10) return bytes;
    wrong.add(path);
    if (kind === 1) return bytes.subarray(0, bytes.length - 1 - prng.below(bytes.length - 1));
    // The same size, other content everywhere, and an honest time.
    return Uint8Array.from(bytes, (byte) => byte ^ 0x55);
  });
  for (const path of wrong) {
    if (prng.chance(0.5))
      utimesSync(join(root, path), MODIFIED - 1 - prng.below(1000), MODIFIED - 1);
  }
  return { root, wrong };
}

async function twin(prng: Prng, bytes: Uint8Array): Promise<Donor> {
  const device = createMemoryDevice({
    bytes: Uint8Array.from(bytes),
    name: "twin",
    poisonUnit: 512,
    clearUnit: 512,
  });
  const { map } = await targetOf(device);
  for (let count = prng.below(20); count > 0; count -= 1)
    device.inject({ offset: prng.below(bytes.length - 8192), length: 1 + prng.below(8192) });
  return imageDonor({
    name: "twin",
    device,
    volumes: [{ device, offset: 0, length: bytes.length, map }],
    close: () => undefined,
  });
}

interface Outcome {
  readonly device: SimulatedDevice;
  readonly pristine: Uint8Array;
  readonly result: Repair;
  readonly wrong: ReadonlySet<string>;
}

/** Every file is the original where it can be read; what cannot be read is on the list. */
async function checkFiles({ device, pristine, result, wrong }: Outcome): Promise<void> {
  const truth = createMemoryDevice({ bytes: pristine, poisonUnit: 512, clearUnit: 512 });
  const map = await openFileMap(truth);
  for await (const info of map.files()) {
    if (info.kind !== "file" || info.inode < 11) continue;
    const right = new Uint8Array(info.size);
    await new VolumeFile({ device: truth, offset: 0, length: truth.size, map }, info, "right").read(
      right,
      0,
    );
    const now = new Uint8Array(info.size);
    const { missing } = await new VolumeFile(
      { device, offset: 0, length: device.size, map },
      info,
      "now",
    ).read(now, 0);
    for (const hole of missing)
      now.set(right.subarray(hole.offset, hole.offset + hole.length), hole.offset);
    if (Buffer.compare(right, now) === 0) continue;
    // Of a file of which nothing is left, size and time are all that can be compared, and the result says so.
    const used = result.steps.filter(
      ({ owner, action }) => owner.inode === info.inode && action === "write",
    );
    const told = used.every(({ reason }) => reason.includes("no clean byte of the file is left"));
    if (!told || !info.paths.some((path) => wrong.has(path))) {
      throw new Error(`${info.paths[0]} holds wrong bytes: ${JSON.stringify(used)}`);
    }
  }
}

async function run(prng: Prng): Promise<void> {
  const bytes = image(prng);
  const pristine = Uint8Array.from(bytes);
  const poisonUnit = prng.pick([64, 256, 512, 4096]);
  const device = createMemoryDevice({
    bytes,
    poisonUnit,
    clearUnit: Math.max(poisonUnit, prng.pick([256, 1024, 4096])),
    clear: prng.pick(["firmware", "atomic", "overwrite"]),
  });
  const { map: original } = await targetOf(device);
  const inUse = [...(await original.used())];
  for (let count = 1 + prng.below(60); count > 0; count -= 1) {
    const place = prng.chance(0.9) ? prng.pick(inUse) : { offset: 0, length: bytes.length };
    const offset = place.offset + prng.below(place.length);
    const length = Math.min(bytes.length - offset, 1 + prng.below(prng.pick([64, 4096, 65_536])));
    // Not the first block: without its superblock there is no image to speak of, and other tests do that.
    if (offset >= 4096) device.inject({ offset, length }, { latent: prng.chance(0.3) });
  }
  const latent = RangeSet.from(
    [...device.faults()].filter(({ kind, on }) => kind === "poison" && on),
  );
  const { root, wrong } = randomBackup(prng);
  const donors: Donor[] = [openDirectoryDonor(root)];
  if (prng.chance(0.5)) donors.push(await twin(prng, pristine));
  const target = await describeTarget(device, { path: "random" });
  const trust: Trust = prng.chance(0.2) ? "proven" : "consistent";
  const result = await repair({ target, donors }, { trust, free: prng.chance(0.3) });

  const { bad, ...parts } = result.sums;
  expect(
    Object.values(parts).reduce((sum, part) => sum + part, 0),
    "sums add up",
  ).toBe(bad);
  const totals = device.poison.totals();
  expect(result.totals).toEqual(totals);
  expect(totals.clean + totals.unread + totals.poisoned + totals.lost, "R7").toBe(totals.total);
  expect(result.moved, "R8").toEqual([]);
  if (trust === "proven")
    expect(result.steps.every(({ grade }) => grade === undefined || grade === "proven")).toBe(true);

  // R2: what was good before is as it was.
  for (const clean of latent.gaps(0, bytes.length)) {
    const end = clean.offset + clean.length;
    if (
      Buffer.compare(bytes.subarray(clean.offset, end), pristine.subarray(clean.offset, end)) !== 0
    )
      throw new Error(`R2: a clean byte changed in ${clean.offset} to ${end}`);
  }
  await checkFiles({ device, pristine, result, wrong });
  await scan(await describeTarget(device, { path: "random" }));
  const again = await describeTarget(device, { path: "random" });
  const damage = await findDamage(again);
  const lost = damage.filter(isMissing).reduce((sum, { length }) => sum + length, 0);
  const second = await repair({ target: again, donors }, { trust });
  expect(second.missing).toBeLessThanOrEqual(lost);
  expect(
    (await repair({ target: await describeTarget(device, { path: "random" }), donors }, { trust }))
      .sums.repaired,
    "idempotent",
  ).toBe(0);
}

test(`R1, R2, R7, R8: ${RUNS} random repairs leave every file right or reported`, async () => {
  expect(RUNS).toBeGreaterThan(0);
  for (let index = 0; index < RUNS; index += 1) {
    const own = seed + index;
    try {
      await run(createPrng(own));
    } catch (error) {
      throw new Error(`SEED=${own} RUNS=1 repeats it`, { cause: error });
    }
  }
}, 300_000);
