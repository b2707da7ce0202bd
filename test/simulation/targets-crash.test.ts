/**
 * The crash sweep of targets that keep something: a crash in every operation of the files below, several states that each may leave. What dust lists
 * stays bad until its new data is there (R1, R3, R4), and the log of log-writes is whole and gives the device at a flush that ended, or a later one.
 */
import { describe, expect, test } from "vitest";
import { createPrng, StorageError, type ByteRange, type Prng } from "../../src/base/index.ts";
import {
  createImage,
  createMemoryDevice,
  openDevice,
  type AccessMode,
} from "../../src/device/index.ts";
import { openStack, replayLog, sendMessage } from "../../src/mapper/index.ts";
import { CrashError, createCrashFiles, type CrashFiles } from "../../src/testing/index.ts";
import { randomSeed } from "../base/seed.ts";

const SIZE = 16 * 512;
const CASES = Number(process.env["CASES"] ?? 4);
const HOWS = ["nothing", "everything", "random", "random"] as const;
const seed = randomSeed();

function putText(files: CrashFiles, path: string, text: string): void {
  const file = files.open(path, { access: "create" });
  file.writeSync(new TextEncoder().encode(text), 0);
  file.sync();
  file.close();
  files.syncDirectoryOf(path);
}

function image(files: CrashFiles, path: string, bytes: Uint8Array): void {
  const made = createImage(path, { files, size: bytes.length, poisonUnit: 64, clearUnit: 256 });
  made.write(bytes, 0);
  made.close();
}

/** Runs until the world stops. */
async function untilCrash(run: () => Promise<void>): Promise<void> {
  try {
    await run();
  } catch (error) {
    if (!(error instanceof CrashError) && !(error instanceof StorageError)) throw error;
  }
}

/** Every world that a crash in an operation of `run` may leave. @returns how many operations there are */
async function sweep(
  base: CrashFiles,
  prng: Prng,
  sides: {
    readonly run: (files: CrashFiles) => Promise<void>;
    readonly judge: (world: CrashFiles) => Promise<void>;
  },
): Promise<number> {
  const whole = base.crash("nothing");
  await sides.run(whole);
  for (let operation = 1; operation <= whole.operations + 1; operation += 1) {
    const files = base.crash("nothing");
    files.crashAt(operation);
    await untilCrash(() => sides.run(files));
    for (const how of HOWS) await sides.judge(files.crash(how === "random" ? prng : how));
  }
  return whole.operations;
}

/** A write over listed blocks. */
interface DustCase {
  readonly old: Uint8Array;
  readonly listed: readonly number[];
  readonly blockSize: number;
  readonly write: { readonly offset: number; readonly data: Uint8Array };
  readonly mode: AccessMode;
}

const DUST = "/d.stack";

async function dustBase(one: DustCase): Promise<CrashFiles> {
  const files = createCrashFiles({ seed });
  image(files, "/a.img", one.old);
  putText(files, DUST, `device a a.img\nt: 0 16 dust a 0 ${one.blockSize}\n`);
  const { device, table } = await openStack(DUST, { files, access: "write" });
  for (const block of one.listed)
    await sendMessage(table, { sector: 0, words: ["addbadblock", String(block)] });
  await sendMessage(table, { sector: 0, words: ["enable"] });
  await device.close();
  files.settle();
  return files.crash("nothing");
}

async function judgeDust(world: CrashFiles, one: DustCase, isDone: boolean): Promise<void> {
  const { device } = await openStack(DUST, { files: world });
  const bytes = new Uint8Array(SIZE);
  const { missing } = await device.read(bytes, 0, "recovery");
  const isIn = (at: number, { offset, length }: ByteRange): boolean =>
    at >= offset && at < offset + length;
  const written = { offset: one.write.offset, length: one.write.data.length };
  for (let at = 0; at < SIZE; at += 1) {
    const wasBad = one.listed.includes(Math.floor(at / one.blockSize));
    const isBad = missing.some((hole) => isIn(at, hole));
    const isNew = isIn(at, written) && bytes[at] === one.write.data[at - written.offset];
    let isRight = !isBad && bytes[at] === one.old[at];
    if (wasBad) isRight = isBad ? !(isDone && isIn(at, written)) : isNew;
    else if (isIn(at, written)) isRight = !isBad && (isNew || bytes[at] === one.old[at]);
    if (!isRight)
      expect.fail(`SEED=${seed} byte ${at}: bad ${isBad}, was ${wasBad}, done ${isDone}`);
  }
  await device.close();
}

