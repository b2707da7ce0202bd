/** The rescue verbs as a user runs them: survey, salvage, plan, repair, verify, digest. */
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeEach, describe, expect, test } from "vitest";
import { openFileMap } from "../../../src/fs/index.ts";
import { openDevice } from "../../../src/device/index.ts";
import { R7, theriac, theriacJson, useWorkplace } from "../support/theriac.ts";
import {
  FILES,
  placeOf,
  removeTemporary,
  treeImage,
  writeTree,
} from "../../rescue/support/tree.ts";

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
  await theriac(["create", image, "--adopt", "--poison-unit", "512", "--clear-unit", "512"]);
});

async function poison(path: string, offset: number, more: readonly string[] = []): Promise<number> {
  const device = openDevice(image);
  const at = await placeOf(await openFileMap(device), path, offset);
  device.close();
  const run = await theriac(["inject", image, "--at", String(at), "--length", "512", ...more]);
  expect(run.code).toBe(0);
  return at;
}

describe("theriac survey", () => {
  test("names the file and its bytes, in the document and in the text (R7)", async () => {
    const at = await poison("/docs/big.bin", 8192);
    const { code, document } = await theriacJson(["survey", image]);
    expect(code).toBe(1);
    expect(document).toMatchObject({
      schema: "theriac.survey/1",
      target: image,
      filesystem: "ext4",
      missing: 512,
    });
    expect(document["damage"]).toMatchObject([
      {
        offset: at,
        length: 512,
        state: "poisoned",
        owners: [
          {
            kind: "file",
            what: "data",
            paths: ["/docs/big.bin"],
            ranges: [{ offset: 8192, length: 512 }],
          },
        ],
      },
    ]);
    const run = await theriac(["survey", image]);
    expect(run.stdout).toContain("/docs/big.bin");
    expect(run.stdout).toMatch(R7);
    expect(run.stdout.split("\n").every((line) => line.length <= 80)).toBe(true);
  });

  test("finds no latent error, unless it reads everything", async () => {
    await poison("/docs/big.bin", 8192, ["--latent"]);
    expect((await theriacJson(["survey", image])).document).toMatchObject({
      damage: [],
      missing: 0,
    });
    expect(await theriacJson(["survey", image, "--scan"])).toMatchObject({
      code: 1,
      document: { missing: 512 },
    });
  });

  test("ends with 0 where only free space is bad", async () => {
    await theriac(["inject", image, "--at", String(8 * 1024 * 1024 - 4096), "--length", "512"]);
    const run = await theriacJson(["survey", image]);
    expect(run).toMatchObject({
      code: 0,
      document: { missing: 0, damage: [{ owners: [{ kind: "free" }] }] },
    });
  });

  test("--log surveys what the kernel reported, and keeps none of it", async () => {
    const device = openDevice(image);
    const at = await placeOf(await openFileMap(device), "/docs/report.txt", 0);
    device.close();
    const input = `[ 12.5] I/O error, dev sda, sector ${at / 512} op 0x0:(READ) flags 0x0 phys_seg 1 prio class 0\n`;
    const run = await theriac(["survey", image, "--log", "-", "--json"], { input });
    const document = JSON.parse(run.stdout) as {
      damage: { owners: { paths: string[] }[] }[];
      totals: Record<string, number>;
    };
    expect(document.damage[0]?.owners[0]?.paths).toEqual(["/docs/report.txt"]);
    expect(document.totals["poisoned"]).toBe(512);
    expect((await theriacJson(["survey", image])).document).toMatchObject({ damage: [] });
  });

  test("classes what is no file system as unknown, which counts as missing", async () => {
    const raw = join(place.folder, "raw");
    writeFileSync(raw, Buffer.alloc(65_536, 7));
    await theriac(["create", raw, "--adopt"]);
    await theriac(["inject", raw, "--at", "4096", "--length", "64"]);
    expect(await theriacJson(["survey", raw])).toMatchObject({
      code: 1,
      document: { filesystem: null, damage: [{ owners: [{ kind: "unknown" }] }] },
    });
  });
});

