/** What stays of a repair as a user sees it: log, --resume, undo, acknowledge, manifests, and how each ends where it cannot. */
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { afterAll, beforeEach, describe, expect, test } from "vitest";
import { openDevice } from "../../../src/device/index.ts";
import { openFileMap } from "../../../src/fs/index.ts";
import { placeOf, removeTemporary, treeImage, writeTree } from "../../rescue/support/tree.ts";
import { runKilled } from "../support/killed.ts";
import { R7, theriac, theriacJson, useWorkplace } from "../support/theriac.ts";

const place = useWorkplace();
const pristine = treeImage();
afterAll(removeTemporary);

let image = "";
let backup = "";
let places: readonly number[] = [];
let count = 0;

beforeEach(async () => {
  count += 1;
  image = join(place.folder, `tree-${count}.img`);
  backup = join(place.folder, `backup-${count}`);
  writeFileSync(image, pristine);
  mkdirSync(backup);
  writeTree(backup);
  await theriac(["create", image, "--adopt", "--poison-unit", "512", "--clear-unit", "512"]);
  const device = openDevice(image);
  const map = await openFileMap(device);
  places = [
    await placeOf(map, "/docs/big.bin", 8192),
    await placeOf(map, "/docs/archive.bin", 8192),
  ];
  device.close();
  const at = places.flatMap((offset) => ["--at", String(offset)]);
  await theriac(["inject", image, ...at, "--length", "512"]);
});

describe("theriac log", () => {
  test("tells a repair step by step, for people and for programs, with a torn line passed over", async () => {
    expect((await theriac(["repair", image, "--from", backup])).code).toBe(0);
    writeFileSync(`${image}.theriac.log`, '{"record":"st', { flag: "a" });
    const { code, document } = await theriacJson(["log", image]);
    expect(code).toBe(0);
    expect(document).toMatchObject({ schema: "theriac.log/1", target: image, damagedLines: 1 });
    const records = document["records"] as { record: string }[];
    expect(records.map(({ record }) => record)).toEqual([
      "run",
      "step",
      "step",
      "done",
      "done",
      "end",
    ]);
    const run = await theriac(["log", image]);
    expect(run.stdout).toContain("/docs/big.bin");
    expect(run.stdout).toContain("1 lines are torn");
    expect((await theriacJson(["log", image, "--run", "2"])).document["records"]).toEqual([]);
  });

  test("says so where nothing was ever done, and ends with 3 where no image is", async () => {
    expect((await theriac(["log", image])).stdout).toContain("nothing was ever");
    expect((await theriac(["log", `${image}.none`])).code).toBe(3);
  });
});

describe("theriac repair --resume", () => {
  test("goes on with a repair that was killed, with its donors", async () => {
    const death = await runKilled(
      ["repair", image, "--from", backup],
      { file: `${image}.theriac.log`, bytes: 1 },
      place.folder,
    );
    const { code, document } = await theriacJson(["repair", image, "--resume"]);
    if (death.signal === null) expect(code).toBe(3);
    else expect([code, document["missing"]]).toEqual([0, 0]);
    expect(Buffer.compare(readFileSync(image), pristine)).toBe(0);
  });

  test("ends with 3 where nothing was interrupted, and with 2 beside another way", async () => {
    expect((await theriacJson(["repair", image, "--resume"])).document).toMatchObject({
      code: "ENOENT",
      exitCode: 3,
    });
    expect((await theriac(["repair", image, "--resume", "--from", backup])).code).toBe(2);
    expect((await theriac(["repair", image])).code).toBe(2);
  });
});

describe("theriac undo", () => {
  test("marks lost again what the last repair wrote, and refuses with 4 what was written since", async () => {
    await theriac(["repair", image, "--from", backup]);
    const { code, document } = await theriacJson(["undo", image]);
    expect(code).toBe(0);
    expect(document).toMatchObject({
      schema: "theriac.undo/1",
      run: 1,
      bytes: 1024,
      totals: { lost: 1024 },
    });
    expect(readFileSync(`${image}.theriac.kept`).length).toBe(1024);
    await theriac(["repair", image, "--from", backup]);
    const device = openDevice(image, { access: "write" });
    device.write(new Uint8Array(512), places[0] ?? 0);
    device.close();
    expect((await theriacJson(["undo", image, "3"])).document).toMatchObject({
      code: "ESTALE",
      exitCode: 4,
    });
    const [one = 0, other = 0] = places;
    const untouched = one > other ? "3.1" : "3.2";
    expect((await theriac(["undo", image, untouched])).stdout).toMatch(R7);
    expect((await theriac(["undo", image, "9"])).code).toBe(3);
    expect((await theriac(["undo", image, "last"])).code).toBe(2);
  });
});

