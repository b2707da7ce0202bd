/** Policies: transient errors, slow zones, retries, limits, maps that are gone on with, and sources that break off. */
import { describe, expect, test } from "vitest";
import { createPrng, RangeSet, StorageError, type Clock } from "../../../src/base/index.ts";
import { salvage, type SalvageOptions } from "../../../src/rescue/index.ts";
import { parseMapRanges } from "../../../src/poison/index.ts";
import { CrashError, createCrashFiles, type CrashFiles } from "../../../src/testing/index.ts";
import { randomSeed } from "../../base/seed.ts";
import { failingSource, type FailingSource } from "./support/failing-source.ts";

const seed = randomSeed();
const OUT = "/disk/out";
const SIZE = 4 * 1024 * 1024;
const bytes = createPrng(5).bytes(SIZE);

function content(files: CrashFiles, path: string): Uint8Array {
  const file = files.open(path);
  const all = new Uint8Array(file.size());
  file.readSync(all, 0);
  file.close();
  return all;
}

function blocks(files: CrashFiles): string {
  const text = Buffer.from(content(files, `${OUT}.map`)).toString();
  return parseMapRanges(text, { size: SIZE })
    .map(({ offset, length, status }) => `${offset}+${length}${status}`)
    .join(" ");
}

/** S73: what the map calls finished is in the output. */
function checkMap(files: CrashFiles): void {
  if (files.info(`${OUT}.map`) === undefined) return;
  const text = Buffer.from(content(files, `${OUT}.map`)).toString();
  const out = files.info(OUT) === undefined ? new Uint8Array() : content(files, OUT);
  for (const { offset, length, status } of parseMapRanges(text, { size: SIZE })) {
    if (status !== "+") continue;
    const end = offset + length;
    expect(Buffer.compare(out.subarray(offset, end), bytes.subarray(offset, end))).toBe(0);
  }
}

async function run(source: FailingSource, options: SalvageOptions & { files?: CrashFiles } = {}) {
  const files = options.files ?? createCrashFiles();
  const result = await salvage(source, OUT, { ...options, files });
  checkMap(files);
  return { files, result };
}

/** A clock that moves only when somebody sleeps, or at every look. */
function clockOf(stepMs: number): Clock & { nowMs: number } {
  const clock = {
    nowMs: 0,
    now: () => (clock.nowMs += stepMs),
    sleep: async (delayMs: number) => {
      clock.nowMs += delayMs;
    },
  };
  return clock;
}