describe("theriac plan and repair", () => {
  test("plan, apply, verify: every file is what it was", async () => {
    await poison("/docs/big.bin", 8192);
    await poison("/tiny.txt", 0);
    const plan = join(place.folder, `plan-${count}.json`);
    const planned = await theriacJson(["plan", image, "--from", backup, "-o", plan]);
    expect(planned.code).toBe(0);
    expect(JSON.parse(readFileSync(plan, "utf8"))).toEqual(planned.document);
    expect(Buffer.compare(readFileSync(image), treeImage())).not.toBe(0);
    const repaired = await theriacJson(["repair", image, "--apply", plan]);
    expect(repaired).toMatchObject({
      code: 0,
      document: { schema: "theriac.repair/1", missing: 0, moved: [], exitCode: 0 },
    });
    expect(Buffer.compare(readFileSync(image), treeImage())).toBe(0);
    const verified = await theriacJson(["verify", image, "--against", backup]);
    expect(verified).toMatchObject({
      code: 0,
      document: { files: { equal: FILES.size, differs: 0, unreadable: 0 } },
    });
    expect(await theriac(["repair", image, "--apply", plan])).toMatchObject({ code: 4 });
    expect((await theriacJson(["repair", image, "--from", backup])).document).toMatchObject({
      steps: [],
      sums: { bad: 0 },
    });
  });

  test("says with 4 that all donors were refused, and with 1 that none has it", async () => {
    await poison("/docs/big.bin", 8192);
    writeTree(backup, (path, bytes) =>
      path === "/docs/big.bin" ? Uint8Array.from(bytes).fill(0) : bytes,
    );
    const refused = await theriac(["repair", image, "--from", backup]);
    expect(refused.code).toBe(4);
    expect(refused.stdout).toMatch(/differ,\s+the\s+first\s+at/);
    expect(refused.stdout).toMatch(R7);
    rmSync(join(backup, "docs/big.bin"));
    expect((await theriac(["repair", image, "--from", backup])).code).toBe(1);
  });

  test("a digest beside the backup makes the repair proven", async () => {
    await theriac(["digest", backup, "-o", join(backup, ".theriac-digest.json")]);
    await poison("/docs/big.bin", 8192);
    const { code, document } = await theriacJson([
      "repair",
      image,
      "--from",
      backup,
      "--trust",
      "proven",
    ]);
    expect(code).toBe(0);
    expect(document["steps"]).toMatchObject([{ grade: "proven", outcome: "healed" }]);
  });

  test.each([
    ["neither --from nor --apply", []],
    ["a trust that is none", ["--from", "/", "--trust", "blind"]],
  ])("refuses %s with 2", async (_, args) => {
    expect((await theriac(["repair", image, ...args])).code).toBe(2);
  });

  test.each([
    ["a donor that is not there", ["--from", "/nonexistent"]],
    ["a plan that is none", ["--apply", "/dev/null"]],
  ])("says with 3 that it cannot use %s", async (_, args) => {
    const before = readFileSync(image);
    expect((await theriac(["repair", image, ...args])).code).toBe(3);
    expect(readFileSync(image).equals(before)).toBe(true);
  });
});

describe("theriac salvage", () => {
  test("copies all but the holes, ends with 1, and goes on when called again", async () => {
    await poison("/docs/big.bin", 8192);
    const out = join(place.folder, `out-${count}`);
    const first = await theriacJson(["salvage", image, out]);
    expect(first).toMatchObject({
      code: 1,
      document: { schema: "theriac.salvage/1", bad: 512, resumed: 0 },
    });
    expect(existsSync(`${out}.map`)).toBe(true);
    await theriac(["repair", image, "--from", backup]);
    const second = await theriacJson(["salvage", image, out]);
    expect(second).toMatchObject({ code: 0, document: { bad: 0, resumed: 8 * 1024 * 1024 - 512 } });
    expect(readFileSync(out).equals(Buffer.from(treeImage()))).toBe(true);
  });

  test("--file copies one file", async () => {
    await poison("/docs/big.bin", 8192);
    const out = join(place.folder, `file-${count}`);
    const { code, document } = await theriacJson([
      "salvage",
      image,
      out,
      "--file",
      "/docs/big.bin",
    ]);
    expect(code).toBe(1);
    expect(document).toMatchObject({ size: 1_500_000, holes: [{ offset: 8192, length: 512 }] });
  });

  test("does not overwrite what is there, with 3", async () => {
    copyFileSync(image, join(place.folder, "precious"));
    expect((await theriac(["salvage", image, join(place.folder, "precious")])).code).toBe(3);
    expect((await theriac(["salvage", image, image])).code).toBe(3);
  });
});

describe("theriac verify", () => {
  test("says which file differs, and where", async () => {
    writeTree(backup, (path, bytes) =>
      path === "/docs/report.txt" ? Uint8Array.from(bytes).fill(0, 77, 79) : bytes,
    );
    const { code, document } = await theriacJson(["verify", image, "--against", backup]);
    expect(code).toBe(1);
    expect(document["different"]).toMatchObject([
      { path: "/docs/report.txt", result: "differs", offset: 77, bytes: 2 },
      { path: "/sparse.bin", result: "absent" },
    ]);
  });
});

describe("theriac digest", () => {
  test("prints one document, the same for people and for programs", async () => {
    const text = await theriac(["digest", backup]);
    expect(text.code).toBe(0);
    const { document } = await theriacJson(["digest", backup]);
    expect(JSON.parse(text.stdout)).toEqual(document);
  });

  test("says with 3 that a tree is not there", async () => {
    expect((await theriac(["digest", join(place.folder, "absent")])).code).toBe(3);
    expect(
      (await theriacJson(["digest", join(place.folder, "absent"), "-o", join(place.folder, "d")]))
        .code,
    ).toBe(3);
    expect(existsSync(join(place.folder, "d"))).toBe(false);
  });
});