describe("dust", () => {
  test.each<AccessMode>(["access", "recovery"])(
    "R1, R3, R4: a crash in a write over listed blocks leaves each bad, or new: %s",
    async (mode) => {
      const prng = createPrng(seed);
      let operations = 0;
      for (let round = 0; round < CASES; round += 1) {
        const blockSize = prng.pick([512, 1024]);
        const unit = mode === "access" ? blockSize : 100;
        const offset = prng.below(Math.floor(SIZE / unit) - 1) * unit;
        const length = unit * (1 + prng.below(Math.floor((SIZE - offset) / unit)));
        const one: DustCase = {
          old: prng.bytes(SIZE),
          listed: Array.from({ length: SIZE / blockSize }, (_, at) => at).filter(() =>
            prng.chance(0.4),
          ),
          blockSize,
          write: { offset, data: prng.bytes(length) },
          mode,
        };
        const base = await dustBase(one);
        let isDone = false;
        operations += await sweep(base, prng, {
          run: async (files) => {
            isDone = false;
            const { device } = await openStack(DUST, { files, access: "write" });
            await device.write(one.write.data, offset, mode);
            isDone = true;
            await device.close();
          },
          judge: (world) => judgeDust(world, one, isDone),
        });
      }
      expect(operations).toBeGreaterThan(CASES);
    },
  );
});

const LOGGED = "/l.stack";

describe("log-writes", () => {
  test("R3: after a crash the log is whole, and gives the device at the last flush that ended, or a later one", async () => {
    const prng = createPrng(seed);
    const old = prng.bytes(SIZE);
    const files = createCrashFiles({ seed });
    image(files, "/a.img", old);
    image(files, "/log.img", new Uint8Array(65_536));
    putText(files, LOGGED, "device a a.img\ndevice l log.img\nt: 0 16 log-writes a l\n");
    files.settle();
    const base = files.crash("nothing");
    const writes = Array.from({ length: 6 }, () => {
      const offset = prng.below(SIZE - 1200);
      return { offset, data: prng.bytes(1 + prng.below(1200)) };
    });
    const moments = [old];
    for (const { offset, data } of writes) {
      const next = (moments.at(-1) as Uint8Array).slice();
      next.set(data, offset);
      moments.push(next);
    }
    let flushed = 0;
    const operations = await sweep(base, prng, {
      run: async (world) => {
        flushed = 0;
        const { device } = await openStack(LOGGED, { files: world, access: "write" });
        for (const [index, { offset, data }] of writes.entries()) {
          await device.write(data, offset);
          if (index % 2 === 0) continue;
          await device.flush();
          flushed = index + 1;
        }
        await device.close();
        flushed = writes.length;
      },
      judge: async (world) => {
        const log = openDevice("/log.img", { files: world });
        const first = new Uint8Array(512);
        log.readSync(first, 0);
        const target = createMemoryDevice({ bytes: old.slice() });
        if (first.some((byte) => byte !== 0)) await replayLog(log, target);
        const content = new Uint8Array(SIZE);
        await target.read(content, 0);
        const at = moments.findIndex((moment) => Buffer.compare(moment, content) === 0);
        expect(at, `SEED=${seed}`).toBeGreaterThanOrEqual(flushed);
        log.close();
        // and it can be gone on with
        const { device } = await openStack(LOGGED, { files: world, access: "write" });
        await device.write(new Uint8Array(512), 0);
        await device.close();
      },
    });
    expect(operations).toBeGreaterThan(20);
  });
});