describe("theriac acknowledge", () => {
  test("gives up a file's bytes: zeros, off the list, and named by survey, verify and manifests", async () => {
    const done = await theriacJson(["acknowledge", image, "--file", "/docs/big.bin", "--why", "x"]);
    expect(done).toMatchObject({
      code: 0,
      document: { schema: "theriac.acknowledge/1", bytes: 512, failed: 0 },
    });
    expect((await theriacJson(["survey", image])).document).toMatchObject({
      missing: 512,
      acknowledged: 512,
    });
    expect((await theriac(["survey", image])).stdout).toContain("acknowledged 512");
    const list = join(place.folder, `lost-${count}`);
    const verified = await theriacJson(["verify", image, "--manifest", list]);
    expect(verified).toMatchObject({ code: 1, document: { missing: 512, acknowledged: 512 } });
    const manifest = JSON.parse(readFileSync(list, "utf8")) as { lost: { state: string }[] };
    expect(manifest).toMatchObject({
      schema: "theriac.manifest/1",
      missing: 512,
      givenUp: 512,
      target: image,
    });
    expect(manifest.lost.map(({ state }) => state).sort()).toEqual(["given-up", "poisoned"]);
  });

  test("takes ranges, and wants one way to name them", async () => {
    const at = String(places[1]);
    const run = await theriac(["acknowledge", image, "--at", at, "--length", "512"]);
    expect([run.code, R7.test(run.stdout)]).toEqual([0, true]);
    for (const wrong of [
      [],
      ["--at", at],
      ["--length", "512"],
      ["--file", "/tiny.txt", "--at", at, "--length", "1"],
      ["--at", String(pristine.length), "--length", "512"],
    ])
      expect((await theriac(["acknowledge", image, ...wrong])).code, String(wrong)).toBe(2);
    expect((await theriac(["acknowledge", image, "--file", "/none"])).code).toBe(3);
  });
});

describe("theriac repair --manifest", () => {
  test("lists what no donor had, with its reason, or as paths, and writes over no other file", async () => {
    rmSync(join(backup, "docs/archive.bin"));
    const list = join(place.folder, `left-${count}`);
    const run = await theriac(["repair", image, "--from", backup, "--manifest", list]);
    expect(run.code).toBe(1);
    expect(JSON.parse(readFileSync(list, "utf8"))).toMatchObject({
      lost: [{ paths: ["/docs/archive.bin"], reason: "no donor has this file" }],
    });
    const paths = ["--manifest-format", "nul", "--manifest", `${list}.nul`];
    await theriac(["verify", image, ...paths]);
    expect(readFileSync(`${list}.nul`, "utf8")).toBe("docs/archive.bin\0");
    const other = await theriac(["verify", image, "--manifest", join(backup, "tiny.txt")]);
    expect(other.code).toBe(3);
  });
});

describe("theriac repair at a bad end", () => {
  test("a log that is a directory: 3, and the image is as it was", async () => {
    mkdirSync(`${image}.theriac.log`);
    const before = readFileSync(image);
    const run = await theriac(["repair", image, "--from", backup]);
    expect([run.code, run.stderr]).toEqual([3, expect.stringContaining("theriac.log")]);
    expect(Buffer.compare(readFileSync(image), before)).toBe(0);
  });

  test("a plan of another image: 4; one cut off: 3; and nothing is written", async () => {
    const plan = join(place.folder, `plan-${count}`);
    const other = join(place.folder, `other-${count}`);
    copyFileSync(image, other);
    await theriac(["create", other, "--adopt", "--poison-unit", "512", "--clear-unit", "512"]);
    const at = ["--at", String(places[0]), "--at", String(places[1]), "--length", "512"];
    await theriac(["inject", other, ...at]);
    await theriac(["plan", other, "--from", backup, "-o", plan]);
    const before = readFileSync(image);
    expect((await theriac(["repair", image, "--apply", plan])).code).toBe(4);
    writeFileSync(plan, readFileSync(plan).subarray(0, 500));
    expect((await theriac(["repair", image, "--apply", plan])).code).toBe(3);
    expect(Buffer.compare(readFileSync(image), before)).toBe(0);
    expect(existsSync(`${image}.theriac.log`)).toBe(false);
  });

  test("a target that shrank since the plan: refused, and nothing is written", async () => {
    const plan = join(place.folder, `plan-${count}`);
    await theriac(["plan", image, "--from", backup, "-o", plan]);
    truncateSync(image, pristine.length - 4096);
    const before = readFileSync(image);
    expect((await theriac(["repair", image, "--apply", plan])).code).toBe(4);
    expect(Buffer.compare(readFileSync(image), before)).toBe(0);
  });
});
