/** theriac list: for people and in the forms of other programs, and back. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { R7, theriac, theriacJson, useWorkplace } from "../support/theriac.ts";

const place = useWorkplace();

describe("theriac list", () => {
  test("prints ranges for people, and the line of R7 adds up", async () => {
    await theriac(["inject", place.image, "--at", "4K", "--length", "256"]);
    const { code, stdout } = await theriac(["list", place.image]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^ +4096 +256 {2}poisoned$/m);
    const [total = 0, ...parts] = R7.exec(stdout)?.slice(1).map(Number) ?? [];
    expect(parts.reduce((sum, part) => sum + part, 0)).toBe(total);
    expect(total).toBe(1048576);
  });

  test.each([
    ["badblocks", "8 1\n"],
    ["mapfile", "0x00001000  0x00000100  -"],
    ["ndctl", '"offset":8'],
    ["cxl", '"length":256'],
  ])("prints the text of %s, and the same in its document", async (format, expected) => {
    await theriac(["inject", place.image, "--at", "4K", "--length", "256"]);
    const { stdout } = await theriac(["list", place.image, "--format", format]);
    expect(stdout).toContain(expected);
    const { document } = await theriacJson(["list", place.image, "--format", format]);
    expect(document).toMatchObject({ schema: "theriac.list/1", format });
    expect(document["text"]).toContain(expected);
  });

  test("what it prints, it reads: every format brings the same bad ranges to another image", async () => {
    await theriac(["inject", place.image, "--at", "64K", "--length", "4K"]);
    const plain = join(place.folder, `plain`);
    writeFileSync(plain, new Uint8Array(1048576));
    for (const format of ["badblocks", "ndctl", "cxl", "mapfile"]) {
      const text = join(place.folder, `list-${format}`);
      writeFileSync(text, (await theriac(["list", place.image, "--format", format])).stdout);
      const { document } = await theriacJson(["list", plain, "--poison", text]);
      expect({ format, ranges: document["ranges"] }).toEqual({
        format,
        ranges: [{ offset: 65536, length: 4096, state: "poisoned" }],
      });
    }
  });

  test.each([
    ["a map with overlaps", "0 ? 1\n0 0x1000 +\n0x800 0x1000 -\n"],
    ["JSON of the wrong shape", '{"badblocks": "many", "dev": "pmem0"}'],
    ["broken JSON", '{"badblocks": ['],
    ["a record past the end", "99999999 1\n"],
    ["nonsense", "\u0000\u0001\u0002 nonsense"],
  ])("refuses %s with 3", async (_what, text) => {
    const path = join(place.folder, "bad.list");
    writeFileSync(path, text);
    const run = await theriacJson(["list", place.image, "--poison", path]);
    expect(run).toMatchObject({ code: 3, document: { code: "EBADMSG" } });
  });

  test("says which sidecar is damaged, with 3", async () => {
    writeFileSync(`${place.image}.theriac`, "this is no sidecar");
    const run = await theriacJson(["list", place.image]);
    expect(run.code).toBe(3);
    expect(run.document["message"]).toContain(".theriac");
  });

  test("makes a name's control characters visible", async () => {
    const path = join(place.folder, "na\u001B[31mme");
    await theriac(["create", path, "--size", "4K"]);
    const { stdout } = await theriac(["list", path]);
    expect(stdout).toContain("na\\x1b[31mme");
  });
});
