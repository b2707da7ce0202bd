/** theriac inject: places, pairs, lists, kinds of faults, and what is refused. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { theriac, theriacJson, useWorkplace } from "../support/theriac.ts";

const place = useWorkplace();

describe("theriac inject", () => {
  test("poisons whole units, known at once, in every form of numbers", async () => {
    const run = await theriacJson([
      "inject",
      place.image,
      "--at",
      "0x1010",
      "--length",
      "1",
      "--at",
      "8s",
      "--length",
      "64",
    ]);
    expect(run.document).toMatchObject({
      schema: "theriac.inject/1",
      bytes: 128,
      ranges: [
        { offset: 0x1000, length: 64 },
        { offset: 4096, length: 64 },
      ],
      totals: { poisoned: 64 },
    });
    expect(run.code).toBe(0);
  });

  test("--latent reaches no list before something touches it", async () => {
    await theriac(["inject", place.image, "--at", "64K", "--length", "64", "--latent"]);
    expect((await theriacJson(["list", place.image])).document).toMatchObject({
      ranges: [],
      totals: { poisoned: 0 },
    });
    const scrub = await theriacJson(["scrub", place.image]);
    expect(scrub).toMatchObject({
      code: 1,
      document: { foundBytes: 64, missing: 64, totals: { poisoned: 64 } },
    });
    expect((await theriacJson(["list", place.image])).document).toMatchObject({
      ranges: [{ offset: 65536, length: 64, state: "poisoned" }],
    });
  });

  test("--from-list poisons what a list of another program names", async () => {
    const list = join(place.folder, "from.list");
    writeFileSync(list, "8 2\n");
    expect(
      (await theriacJson(["inject", place.image, "--from-list", list])).document,
    ).toMatchObject({
      bytes: 1024,
      totals: { poisoned: 1024 },
    });
  });

  test("--fault transient makes one read fail; --off ends it", async () => {
    expect(
      (await theriac(["inject", place.image, "--at", "0", "--length", "64", "--fault", "refuses"]))
        .code,
    ).toBe(0);
    expect(
      (
        await theriac([
          "inject",
          place.image,
          "--at",
          "0",
          "--length",
          "64",
          "--fault",
          "refuses",
          "--off",
        ])
      ).code,
    ).toBe(0);
  });

  test.each([
    ["an offset past the end", ["--at", "2M", "--length", "64"]],
    ["a range that crosses the end", ["--at", "1048512", "--length", "128"]],
    ["a negative offset", ["--at", "-64", "--length", "64"]],
    ["a length of 0", ["--at", "0", "--length", "0"]],
    [
      "a good range before a bad one",
      ["--at", "0", "--length", "64", "--at", "9M", "--length", "64"],
    ],
    [
      "three offsets and two lengths",
      ["--at", "0", "--at", "64", "--at", "128", "--length", "64", "--length", "64"],
    ],
    ["nothing to inject", []],
    ["a plan and a place", ["--plan", "x", "--at", "0", "--length", "64"]],
    ["a plan and a seed", ["--plan", "x", "--random", "1"]],
    ["a count without a seed", ["--at", "0", "--length", "64", "--count", "3"]],
    ["--latent of another fault", ["--at", "0", "--length", "64", "--fault", "slow", "--latent"]],
  ])("S07: refuses %s with 2 and changes nothing", async (_what, args) => {
    const before = readFileSync(`${place.image}.theriac`);
    const run = await theriacJson(["inject", place.image, ...args]);
    expect(run).toMatchObject({ code: 2, document: { code: "USAGE" } });
    expect(readFileSync(`${place.image}.theriac`)).toEqual(before);
  });

  test.each([
    ["a block", ["--at", "0"]],
    ["a count", ["--length", "64"]],
    ["a kind of fault", ["--fault", "poison"]],
  ])("S08: refuses to tell the status together with %s, with 2", async (_what, args) => {
    const before = readFileSync(`${place.image}.theriac`);
    const run = await theriacJson(["list", place.image, ...args]);
    expect(run).toMatchObject({ code: 2, document: { code: "USAGE" } });
    expect(readFileSync(`${place.image}.theriac`)).toEqual(before);
  });

  test("--random prints a plan that --plan applies to another image, with the same faults", async () => {
    const drawn = await theriacJson(["inject", place.image, "--random", "5", "--count", "9"]);
    expect(drawn.code).toBe(0);
    const file = join(place.folder, "plan.json");
    writeFileSync(file, JSON.stringify(drawn.document["plan"]));
    const other = join(place.folder, "other");
    await theriac(["create", other, "--size", "1M"]);
    const applied = await theriacJson(["inject", other, "--plan", file]);
    for (const field of ["plan", "bytes", "ranges", "totals"])
      expect(applied.document[field], field).toEqual(drawn.document[field]);
    const small = join(place.folder, "small");
    await theriac(["create", small, "--size", "512K"]);
    expect(await theriacJson(["inject", small, "--plan", file])).toMatchObject({
      code: 4,
      document: { code: "ESTALE" },
    });
    writeFileSync(file, "{}");
    expect(await theriacJson(["inject", other, "--plan", file])).toMatchObject({
      code: 3,
      document: { code: "EBADMSG" },
    });
  });

  test("refuses a raw file that is no simulated image with 3", async () => {
    const path = join(place.folder, "plain");
    writeFileSync(path, new Uint8Array(4096));
    const run = await theriacJson(["inject", path, "--at", "0", "--length", "64"]);
    expect(run).toMatchObject({ code: 3, document: { code: "EOPNOTSUPP" } });
    expect(run.document["message"]).toContain("--adopt");
  });
});
