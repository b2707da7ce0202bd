/**
 * The crash sweep of mirrors with a log: writes, flushes, and reads that heal, with a crash in every operation of every file, and several states
 * that each may leave. After it:
 *
 * - R1, R3: every byte that is given is the one of the last flush or of a later write, and it is the same whichever leg is asked: each leg in turn is
 *   destroyed, and what the other one gives is what was given before;
 * - what was not being written is not missing while a leg has it.
 */
import { describe, expect, test } from "vitest";
import { createPrng, type ByteRange, type Prng } from "../../src/base/index.ts";
import { createImage, openDevice, SimulatedDevice } from "../../src/device/index.ts";
import { openStack } from "../../src/mapper/index.ts";
import { CrashError, createCrashFiles, type CrashFiles } from "../../src/testing/index.ts";
import { randomSeed } from "../base/seed.ts";

const seed = randomSeed();
const SIZE = 8192;
const STACK = "/m.stack";
const WHOLE = { offset: 0, length: SIZE };

const TABLES: Readonly<
  Record<string, { readonly table: string; readonly others: readonly string[] }>
> = {
  "a mirror with a log": { table: "mirror disk 3 log 4 nosync 2 a 0 b 0", others: ["log"] },
  "a raid1 set with metadata": {
    table: "raid raid1 4 0 nosync region_size 4 2 am a bm b",
    others: ["am", "bm"],
  },
};

/** What is done in a session, and what it may leave. */
interface Session {
  readonly writes: readonly (ByteRange & { readonly byte: number; readonly flush: boolean })[];
  /** Poisoned in one leg before, and read. */
  readonly healed: readonly { readonly leg: "a" | "b"; readonly range: ByteRange }[];
}

function makeFiles(name: string): CrashFiles {
  const { table, others } = TABLES[name] ?? { table: "", others: [] };
  const files = createCrashFiles({ seed: 1 });
  for (const leg of ["a", "b", ...others])
    createImage(`/${leg}.img`, { size: SIZE, files, poisonUnit: 64, clearUnit: 256 }).close();
  const devices = ["a", "b", ...others].map((leg) => `device ${leg} ${leg}.img\n`).join("");
  const file = files.open(STACK, { access: "create" });
  file.writeSync(Buffer.from(`${devices}m: 0 16 ${table}\n`), 0);
  file.sync();
  file.close();
  files.settle();
  return files;
}

function makeSession(prng: Prng): Session {
  const writes = Array.from({ length: 3 }, (_, index) => {
    const offset = prng.below(SIZE - 1);
    const length = 1 + prng.below(Math.min(3000, SIZE - offset));
    return { offset, length, byte: 0x10 + index, flush: prng.chance(0.5) };
  });
  const healed = (["a", "b"] as const).map((leg) => {
    const offset = prng.below(32) * 256;
    return { leg, range: { offset, length: 64 * (1 + prng.below(4)) } };
  });
  return { writes, healed };
}

/** The last content, durable, and what it may be since. */
interface Truth {
  readonly flushed: Uint8Array;
  readonly later: { readonly range: ByteRange; readonly byte: number }[];
}

async function begin(files: CrashFiles, { healed }: Session): Promise<Truth> {
  const { device } = await openStack(STACK, { access: "write", files });
  const flushed = new Uint8Array(SIZE).map((_, at) => 0x80 + (at % 97));
  await device.write(flushed, 0);
  await device.close();
  for (const { leg, range } of healed) {
    const image = openDevice(`/${leg}.img`, { access: "write", files });
    if (image instanceof SimulatedDevice) image.inject(range, { latent: true });
    image.close();
  }
  files.settle();
  return { flushed, later: [] };
}

async function work(files: CrashFiles, session: Session, truth: Truth): Promise<void> {
  const { device } = await openStack(STACK, { access: "write", files });
  await device.read(new Uint8Array(SIZE), 0);
  for (const { offset, length, byte, flush } of session.writes) {
    truth.later.push({ range: { offset, length }, byte });
    await device.write(new Uint8Array(length).fill(byte), offset, "recovery");
    if (!flush) continue;
    await device.flush();
    for (const { range, byte: value } of truth.later.splice(0))
      truth.flushed.fill(value, range.offset, range.offset + range.length);
  }
  await device.close();
}

async function readAll(
  files: CrashFiles,
  access: "read" | "write",
): Promise<(number | undefined)[]> {
  const { device } = await openStack(STACK, { access, files });
  const bytes = new Uint8Array(SIZE);
  const { missing } = await device.read(bytes, 0, "recovery");
  const { poisoned, lost, clean, unread, total } = device.poison.totals();
  expect(poisoned + lost + clean + unread, "R7").toBe(total);
  await device.close();
  const values: (number | undefined)[] = [...bytes];
  for (const { offset, length } of missing) values.fill(undefined, offset, offset + length);
  return values;
}

/** Nothing is left of a leg. */
function destroy(files: CrashFiles, leg: string): void {
  const image = openDevice(`/${leg}.img`, { access: "write", files });
  if (image instanceof SimulatedDevice) image.inject(WHOLE, { latent: true });
  image.close();
}

async function check(files: CrashFiles, truth: Truth, where: string): Promise<void> {
  const first = await readAll(files, "read");
  for (const [at, value] of first.entries()) {
    const later = truth.later.filter(
      ({ range }) => range.offset <= at && at < range.offset + range.length,
    );
    if (value === undefined) {
      expect(later.length, `${where}: byte ${at} is missing`).toBeGreaterThan(0);
      continue;
    }
    const wanted = [truth.flushed[at], ...later.map(({ byte }) => byte)];
    if (!wanted.includes(value)) expect.fail(`R1: ${where}: byte ${at} is ${value}`);
  }
  files.settle();
  for (const leg of ["a", "b"]) {
    const world = files.crash("everything");
    destroy(world, leg);
    for (const [at, value] of (await readAll(world, "write")).entries()) {
      if (value !== undefined && first[at] !== undefined && value !== first[at])
        expect.fail(`R3: ${where}: byte ${at} is ${first[at]}, and ${value} without leg ${leg}`);
    }
  }
}

async function crashAt(name: string, session: Session, at: number): Promise<boolean> {
  const files = makeFiles(name);
  const truth = await begin(files, session);
  files.crashAt(files.operations + at);
  let crashed = false;
  try {
    await work(files, session, truth);
  } catch (error) {
    if (!(error instanceof CrashError)) throw error;
    crashed = true;
  }
  const prng = createPrng(seed + at);
  for (const how of ["nothing", "everything", prng, prng] as const)
    await check(files.crash(how), truth, `${name}, operation ${at}`);
  return crashed;
}

describe("crash sweep", () => {
  for (const name of Object.keys(TABLES)) {
    for (let count = 0; count < 3; count += 1) {
      test(`R1, R3: ${name}: a crash in any operation leaves one answer (${count})`, async () => {
        const session = makeSession(createPrng(seed + count));
        let at = 1;
        while (await crashAt(name, session, at)) at += 1;
        expect(at).toBeGreaterThan(10);
      });
    }
  }
});
