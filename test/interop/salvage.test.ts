/** Salvage beside ddrescue: the same bytes, the same map, and exit codes that say what ddrescue's do not. */
import { execFileSync } from "node:child_process";
import { copyFileSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, test, type TestContext } from "vitest";
import { createPrng, type Prng } from "../../src/base/index.ts";
import { randomSeed } from "../base/seed.ts";
import { theriac } from "../cli/support/theriac.ts";
import { removeTemporary, temporary } from "../rescue/support/tree.ts";
import { requirePrograms } from "./support/programs.ts";

const seed = randomSeed();
afterAll(removeTemporary);

interface Case {
  readonly folder: string;
  readonly image: string;
  readonly bad: string;
}

/** An image and a map of its bad ranges, which both programs take as the truth. */
function makeCase(prng: Prng, size: number, holes: readonly (readonly [number, number])[]): Case {
  const folder = temporary();
  const bytes = prng.bytes(size);
  bytes.fill(0, size >> 2, size >> 1);
  const image = join(folder, "image");
  writeFileSync(image, bytes);
  let text = "0x0 ? 1\n";
  let at = 0;
  for (const [offset, length] of holes) {
    if (offset > at) text += `${at} ${offset - at} +\n`;
    text += `${offset} ${length} -\n`;
    at = offset + length;
  }
  if (at < size) text += `${at} ${size - at} +\n`;
  const bad = join(folder, "bad.map");
  writeFileSync(bad, text);
  return { folder, image, bad };
}

async function compare(context: TestContext, made: Case): Promise<void> {
  requirePrograms(context, "ddrescue", "ddrescuelog");
  const { folder, image, bad } = made;
  const ours = join(folder, "ours");
  const theirs = join(folder, "theirs");
  execFileSync("ddrescue", ["-q", "-H", bad, image, theirs, `${theirs}.map`]);
  const run = await theriac(["salvage", image, ours, "--poison", bad]);
  expect(run.code, run.stderr).toBe(1);
  // ddrescue truncates nothing, but ends its output at the last good byte; ours has the size of its source.
  const right = readFileSync(theirs);
  const got = readFileSync(ours);
  expect(got.length).toBe(readFileSync(image).length);
  expect(got.subarray(0, right.length).equals(right)).toBe(true);
  expect(got.subarray(right.length).every((byte) => byte === 0)).toBe(true);
  expect(
    execFileSync(
      "sh",
      [
        "-c",
        'ddrescuelog -b512 -l+ "$1" | sort > "$1.l"; ddrescuelog -b512 -l+ "$2" | sort > "$2.l"; cmp "$1.l" "$2.l" && echo same',
        "sh",
        `${ours}.map`,
        `${theirs}.map`,
      ],
      { encoding: "utf8" },
    ),
  ).toBe("same\n");
}

describe("theriac salvage", () => {
  test("gives the bytes and the map of ddrescue -H (S23), and exit 1 where ddrescue gives 0 (S25)", async (context) => {
    const made = makeCase(createPrng(seed), 0x100000, [
      [0x40000, 0x200],
      [0x80000, 0x10000],
    ]);
    await compare(context, made);
    expect(
      readFileSync(join(made.folder, "ours.map"), "utf8")
        .split("\n")
        .filter((line) => line.startsWith("0x"))
        .slice(1),
    ).toEqual([
      "0x00000000  0x00040000  +",
      "0x00040000  0x00000200  -",
      "0x00040200  0x0003FE00  +",
      "0x00080000  0x00010000  -",
      "0x00090000  0x00070000  +",
    ]);
  });

  test("gives the same for 64 random bad sectors (S24)", async (context) => {
    const prng = createPrng(seed + 1);
    const sectors = [...new Set(Array.from({ length: 64 }, () => prng.below(4096)))].sort(
      (one, other) => one - other,
    );
    const holes: [number, number][] = [];
    for (const sector of sectors) {
      const last = holes.at(-1);
      if (last !== undefined && last[0] + last[1] === sector * 512) last[1] += 512;
      else holes.push([sector * 512, 512]);
    }
    const made = makeCase(prng, 4096 * 512, holes);
    await compare(context, made);
    execFileSync("ddrescuelog", ["-t", join(made.folder, "ours.map")]);
    expect(holes.length).toBeGreaterThan(32);
  });

  test("its map is one that ddrescue goes on with, and refuses one that is not its own (S26)", async (context) => {
    requirePrograms(context, "ddrescue", "ddrescuelog");
    const one = makeCase(createPrng(seed + 2), 0x40000, [[0x8000, 0x1000]]);
    const other = makeCase(createPrng(seed + 3), 0x40000, [[0x8000, 0x1000]]);
    const out = join(one.folder, "out");
    expect((await theriac(["salvage", one.image, out, "--poison", one.bad])).code).toBe(1);
    const before = readFileSync(out);
    const foreign = await theriac(["salvage", other.image, out, "--poison", other.bad]);
    expect(foreign.code).toBe(4);
    expect(foreign.stderr).toContain("Refused map");
    expect(readFileSync(out).equals(before)).toBe(true);
    // ddrescue fills the hole from the source, and its rewritten map, without our comments, is still ours.
    execFileSync("ddrescue", ["-q", "-r1", one.image, out, `${out}.map`]);
    execFileSync("ddrescuelog", ["-D", `${out}.map`]);
    rmSync(one.bad);
    const last = await theriac(["salvage", one.image, out]);
    expect(last.code, last.stderr).toBe(0);
    expect(readFileSync(out).equals(readFileSync(one.image))).toBe(true);
  });

  test("two partial copies make one that lacks only what both lack (S27)", async (context) => {
    requirePrograms(context, "ddrescue", "ddrescuelog", "mke2fs");
    const folder = temporary();
    const { treeImage } = await import("../rescue/support/tree.ts");
    const image = join(folder, "image");
    writeFileSync(image, treeImage());
    const [a, b, c] = [4_000_256, 4_100_096, 4_200_448];
    const text = (holes: readonly number[]): string => {
      let lines = "0x0 ? 1\n";
      let at = 0;
      for (const hole of holes) {
        lines += `${at} ${hole - at} +\n${hole} 512 -\n`;
        at = hole + 512;
      }
      return `${lines}${at} ${8 * 1024 * 1024 - at} +\n`;
    };
    writeFileSync(join(folder, "one.bad"), text([a, b]));
    writeFileSync(join(folder, "two.bad"), text([b, c]));
    for (const name of ["one", "two"]) {
      copyFileSync(image, join(folder, `${name}.source`));
      await theriac([
        "salvage",
        join(folder, `${name}.source`),
        join(folder, name),
        "--poison",
        join(folder, `${name}.bad`),
      ]);
    }
    const run = await theriac([
      "repair",
      join(folder, "one"),
      "--poison",
      join(folder, "one.map"),
      "--from",
      join(folder, "two"),
      "--json",
    ]);
    const document = JSON.parse(run.stdout) as { totals: { poisoned: number; lost: number } };
    expect(document.totals.poisoned + document.totals.lost, run.stdout).toBe(512);
    expect(
      readFileSync(join(folder, "one"))
        .subarray(a, a + 512)
        .equals(readFileSync(image).subarray(a, a + 512)),
    ).toBe(true);
  });
});
