/** Live salvage beside ddrescue: its failed reads, its maps, and processes that are killed. */
import { execFileSync, spawn } from "node:child_process";
import { existsSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { createPrng, RangeSet, type ByteRange } from "../../src/base/index.ts";
import { createMemoryDevice } from "../../src/device/index.ts";
import { parseMapRanges } from "../../src/poison/index.ts";
import { describeTarget, salvage, wholeTarget } from "../../src/rescue/index.ts";
import { createCrashFiles } from "../../src/testing/index.ts";
import { randomSeed } from "../base/seed.ts";
import { theriac } from "../cli/support/theriac.ts";
import { removeTemporary, temporary } from "../rescue/support/tree.ts";
import { requirePrograms } from "./support/programs.ts";

const seed = randomSeed();
const SIZE = 16 * 1024 * 1024;
afterAll(removeTemporary);

function mapOf(bad: RangeSet, size: number): string {
  let text = "0x0 ? 1\n";
  let at = 0;
  for (const { offset, length } of bad) {
    if (offset > at) text += `${at} ${offset - at} +\n`;
    text += `${offset} ${length} -\n`;
    at = offset + length;
  }
  return at < size ? `${text}${at} ${size - at} +\n` : text;
}

/** An image of random bytes, and the names beside it. */
function made(size: number): { folder: string; image: string; bytes: Uint8Array } {
  const folder = temporary();
  const image = join(folder, "image");
  const bytes = createPrng(seed).bytes(size);
  writeFileSync(image, bytes);
  return { folder, image, bytes };
}

function random(count: number, unit: number): ByteRange[] {
  const prng = createPrng(seed + unit);
  return Array.from({ length: count }, () => ({
    offset: prng.below(SIZE / unit) * unit,
    length: unit,
  }));
}

describe("salvage() by policy", () => {
  test("costly fails no more often than ddrescue (S24)", async (context) => {
    requirePrograms(context, "ddrescue");
    const patterns: readonly ByteRange[][] = [
      random(1, 512),
      random(1, 4096),
      random(16, 4096),
      random(16, 512),
      [{ offset: 5_242_880, length: 1_048_576 }],
    ];
    const { folder, image, bytes } = made(SIZE);
    for (const [index, ranges] of patterns.entries()) {
      const bad = RangeSet.from(ranges);
      const name = join(folder, String(index));
      writeFileSync(`${name}.bad`, mapOf(bad, SIZE));
      execFileSync("ddrescue", [
        "-q",
        `--log-reads=${name}.log`,
        "-H",
        `${name}.bad`,
        image,
        `${name}.out`,
        `${name}.map`,
      ]);
      const theirs = readFileSync(`${name}.log`, "utf8")
        .split("\n")
        .filter((line) => /^0x\S+\s+\d+\s+\d+\s+[1-9]/.test(line)).length;
      const device = createMemoryDevice({
        bytes: Uint8Array.from(bytes),
        poisonUnit: 512,
        clearUnit: 512,
        name: "memory",
      });
      for (const range of bad) device.inject(range, { latent: true });
      const target = await describeTarget(device, { path: "memory" });
      const result = await salvage(wholeTarget(target), "/disk/out", {
        files: createCrashFiles(),
        policy: "costly",
      });
      expect(theirs).toBeGreaterThan(bad.byteLength / 512);
      expect(result.bad).toBe(bad.byteLength);
      expect(result.reads?.failed).toBeLessThanOrEqual(theirs);
    }
  });
});

describe("theriac salvage --direct", () => {
  test("copies a file past the page cache, and goes through ddrescuelog", async (context) => {
    requirePrograms(context, "ddrescuelog");
    const { folder, image, bytes } = made(3_000_001);
    const out = join(folder, "out");
    const run = await theriac(["salvage", "--direct", "--json", image, out]);
    expect(run.code, run.stderr).toBe(0);
    expect(JSON.parse(run.stdout)).toMatchObject({
      schema: "theriac.salvage/1",
      salvaged: 3_000_001,
      reads: { failed: 0, slow: 0, stopped: null },
    });
    expect(readFileSync(out).equals(bytes)).toBe(true);
    execFileSync("ddrescuelog", ["-D", `${out}.map`]);
  });

  test("tries what a list names last, and only with --retries", async () => {
    const { folder, image, bytes } = made(1_048_576);
    const bad = join(folder, "bad");
    writeFileSync(bad, mapOf(RangeSet.from([{ offset: 8192, length: 512 }]), 1_048_576));
    const out = join(folder, "out");
    const args = ["salvage", "--direct", "--poison", bad, image, out];
    expect((await theriac(args)).code).toBe(1);
    expect((await theriac([...args, "--retries", "1"])).code).toBe(0);
    expect(readFileSync(out).equals(bytes)).toBe(true);
  });

  test.each([
    ["rate of 0", ["--rate", "0"], 2],
    ["policy that is none", ["--policy", "brave"], 2],
    ["retries that are no number", ["--retries", "x"], 2],
    ["domain that is no map", ["--domain", "image"], 3],
    ["domain that is not there", ["--domain", "absent"], 3],
  ])("refuses a %s", async (_, options, code) => {
    const { folder, image } = made(65_536);
    const named = options.map((text) =>
      text === "image" || text === "absent" ? join(folder, text) : text,
    );
    const out = join(folder, "out");
    expect((await theriac(["salvage", "--direct", ...named, image, out])).code).toBe(code);
    expect(existsSync(out)).toBe(false);
  });
});

describe("theriac salvage of an image", () => {
  test.each([
    ["--retries", "1"],
    ["--rate", "1M"],
    ["--max-bad-areas", "3"],
  ])("refuses %s, which would mean nothing", async (...option) => {
    const { folder, image } = made(65_536);
    const run = await theriac(["salvage", ...option, image, join(folder, "out")]);
    expect(run.code).toBe(2);
    expect(run.stderr).toContain(option[0]);
    const by = await theriac([
      "salvage",
      ...option,
      "--policy",
      "costly",
      image,
      join(folder, "out"),
    ]);
    expect(by.code, by.stderr).toBe(0);
  });
});

describe("theriac salvage --adopt", () => {
  test("goes on with a map of ddrescue, and refuses one of another source", async (context) => {
    requirePrograms(context, "ddrescue");
    const { folder, image, bytes } = made(1_048_576);
    const bad = join(folder, "bad");
    writeFileSync(bad, mapOf(RangeSet.from([{ offset: 524_288, length: 524_288 }]), 1_048_576));
    const out = join(folder, "out");
    execFileSync("ddrescue", ["-q", "-H", bad, image, out, `${out}.map`]);
    expect((await theriac(["salvage", image, out])).code).toBe(4);
    const other = join(folder, "other");
    writeFileSync(other, createPrng(seed + 9).bytes(1_048_576));
    expect((await theriac(["salvage", "--adopt", other, out])).code).toBe(4);
    const run = await theriac(["salvage", "--adopt", "--json", image, out]);
    expect(run.code, run.stderr).toBe(0);
    expect(JSON.parse(run.stdout)).toMatchObject({ resumed: 524_288, salvaged: 1_048_576 });
    expect(readFileSync(out).equals(bytes)).toBe(true);
    expect((await theriac(["salvage", other, out])).code).toBe(4);
  });
});

describe("theriac merge", () => {
  test("makes of two partial copies what ddrescuelog says of their maps (S27)", async (context) => {
    requirePrograms(context, "ddrescuelog");
    const { folder, image, bytes } = made(1_048_576);
    const holes = [
      [
        { offset: 8192, length: 4096 },
        { offset: 65_536, length: 512 },
      ],
      [
        { offset: 65_536, length: 512 },
        { offset: 700_416, length: 1024 },
      ],
    ];
    const copies: string[] = [];
    for (const [index, ranges] of holes.entries()) {
      const copy = join(folder, `copy${index}`);
      writeFileSync(`${copy}.bad`, mapOf(RangeSet.from(ranges), 1_048_576));
      expect((await theriac(["salvage", "--poison", `${copy}.bad`, image, copy])).code).toBe(1);
      copies.push(copy);
    }
    const out = join(folder, "out");
    expect((await theriac(["merge", out, ...copies])).code).toBe(1);
    const right = Uint8Array.from(bytes).fill(0, 65_536, 66_048);
    expect(readFileSync(out).equals(right)).toBe(true);
    const [one = "", two = ""] = copies;
    const lines = (args: readonly string[]): string =>
      execFileSync("ddrescuelog", ["-b512", ...args], { encoding: "utf8" });
    const either = join(folder, "either.map");
    // Or of what is finished.
    writeFileSync(either, lines(["-z", `${two}.map`, `${one}.map`]));
    expect(lines(["-l+", `${out}.map`])).toBe(lines(["-l+", either]));
  });
});

describe("a salvage that is killed", () => {
  test("has what its map calls finished, at any moment, and the next run ends it (S73)", async () => {
    const { folder, image, bytes } = made(SIZE);
    const out = join(folder, "out");
    const library = new URL("../../dist/rescue/index.js", import.meta.url).href;
    const script = `
      const { openSource, salvage, wholeTarget } = await import(${JSON.stringify(library)});
      const target = await openSource(${JSON.stringify(image)}, { direct: process.argv[1] === "direct" });
      await salvage(wholeTarget(target), ${JSON.stringify(out)}, { saveEvery: 1 << 20, hash: true });
      await target.close();
    `;
    const run = async (how: string, killAfterMs: number | undefined): Promise<number | null> => {
      const child = spawn(process.execPath, ["--input-type=module", "-e", script, how], {
        stdio: "ignore",
      });
      const timer =
        killAfterMs === undefined
          ? undefined
          : setTimeout(() => child.kill("SIGKILL"), killAfterMs);
      const code = await new Promise<number | null>((resolve) => {
        child.on("close", resolve);
      });
      clearTimeout(timer);
      return code;
    };
    const prng = createPrng(seed);
    for (let round = 0; round < 24; round += 1) {
      const how = round % 2 === 0 ? "direct" : "mapped";
      await run(how, 60 + prng.below(500));
      if (!existsSync(`${out}.map`)) continue;
      const copy = existsSync(out) ? readFileSync(out) : Buffer.alloc(0);
      for (const range of parseMapRanges(readFileSync(`${out}.map`, "utf8"), { size: SIZE })) {
        if (range.status !== "+") continue;
        const end = range.offset + range.length;
        expect(
          Buffer.compare(copy.subarray(range.offset, end), bytes.subarray(range.offset, end)),
          `${how} ${round}`,
        ).toBe(0);
      }
    }
    expect(await run("mapped", undefined)).toBe(0);
    expect(readFileSync(out).equals(bytes)).toBe(true);
  });
});

describe("theriac salvage where it cannot", () => {
  test("says where the output cannot be made", async () => {
    const { image } = made(65_536);
    const run = await theriac(["salvage", "--direct", image, "/proc/self/out"]);
    expect(run.code).toBe(3);
    expect(run.stderr).toMatch(/\/proc\/self\/out/);
  });

  test("keeps a true map where the source becomes shorter", async () => {
    const { folder, image, bytes } = made(4_194_304);
    const out = join(folder, "out");
    const child = theriac(["salvage", "--direct", "--rate", "1M", image, out]);
    while (!existsSync(out)) await new Promise((resolve) => setTimeout(resolve, 20));
    truncateSync(image, 1_048_576);
    const run = await child;
    expect(run.code).toBe(4);
    expect(run.stderr).toMatch(/had 4194304 when it was opened/);
    const copy = readFileSync(out);
    for (const { offset, length, status } of parseMapRanges(readFileSync(`${out}.map`, "utf8"), {
      size: 4_194_304,
    }))
      if (status === "+")
        expect(
          copy.subarray(offset, offset + length).equals(bytes.subarray(offset, offset + length)),
        ).toBe(true);
  });
});
