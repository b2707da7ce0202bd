/** theriac report, as a user runs it. */
import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeEach, describe, expect, test } from "vitest";
import { R7, theriac, theriacJson, useWorkplace } from "../support/theriac.ts";
import { openDevice } from "../../../src/device/index.ts";
import { openFileMap } from "../../../src/fs/index.ts";
import { placeOf, removeTemporary, treeImage, writeTree } from "../../rescue/support/tree.ts";
import { mkdirSync } from "node:fs";

const place = useWorkplace();
afterAll(removeTemporary);

let image = "";
let backup = "";
let count = 0;

beforeEach(async () => {
  count += 1;
  image = join(place.folder, `report-${count}.img`);
  backup = join(place.folder, `report-backup-${count}`);
  writeFileSync(image, treeImage());
  mkdirSync(backup);
  writeTree(backup);
  await theriac(["create", image, "--adopt", "--poison-unit", "512", "--clear-unit", "512"]);
  const device = openDevice(image);
  const at = await placeOf(await openFileMap(device), "/docs/big.bin", 8192);
  device.close();
  await theriac(["inject", image, "--at", String(at), "--length", "512"]);
});

describe("theriac report", () => {
  test("prints what is hit, and the line of R7; it only shows, so it ends with 0", async () => {
    const run = await theriac(["report", image]);
    expect(run).toMatchObject({ code: 0, stderr: "" });
    expect(run.stdout).toContain("/docs/big.bin: 512 bytes");
    expect(run.stdout).toMatch(R7);
  });

  test("-o writes the page, and over an earlier one", async () => {
    const page = join(place.folder, `page-${count}.html`);
    for (let turn = 0; turn < 2; turn += 1) {
      const run = await theriac(["report", image, "-o", page]);
      expect(run.code).toBe(0);
      expect(run.stdout).toContain(page);
    }
    const html = readFileSync(page, "utf8");
    expect(html).toContain("<!doctype html>");
    expect(html).toContain("/docs/big.bin");
    expect(statSync(page).size).toBeLessThan(1024 * 1024);
  });

  test("-o over anything else is refused, and that stays as it is", async () => {
    const other = join(place.folder, `other-${count}`);
    writeFileSync(other, "mine");
    expect((await theriac(["report", image, "-o", other])).code).toBe(3);
    expect(readFileSync(other, "utf8")).toBe("mine");
    expect((await theriac(["report", image, "-o", image])).code).toBe(3);
  });

  test("--json is the document, beside the page too", async () => {
    const page = join(place.folder, `json-${count}.html`);
    const { code, document } = await theriacJson(["report", image, "-o", page]);
    expect(code).toBe(0);
    expect(document).toMatchObject({ schema: "theriac.report/1", missing: 512, page });
    expect(existsSync(page)).toBe(true);
  });

  test("what was done is read from the log of the image", async () => {
    expect((await theriac(["repair", image, "--from", backup])).code).toBe(0);
    const { document } = await theriacJson(["report", image]);
    expect(document).toMatchObject({
      moved: { repaired: 512 },
      history: [{ what: "repair", complete: true, donors: [backup], sums: { repaired: 512 } }],
    });
  });

  test("--done shows what a repair did", async () => {
    const done = join(place.folder, `done-${count}.json`);
    const repair = await theriac(["repair", image, "--from", backup, "--json"]);
    writeFileSync(done, repair.stdout);
    const { document } = await theriacJson(["report", image, "--done", done]);
    expect(document).toMatchObject({ missing: 0, files: [], moved: { repaired: 512 } });
  });

  test.each(["no json", "{}", '{"schema":"theriac.plan/1"}'])(
    "--done of %s is refused with its name",
    async (text) => {
      const done = join(place.folder, `bad-${count}.json`);
      writeFileSync(done, text);
      const run = await theriac(["report", image, "--done", done]);
      expect(run.code).toBe(3);
      expect(run.stderr).toContain(done);
    },
  );
});
