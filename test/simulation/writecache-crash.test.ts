/**
 * The crash sweep of writecache: writes, heals of dirty blocks, flushes, commits by number and blocks written back, with a crash or a failure in every operation of
 * the files below, several states that each may leave, and another session with another crash on top of that one. After every one of them each
 * sector holds what was there at the last flush or something written since, whole; what was bad is bad or holds what healed it (R1, R3, R4).
 */
import { describe, expect, test } from "vitest";
import { createPrng, SECTOR, StorageError, type Prng } from "../../src/base/index.ts";
import { createImage, openDevice, type SimulatedDevice } from "../../src/device/index.ts";
import { openStack } from "../../src/mapper/index.ts";
import { createCrashFiles, type CrashFiles } from "../../src/testing/index.ts";
import { randomSeed } from "../base/seed.ts";

const SECTORS = 48;
const STACK = "/w/s.stack";
const CASES = Number(process.env["CASES"] ?? 1);
const HOWS = ["nothing", "everything", "random", "random", "random"] as const;
const seed = randomSeed();

/** What a sector may hold: the numbers of the writes that it may show, or "bad". */
type Shown = number | "bad";

/** What is known of the target. */
class Truth {
  readonly may: Set<Shown>[];
  readonly now: Shown[];

  constructor(may: readonly Set<Shown>[], now: readonly Shown[]) {
    this.may = may.map((set) => new Set(set));
    this.now = [...now];
  }

  static of(now: readonly Shown[]): Truth {
    return new Truth(
      now.map((shown) => new Set([shown])),
      now,
    );
  }

  copy(): Truth {
    return new Truth(this.may, this.now);
  }

  written(first: number, count: number, version: number): void {
    for (let at = first; at < first + count; at += 1) {
      // R4: what left the list is durable
      if (this.now[at] === "bad") this.may[at] = new Set([version]);
      this.now[at] = version;
    }
  }

  durable(): void {
    for (const [sector, shown] of this.now.entries()) this.may[sector] = new Set([shown]);
  }
}

const CONFIGURATIONS = [
  "s origin cache 4096 0",
  "s origin cache 512 2 autocommit_blocks 3",
  "p origin cache 4096 4 high_watermark 100 low_watermark 100",
  "p origin cache 1024 2 autocommit_blocks 2",
  "p origin cache 512 0",
  "s origin cache 4096 1 cleaner",
] as const;

function dataOf(version: number, sectors: number): Uint8Array {
  return new Uint8Array(new Uint32Array((sectors * SECTOR) / 4).fill(version).buffer);
}

/** What a session does. */
interface Work {
  readonly prng: Prng;
  /** Number of the last write. */
  version: number;
  /** Whether a file may fail: the session ends with the first call that does. */
  readonly fails?: boolean;
}

/** Changes at random until the world stops; what is known is in `truth`. */
async function session(files: CrashFiles, truth: Truth, work: Work) {
  const { prng } = work;
  try {
    const { device, table } = await openStack(STACK, { files, access: "write" });
    const target = table.rows[0]?.target;
    for (let step = 0; step < 9; step += 1) {
      const kind = prng.below(7);
      if (kind === 5) {
        await device.flush();
        truth.durable();
      } else if (kind === 6 && target?.kind === "device") {
        await Promise.resolve(target)
          .then((one) => one.message?.(["flush"]))
          .catch((error: unknown) => {
            // what is bad stays in the cache: all else is written back, or committed
            if (work.fails === true || files.crashed || !(error instanceof StorageError))
              throw error;
          });
        truth.durable();
      } else {
        const first = prng.below(SECTORS);
        const count = Math.min(SECTORS - first, 1 + prng.below(prng.pick([2, 8, 24])));
        const version = (work.version += 1);
        for (let at = first; at < first + count; at += 1) truth.may[at]?.add(version);
        await device.write(dataOf(version, count), first * SECTOR, "recovery");
        truth.written(first, count, version);
      }
    }
    await device.close();
    truth.durable();
  } catch (error) {
    if (!files.crashed && !(work.fails === true && error instanceof StorageError)) throw error;
  }
}

/** What every sector of the target shows: more than one thing where it is torn. */
async function readAll(files: CrashFiles): Promise<Shown[][]> {
  const { device } = await openStack(STACK, { files });
  const bytes = new Uint8Array(SECTORS * SECTOR);
  const { missing } = await device.read(bytes, 0);
  await device.close();
  const words = new Uint32Array(bytes.buffer);
  return Array.from({ length: SECTORS }, (_, sector) => {
    const from = sector * SECTOR;
    const isGone = missing.some(
      ({ offset, length }) => offset < from + SECTOR && from < offset + length,
    );
    return isGone ? ["bad"] : [...new Set(words.subarray(from / 4, (from + SECTOR) / 4))];
  });
}

