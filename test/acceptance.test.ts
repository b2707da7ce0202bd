/** What the program promises to those who call it: every command line, the shape of survey's document, and what no slip may destroy. */
import { execFileSync } from "node:child_process";
import {
  copyFileSync,
  linkSync,
  mkdirSync,
  readFileSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { afterAll, beforeEach, describe, expect, test } from "vitest";
import { OWNER_WHATS } from "../src/fs/index.ts";
import { openFileMap } from "../src/fs/index.ts";
import { openDevice } from "../src/device/index.ts";
import { placeOf, removeTemporary, treeImage, writeTree } from "./rescue/support/tree.ts";
import { R7, theriac, theriacJson, useWorkplace } from "./cli/support/theriac.ts";

const place = useWorkplace();
afterAll(removeTemporary);

let image = "";
let backup = "";
let count = 0;

beforeEach(async () => {
  count += 1;
  image = join(place.folder, `tree-${count}.img`);
  backup = join(place.folder, `backup-${count}`);
  writeFileSync(image, treeImage());
  mkdirSync(backup);
  writeTree(backup);
  await theriac(["create", image, "--adopt", "--poison-unit", "64", "--clear-unit", "256"]);
});

async function poison(path: string, offset: number): Promise<number> {
  const device = openDevice(image);
  const at = await placeOf(await openFileMap(device), path, offset);
  device.close();
  const run = await theriac(["inject", image, "--at", String(at), "--length", "512"]);
  expect(run.code).toBe(0);
  return at;
}

const KINDS = ["file", "directory", "metadata", "journal", "slack", "free", "unknown"];
const TOTALS = ["total", "clean", "unread", "poisoned", "lost"];

interface Survey {
  readonly schema: string;
  readonly target: string;
  readonly filesystem: string | null;
  readonly totals: Record<string, number>;
  readonly damage: readonly {
    readonly offset: number;
    readonly length: number;
    readonly state: string;
    readonly owners: readonly {
      readonly kind: string;
      readonly inode?: number;
      readonly paths?: readonly string[];
      readonly ranges: readonly { readonly offset: number; readonly length: number }[];
      readonly what: string;
      readonly why: string;
    }[];
  }[];
}

describe("every command line", () => {
  test("create, inject, scrub and list take their options, and print the four states (R7)", async () => {
    for (const clear of ["atomic", "firmware", "overwrite", "pretends", "none"]) {
      const made = join(place.folder, `made-${count}-${clear}.img`);
      const run = await theriac([
        "create",
        made,
        "--size",
        "256M",
        "--poison-unit",
        "64",
        "--clear-unit",
        "256",
        "--clear",
        clear,
      ]);
      expect(run).toMatchObject({ code: 0, stderr: "" });
      expect(run.stdout).toMatch(R7);
    }
    const made = join(place.folder, `made-${count}-atomic.img`);
    const known = await theriac(["inject", made, "--at", "1M", "--length", "512"]);
    expect(known.stdout).toContain("poisoned 512 ");
    const latent = await theriac(["inject", made, "--at", "2M", "--length", "512", "--latent"]);
    expect(latent.stdout).toContain("poisoned 512 ");
    const scrubbed = await theriac(["scrub", made]);
    expect(scrubbed.code).toBe(1);
    expect(scrubbed.stdout).toContain("unread 0 + poisoned 1024 + lost 0");
    const texts = {
      badblocks: "2048 1\n4096 1\n",
      ndctl: '{"offset":2048,"length":1}',
      cxl: '{"offset":1048576,"length":512,',
      mapfile: "0x00100000  0x00000200  -\n",
    };
    for (const [format, text] of Object.entries(texts)) {
      const listed = await theriac(["list", made, "--format", format]);
      expect(listed.code).toBe(0);
      expect(listed.stdout).toContain(text);
      // stdout is another program's text, so the line of R7 goes to stderr
      expect(listed.stderr).toMatch(R7);
    }
  });

  test("survey, salvage, plan, repair, verify and digest do the whole chain, and print the four states (R7)", async () => {
    const at = await poison("/docs/big.bin", 8192);
    const out = join(place.folder, `out-${count}`);
    const log = `${out}.log`;
    writeFileSync(
      log,
      `[ 12.5] critical medium error, dev sda, sector ${at / 512} op 0x0:(READ)\n`,
    );
    writeFileSync(`${out}.list`, `${at / 512} 1\n`);
    const plan = `${out}.plan`;
    const lines: readonly (readonly [number, readonly string[]])[] = [
      [1, ["survey", image]],
      [1, ["survey", image, "--log", log]],
      [1, ["survey", image, "--poison", `${out}.list`]],
      [1, ["salvage", image, out, "--map", `${out}.m`]],
      [1, ["salvage", image, `${out}.file`, "--file", "/docs/big.bin"]],
      [0, ["plan", image, "--from", backup, "-o", plan]],
      [1, ["verify", image, "--against", backup]],
      [0, ["repair", image, "--apply", plan]],
      [0, ["verify", image, "--against", backup]],
      // the list that came with the image brings nothing back
      [0, ["survey", image, "--poison", `${out}.list`]],
      [0, ["repair", image, "--from", backup, backup]],
    ];
    for (const [code, args] of lines) {
      const run = await theriac(args);
      expect({ args, code: run.code }).toEqual({ args, code });
      const [, ...figures] = (R7.exec(run.stdout) ?? []).map(Number);
      const [total, ...states] = figures;
      expect(states.reduce((sum, bytes) => sum + bytes, 0)).toBe(total);
    }
    expect((await theriac(["digest", backup])).code).toBe(0);
  });
});

describe("theriac.survey/1", () => {
  test("has exactly the promised fields, owners of the closed lists, and totals that add up", async () => {
    for (const path of ["/docs/big.bin", "/tiny.txt", "/docs/report.txt"]) await poison(path, 0);
    const lists = ["0", "4096", "16384", "40960", "65536", "262144", "8384512"];
    await theriac(["inject", image, ...lists.flatMap((at) => ["--at", at]), "--length", "64"]);
    const { document } = await theriacJson(["survey", image]);
    const survey = document as unknown as Survey;
    expect(Object.keys(survey).slice(0, 5)).toEqual([
      "schema",
      "target",
      "filesystem",
      "totals",
      "damage",
    ]);
    expect(survey).toMatchObject({ schema: "theriac.survey/1", target: image, filesystem: "ext4" });
    expect(Object.keys(survey.totals)).toEqual(TOTALS);
    const { total, clean, unread, poisoned, lost } = survey.totals;
    expect((clean ?? 0) + (unread ?? 0) + (poisoned ?? 0) + (lost ?? 0)).toBe(total);
    expect(survey.damage.length).toBeGreaterThan(5);
    expect(survey.damage.reduce((sum, { length }) => sum + length, 0)).toBe(
      (poisoned ?? 0) + (lost ?? 0),
    );
    for (const damage of survey.damage) {
      expect(["poisoned", "lost"]).toContain(damage.state);
      expect(damage.owners.length).toBeGreaterThan(0);
      for (const owner of damage.owners) {
        expect(KINDS).toContain(owner.kind);
        expect(OWNER_WHATS).toContain(owner.what);
        expect(owner.why.length).toBeGreaterThan(0);
        for (const path of owner.paths ?? []) expect(path[0]).toBe("/");
        if (owner.kind === "file") expect(owner.inode).toBeGreaterThan(0);
        for (const range of owner.ranges) expect(Object.keys(range)).toEqual(["offset", "length"]);
      }
    }
    const slack = survey.damage
      .flatMap(({ owners }) => owners)
      .filter(({ what }) => what === "file-slack");
    for (const owner of slack) expect(owner.inode).toBeGreaterThan(0);
  });
});

describe("a slip of the hand", () => {
  test("-o writes over no image, list, donor or stranger's file, but over its own kind", async () => {
    await poison("/docs/big.bin", 8192);
    const stranger = join(place.folder, `stranger-${count}`);
    writeFileSync(stranger, "mine");
    const donor = join(place.folder, `donor-${count}.img`);
    copyFileSync(image, donor);
    for (const output of [image, donor, stranger]) {
      const before = readFileSync(output);
      for (const args of [
        ["plan", image, "--from", backup, donor, "-o", output],
        ["digest", backup, "-o", output],
      ])
        expect(await theriacJson(args)).toMatchObject({ code: 3, document: { code: "EEXIST" } });
      expect(readFileSync(output).equals(before)).toBe(true);
    }
    const list = `${donor}.theriac`;
    expect((await theriac(["plan", image, "--from", backup, "-o", list])).code).toBe(2);
    expect((await theriac(["salvage", image, `${donor}.out`, "--map", list])).code).toBe(2);
    expect((await theriac(["salvage", image, list])).code).toBe(2);
    const plan = `${donor}.plan`;
    for (let again = 0; again < 2; again += 1)
      expect((await theriac(["plan", image, "--from", backup, "-o", plan])).code).toBe(0);
  });

  test("a target is no donor of itself, under whatever name", async () => {
    await poison("/docs/big.bin", 8192);
    const link = `${image}.link`;
    symlinkSync(image, link);
    const hard = `${image}.hard`;
    linkSync(image, hard);
    for (const name of [image, link, hard]) {
      for (const args of [
        ["plan", image, "--from", backup, name],
        ["repair", image, "--from", name],
        ["verify", image, "--against", name],
      ])
        expect(await theriacJson(args)).toMatchObject({ code: 4, document: { code: "ECANCELED" } });
    }
  });

  test("a pipe where a plan, list, digest, donor or image is wanted is refused, and not waited for", async () => {
    const pipe = `${image}.pipe`;
    execFileSync("mkfifo", [pipe]);
    for (const args of [
      ["repair", image, "--apply", pipe],
      ["survey", image, "--poison", pipe],
      ["plan", image, "--from", backup, "--digest", pipe],
      ["plan", image, "--from", pipe],
      ["survey", pipe],
    ])
      expect({ args, ...(await theriacJson(args)) }).toMatchObject({
        args,
        code: args.includes("--digest") ? 0 : 3,
      });
    await poison("/docs/big.bin", 8192);
    const asked = await theriacJson(["plan", image, "--from", backup, "--digest", pipe]);
    expect(asked).toMatchObject({ code: 3, document: { code: "EOPNOTSUPP" } });
  });
});

describe("theriac plan", () => {
  test("says which donor lacks the file, and counts every file's bytes from its own start", async () => {
    await poison("/docs/big.bin", 8192);
    await poison("/docs/report.txt", 4096);
    const poor = join(place.folder, `poor-${count}`);
    mkdirSync(poor);
    writeTree(poor, (path, bytes) => (path === "/docs/big.bin" ? undefined : bytes));
    utimesSync(join(poor, "docs/report.txt"), 1, 1);
    const { document } = await theriacJson(["plan", image, "--from", poor]);
    const steps = document["steps"] as { action: string; reason: string; owner: object }[];
    expect(steps.find(({ action }) => action === "unavailable")).toMatchObject({
      reason: "no donor has this file",
      owner: { path: "/docs/big.bin", fileOffset: 8192 },
    });
    expect(steps.find(({ action }) => action === "refused")).toMatchObject({
      owner: { path: "/docs/report.txt", fileOffset: 4096 },
    });
  });
});