describe("copyByPolicy()", () => {
  test.each(["cheap", "costly"] as const)(
    "%s: records what failed once and then came, and nothing of it is bad (S30)",
    async (policy) => {
      const source = failingSource(bytes, { transient: [{ offset: 1_000_448, length: 512 }] });
      const { result } = await run(source, { policy });
      expect(result).toMatchObject({ salvaged: SIZE, bad: 0, left: 0 });
      expect(result.reads?.failed).toBe(1);
      const transient = RangeSet.from(result.reads?.transient ?? []);
      expect(transient.intersects(1_000_448, 512)).toBe(true);
      expect([...source.missedRanges]).toEqual([]);
    },
  );

  test("records a unit that came at a retry", async () => {
    const source = failingSource(bytes, { bad: [{ offset: 65_536, length: 1024 }] });
    let asked = 0;
    const checkpoint = async (): Promise<void> => {
      asked += 1;
      if (source.counts.failed >= 3) source.broken.clear();
    };
    const { result, files } = await run(source, { retries: 1, checkpoint });
    expect(result.bad).toBe(0);
    expect(result.reads?.transient).toEqual([{ offset: 65_536, length: 1024 }]);
    const beside = Buffer.from(content(files, `${OUT}.map.theriac`)).toString();
    expect(JSON.parse(beside)).toMatchObject({
      found: { transient: [{ offset: 65_536, length: 1024 }], slow: [] },
    });
    expect(asked).toBe(result.reads?.reads);
  });

  test("never touches a listed range of machine-check media, whatever is asked", async () => {
    const listed = [{ offset: 8192, length: 4096 }];
    const source = failingSource(bytes, { listed, failure: "machineCheck" });
    const { result } = await run(source, { retries: 3, policy: "costly" });
    expect(result.bad).toBe(4096);
    const touched = source.asked.filter(
      ({ offset, length }) => offset < 12_288 && offset + length > 8192,
    );
    expect(touched).toEqual([]);
  });

  test("tries a listed range of a disk last, and only with retries", async () => {
    const listed = [{ offset: 8192, length: 1024 }];
    const without = failingSource(bytes, { listed });
    expect((await run(without)).result.bad).toBe(1024);
    const source = failingSource(bytes, { listed, bad: [{ offset: 2_097_152, length: 512 }] });
    const { result } = await run(source, { retries: 1 });
    expect(result.bad).toBe(512);
    const [last, before] = source.asked.toReversed();
    expect([last?.offset, before?.offset]).toEqual([8192, 8704]);
  });

  test("sends nothing into a slow zone until the end, and leaves what hangs again", async () => {
    const source = failingSource(bytes, { slow: [{ offset: 1_048_576, length: 512 }] });
    const { result, files } = await run(source);
    const inZone = source.asked.map(({ offset }, index) =>
      offset >= 1_048_576 && offset < 2_097_152 ? index : -1,
    );
    const at = inZone.filter((index) => index >= 0);
    // The one that hung, and then nothing before all others were read.
    expect(at[1]).toBeGreaterThan(source.asked.findLastIndex(({ offset }) => offset >= 3_145_728));
    expect(result).toMatchObject({ bad: 0, salvaged: SIZE - result.left });
    expect(result.left).toBeGreaterThan(0);
    expect(result.reads?.slowZones).toHaveLength(1);
    expect(blocks(files)).toMatch(/\*/);
  });

  test("goes on with all of the statuses of a map, and reads no bad unit again", async () => {
    const bad = [{ offset: 1_048_576, length: 2048 }];
    const first = failingSource(bytes, { bad });
    const files = createCrashFiles();
    let reads = 0;
    const checkpoint = async (): Promise<void> => {
      reads += 1;
      if (reads === 400) throw new StorageError("EIO", "stop");
    };
    await expect(run(first, { files, checkpoint })).rejects.toThrow("stop");
    expect(blocks(files)).toMatch(/[*/]/);
    checkMap(files);
    const second = failingSource(bytes, { bad });
    const { result } = await run(second, { files });
    expect(result).toMatchObject({ bad: 2048, salvaged: SIZE - 2048, left: 0 });
    const again = failingSource(bytes, { bad });
    await run(again, { files });
    expect(again.counts.reads).toBe(0);
  });

  test("moves borders that are not on units, and eats nothing that is finished (S28)", async () => {
    const files = createCrashFiles();
    await run(failingSource(bytes), { files });
    const map = files.open(`${OUT}.map`, { access: "write" });
    map.truncate(0);
    map.writeSync(
      Buffer.from(`0 ? 1\n0 1000 +\n1000 1096 -\n2096 100 /\n2196 ${SIZE - 2196} +\n`),
      0,
    );
    map.close();
    const source = failingSource(bytes, { unit: 2048 });
    const { result } = await run(source, { files });
    // Bad and not scraped share a unit, which is read; the bad one that is a unit's own part stays.
    expect(result).toMatchObject({ resumed: SIZE - 1196, bad: 1048, left: 0 });
    expect(source.asked).toEqual([{ offset: 2048, length: 2048 }]);
  });

  test.each([
    ["bytes", { maxBadBytes: 4096 }, /4096 bytes are bad/],
    ["areas", { maxBadAreas: 1 }, /1 ranges are bad/],
    ["time", { timeoutMs: 50 }, /nothing came for 50 ms/],
    ["rate", { minRate: 1e12 }, /less than 1000000000000 bytes a second/],
  ])("ends early by its limit of %s, with a map that is true", async (_, limits, reason) => {
    const bad = [
      { offset: 262_144, length: 1_048_576 },
      { offset: 2_621_440, length: 512 },
    ];
    const { result } = await run(failingSource(bytes, { bad }), { limits, clock: clockOf(10_001) });
    expect(result.reads?.stopped).toMatch(reason);
    expect(result.left).toBeGreaterThan(0);
    expect(result.salvaged + result.bad + result.left).toBe(SIZE);
  });

  test("reads no faster than it is told", async () => {
    const clock = clockOf(0);
    await run(failingSource(bytes), { limits: { rate: 1_048_576 }, clock });
    expect(clock.nowMs).toBeGreaterThanOrEqual(3000);
    expect(clock.nowMs).toBeLessThan(4000);
  });

  test("copies only the domain, and first what is to come first", async () => {
    const source = failingSource(bytes);
    const { result } = await run(source, {
      domain: [{ offset: 0, length: 2_097_152 }],
      first: [{ offset: 1_048_576, length: 10 }],
    });
    expect(source.asked[0]?.offset).toBe(1_048_576);
    expect(result).toMatchObject({ salvaged: 2_097_152, left: 0, outside: 2_097_152 });
  });

  test("keeps what came when the source breaks off", async () => {
    const source = failingSource(bytes);
    const files = createCrashFiles();
    const { attempts } = source;
    const broken = {
      ...source,
      attempts: {
        unit: 512,
        largest: 1_048_576,
        attempt: async (into: Uint8Array, offset: number) => {
          if (offset >= 2_097_152)
            throw new StorageError("ESTALE", "Cannot read memory: it became shorter");
          return attempts?.attempt(into, offset) ?? "failed";
        },
      },
    };
    await expect(salvage(broken, OUT, { files })).rejects.toThrow(/became shorter/);
    checkMap(files);
    expect(blocks(files)).toBe("0+2097152+ 2097152+2097152?");
  });

  test("S73: what the map calls finished is in the output, after a crash or failure at any operation", async () => {
    const bad = [{ offset: 1_000_448, length: 1024 }];
    const make = () => failingSource(bytes, { bad, listed: [{ offset: 3_000_320, length: 512 }] });
    const options = { saveEvery: 700_000, hash: true };
    const clean = createCrashFiles();
    await run(make(), { ...options, files: clean });
    const prng = createPrng(seed);
    for (let at = 1; at <= clean.operations; at += 3 + prng.below(12)) {
      for (const kind of ["crash", "EIO", "ENOSPC"] as const) {
        const files = createCrashFiles({ seed });
        if (kind === "crash") files.crashAt(at);
        else files.failAt(at, kind);
        const error: unknown = await salvage(make(), OUT, { ...options, files }).then(
          () => undefined,
          (thrown: unknown) => thrown,
        );
        const isExpected =
          error === undefined || error instanceof CrashError || error instanceof StorageError;
        expect(isExpected, String(error)).toBe(true);
        const after = files.crash(createPrng(seed + at));
        checkMap(after);
        const { result } = await run(make(), { files: after });
        expect(result, `${kind} at ${at}`).toMatchObject({ salvaged: SIZE - 1536, bad: 1536 });
      }
    }
  }, 300_000);
});