/** @param torn whether a sector may hold parts of several writes: a write that fails may have stored any part of its bytes */
function judge(found: readonly Shown[][], truth: Truth, where: { what: string; torn: boolean }) {
  for (const [sector, values] of found.entries()) {
    const may = truth.may[sector] ?? new Set();
    if (values.every((value) => may.has(value)) && (where.torn || values.length === 1)) continue;
    expect.fail(
      `SEED=${seed} ${where.what}: sector ${sector} shows ${values.join(" and ")}, may show ${[...may].join(", ")}`,
    );
  }
}

/** What was shown, as all that is true. */
function truthOf(found: readonly Shown[][]): Truth {
  return Truth.of(found.map(([first]) => first as Shown));
}

/** A world with a cache in use, a part of its dirty data poisoned. */
async function makeWorld(prng: Prng, configuration: string) {
  const files = createCrashFiles({ seed: prng.below(2 ** 31) });
  const image = (name: string, sectors: number): SimulatedDevice =>
    createImage(`/w/${name}.img`, {
      files,
      size: sectors * SECTOR,
      poisonUnit: 512,
      clearUnit: 512,
    });
  const origin = image("origin", SECTORS);
  origin.write(dataOf(1, SECTORS), 0);
  origin.close();
  image("cache", 40).close();
  const text = `device origin origin.img\ndevice cache cache.img\nt: 0 ${SECTORS} writecache ${configuration}\n`;
  const file = files.open(STACK, { access: "create" });
  file.writeSync(new TextEncoder().encode(text), 0);
  file.close();
  const truth = Truth.of(Array.from({ length: SECTORS }, () => 1));
  const work = { prng, version: 1 };
  if (prng.chance(0.8)) await session(files, truth, work);
  files.settle();
  // blocks of the cache, not its entries
  const cache = openDevice("/w/cache.img", { files, access: "write" }) as SimulatedDevice;
  for (let count = prng.below(4); count > 0; count -= 1)
    cache.inject({ offset: (10 + prng.below(30)) * SECTOR, length: SECTOR });
  cache.close();
  files.settle();
  const base = files.crash("nothing");
  return {
    base,
    truth: truthOf(await readAll(base.crash("nothing"))),
    version: work.version,
  };
}

async function sweep(prng: Prng, configuration: string): Promise<number> {
  const { base, truth, version } = await makeWorld(prng, configuration);
  const own = prng.below(2 ** 31);
  const run = async (files: CrashFiles, fails: boolean = false): Promise<Truth> => {
    const known = truth.copy();
    await session(files, known, { prng: createPrng(own), version, fails });
    return known;
  };
  const crashAt = async (operation: number): Promise<void> => {
    const files = base.crash("nothing");
    files.crashAt(operation);
    const known = await run(files);
    for (const how of HOWS) {
      const what = `${configuration}: crash in operation ${operation}, ${how}`;
      const after = files.crash(how === "random" ? prng : how);
      const found = await readAll(after.crash("everything"));
      judge(found, known, { what, torn: false });
      const again = truthOf(found);
      after.crashAt(1 + prng.below(60));
      await session(after, again, { prng, version: version + 1000 });
      judge(await readAll(after.crash(prng)), again, { what: `${what}, and again`, torn: false });
    }
  };
  const failAt = async (operation: number): Promise<void> => {
    const files = base.crash("nothing");
    files.failAt(operation);
    const known = await run(files, true);
    for (const how of ["nothing", "everything", "random"] as const) {
      const what = `${configuration}: EIO in operation ${operation}, ${how}`;
      judge(await readAll(files.crash(how === "random" ? prng : how)), known, { what, torn: true });
    }
  };
  const whole = base.crash("nothing");
  const known = await run(whole);
  judge(await readAll(whole), known, { what: "undisturbed", torn: false });
  for (let operation = 1; operation <= whole.operations + 1; operation += 1) {
    await crashAt(operation);
    await failAt(operation);
  }
  return whole.operations;
}

describe.each(CONFIGURATIONS)("writecache %s", (configuration) => {
  test("R1, R3, R4 after a crash or a failure in every operation", async () => {
    const prng = createPrng(seed);
    let operations = 0;
    for (let round = 0; round < CASES; round += 1) operations += await sweep(prng, configuration);
    expect(operations).toBeGreaterThan(5);
  });
});
