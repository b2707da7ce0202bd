/** Random file calls on every face beside a plain array with poison: what is read is data (R1), nothing else changes (R2), counts are exact. */
import { expect, test } from "vitest";
import { createPrng, StorageError, type Prng } from "../../src/base/index.ts";
import { createMemoryDevice, type SimulatedDevice } from "../../src/device/index.ts";
import { openFile, RWF_RECOVERY_DATA, type Face, type File } from "../../src/file/index.ts";
import { randomSeed } from "../base/seed.ts";

const PAGE = 4096;
const SIZE = 6 * PAGE;
const RUNS = 30;
const STEPS = 40;

interface Run {
  readonly device: SimulatedDevice;
  readonly file: File;
  readonly face: Face;
  readonly content: Uint8Array;
  /** Whether each byte is bad; known or latent. */
  readonly bad: Uint8Array;
  readonly prng: Prng;
  readonly label: string;
}

function place({ prng, face }: Run): { readonly offset: number; readonly length: number } {
  const unit = face === "direct" ? 512 : prng.pick([1, 64, 512, PAGE]);
  const offset = prng.below(SIZE / unit) * unit;
  return {
    offset,
    length: Math.min(SIZE - offset, (1 + prng.below(Math.min(SIZE / unit, 64))) * unit),
  };
}

async function outcome(call: Promise<number>): Promise<number> {
  try {
    return await call;
  } catch (error) {
    if (error instanceof StorageError && error.code === "EIO") return -5;
    throw error;
  }
}

/** Whole pages before the page of the first bad byte: what the patches of 2021 gave; -5 where that is the first page. */
function patchesOf2021(firstBad: number, offset: number): number {
  const page = firstBad - (firstBad % PAGE);
  return page > offset ? page - offset : -5;
}

async function readStep(run: Run): Promise<void> {
  const { file, content, bad, label } = run;
  const { offset, length } = place(run);
  const into = new Uint8Array(length);
  const plain = await outcome(file.preadv2(into.fill(0), offset));
  const flagged = await outcome(file.preadv2(into, offset, RWF_RECOVERY_DATA));
  const first = bad.subarray(offset, offset + length).indexOf(1);
  const expected = first < 0 ? length : first === 0 ? -5 : first;
  expect(`${label} read ${offset}+${length}: ${flagged}`).toBe(
    `${label} read ${offset}+${length}: ${expected}`,
  );
  expect(plain).toBeLessThanOrEqual(flagged);
  if (first >= 0) expect(patchesOf2021(offset + first, offset)).toBeLessThanOrEqual(flagged);
  const count = Math.max(0, flagged);
  expect(Buffer.compare(into.subarray(0, count), content.subarray(offset, offset + count))).toBe(0);
}

async function writeStep(run: Run): Promise<void> {
  await write(run, place(run), run.prng.chance(0.5) ? RWF_RECOVERY_DATA : 0);
}

async function write(
  run: Run,
  { offset, length }: { readonly offset: number; readonly length: number },
  flags: number,
): Promise<void> {
  const { file, content, bad, prng, label } = run;
  const data = prng.bytes(length);
  const before = bad.slice();
  const count = await outcome(file.pwritev2(data, offset, flags));
  if (flags !== 0)
    expect(`${label} write ${offset}+${length}: ${count}`).toBe(
      `${label} write ${offset}+${length}: ${length}`,
    );
  content.set(data.subarray(0, Math.max(0, count)), offset);
  bad.fill(0, offset, offset + Math.max(0, count));
  const known = new Uint8Array(SIZE);
  for (const range of run.device.poison.bad({ offset: 0, length: SIZE }))
    known.fill(1, range.offset, range.offset + range.length);
  // R2, R4: outside what was written nothing left the list, and nothing joined it that was not latent.
  for (let at = 0; at < SIZE; at += 1)
    if (known[at] === 1 && before[at] !== 1) expect.fail(`${label}: byte ${at} joined the list`);
}

function poisonStep({ device, bad, prng }: Run, latent: boolean): void {
  const length = 1 + prng.below(700);
  const range = device.inject({ offset: prng.below(SIZE - length), length }, { latent });
  bad.fill(1, range.offset, range.offset + range.length);
}

/** Latent poison, a write with the flag, and then all of it known: of latent poison under a plain store the model could not tell when it shows. */
async function latentStep(run: Run): Promise<void> {
  poisonStep(run, true);
  await write(run, place(run), RWF_RECOVERY_DATA);
  await run.device.read(new Uint8Array(SIZE), 0);
}

async function check({ device, content, bad, label }: Run): Promise<void> {
  const into = new Uint8Array(SIZE);
  const { missing } = await device.read(into, 0);
  const found = new Uint8Array(SIZE);
  for (const range of missing) found.fill(1, range.offset, range.offset + range.length);
  expect(`${label} ${Buffer.compare(found, bad)}`).toBe(`${label} 0`);
  for (let at = 0; at < SIZE; at += 1)
    if (bad[at] === 0 && into[at] !== content[at]) expect.fail(`${label}: R2: byte ${at}`);
}

test.for(["dax", "direct", "buffered"] as const)(
  "preadv2() and pwritev2() on the %s face agree with a plain array",
  async (face) => {
    const seed = randomSeed();
    for (let index = 0; index < RUNS; index += 1) {
      const prng = createPrng(seed + index);
      const content = prng.bytes(SIZE);
      const poisonUnit = prng.pick([64, 256, 512]);
      const device = createMemoryDevice({
        bytes: content.slice(),
        poisonUnit,
        clearUnit: Math.max(256, poisonUnit),
        clear: prng.pick(["firmware", "atomic"]),
      });
      const run = {
        device,
        file: await openFile(device, { face }),
        face,
        content,
        bad: new Uint8Array(SIZE),
        prng,
        label: `SEED=${seed} run ${index}`,
      };
      for (let step = 0; step < STEPS; step += 1) {
        const kind = prng.below(6);
        if (kind === 0) poisonStep(run, false);
        else if (kind === 5) await latentStep(run);
        else if (kind < 3) await readStep(run);
        else await writeStep(run);
      }
      await check(run);
    }
  },
);
