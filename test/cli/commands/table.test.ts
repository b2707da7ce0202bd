/** theriac table, and that a stack is an image for every other command. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { beforeEach, describe, expect, test } from "vitest";
import { openStack } from "../../../src/mapper/index.ts";
import { mdMember } from "../../mapper/volumes/support/md-image.ts";
import { R7, theriac, theriacJson, useWorkplace } from "../support/theriac.ts";

const place = useWorkplace();
let count = 0;
let stack = "";

/** Two images of 1 MiB, striped, and a linear table over both that begins in their middle. */
beforeEach(async () => {
  count += 1;
  const other = `${place.image}-b`;
  await theriac(["create", other, "--size", "1M"]);
  stack = join(place.folder, `s${count}.stack`);
  const text = `device a ${place.image}\ndevice b ${other}\ns: 0 4096 striped 2 8 a 0 b 0\nt: 0 2048 linear s 1024\n`;
  writeFileSync(stack, text);
});

describe("theriac table", () => {
  test("shows what maps where, top first", async () => {
    const { code, stdout } = await theriac(["table", stack]);
    expect(code).toBe(0);
    expect(stdout).toContain("  0 2048 linear s 1024\n    s 524288 to 1572864\n");
    expect(stdout).toContain("  0 4096 striped 2 8 a 0 b 0\n");
    expect(stdout).toMatch(/recovery yes, direct access no\n/);
    expect(stdout).toMatch(R7);
  });

  test("--at walks one address down to the image and back up, with its state at every level", async () => {
    expect((await theriac(["inject", stack, "--at", "4K", "--length", "64"])).code).toBe(0);
    const { stdout } = await theriac(["table", stack, "--at", "4097"]);
    expect(stdout).toContain("  s 528385 (sector 1032) poisoned  line 3: striped leg 1\n");
    expect(stdout).toContain(`    ${place.image}-b 262145 (sector 512) poisoned\n`);
    expect(stdout).toContain(`up: ${place.image}-b 262145 shows at 4097\n`);
    const { code, document } = await theriacJson(["table", stack, "--at", "4097"]);
    expect({ code, schema: document["schema"] }).toEqual({ code: 0, schema: "theriac.table/1" });
    expect(document["at"]).toMatchObject({
      offset: 4097,
      state: "poisoned",
      below: [{ device: "s", leg: 1, below: [{ offset: 262145 }] }],
      up: [{ offset: 262145, addresses: [4097] }],
    });
  });

  test("--at shows every copy of a mirrored byte", async () => {
    writeFileSync(
      stack,
      `device a ${place.image}\ndevice b ${place.image}-b\nm: 0 1024 mirror core 2 8 nosync 2 a 8 b 16\n`,
    );
    const { stdout } = await theriac(["table", stack, "--at", "100"]);
    expect(stdout).toContain(`  ${place.image} 4196 (sector 8) unread\n`);
    expect(stdout).toContain(`  ${place.image}-b 8292 (sector 16) unread\n`);
    expect(stdout).toContain(`up: ${place.image} 4196 shows at 100\n`);
    expect(stdout).toContain(`up: ${place.image}-b 8292 shows at 100\n`);
  });

  test.each([
    ["t: 0 8 raid6 a 0\n", 3, "line 1: unknown target type: want one of linear"],
    ["t: 0 8 linear t 0\n", 3, "want no circle of tables"],
    ["hello\n", 3, 'line 1: want "device NAME PATH"'],
  ])("%j ends with 3", async (text, code, message) => {
    writeFileSync(stack, text);
    const run = await theriac(["table", stack]);
    expect(run.code).toBe(code);
    expect(run.stderr).toContain(message);
  });

  test("--from prints the stack that members of an array make, and the stack tells what is not used", async () => {
    const members = [0, 1].map((number) => {
      const path = join(place.folder, `m${count}-${number}.img`);
      const events = 8 + 4 * number;
      writeFileSync(path, mdMember({ version: "1.2", level: 1, raidDisks: 2, number, events }));
      return path;
    });
    const { code, stdout } = await theriac(["table", "--from", ...members]);
    expect(code).toBe(0);
    expect(stdout).toContain(`device m${count}-0 ${members[0]}\n`);
    expect(stdout).toContain(`\nmd name m${count}-0 m${count}-1\ntop name\n`);
    writeFileSync(stack, stdout);
    const shown = await theriac(["table", stack]);
    expect(shown.stdout).toContain(`  0 64 linear m${count}-1 16\n`);
    expect(shown.stdout).toContain("of event 8 of 12: it is not used\n");
    const { document } = await theriacJson(["table", "--from", ...members]);
    expect(document).toMatchObject({ schema: "theriac.stack/1", images: members });
    expect(stdout.endsWith(String(document["stack"]))).toBe(true);
    expect(stdout).toContain("# name: m");
  });

  test.each([
    [[], 2, "want a stack file"],
    [["x.stack", "--from", "a.img"], 2, "want a stack file"],
    [["--from", "/nowhere/a.img"], 3, "ENOENT"],
  ])("%j ends with its code", async (args, code, message) => {
    const run = await theriac(["table", ...args]);
    expect(run.code).toBe(code);
    expect(run.stderr).toContain(message);
  });

  test("an address past the end is wrong usage", async () => {
    expect((await theriac(["table", stack, "--at", "1M"])).code).toBe(2);
    expect((await theriac(["create", stack, "--adopt"])).code).toBe(2);
  });
});

describe("a stack as IMAGE", () => {
  test("list, scrub and inject go through it", async () => {
    await theriac(["inject", stack, "--at", "8000", "--length", "1000", "--latent"]);
    expect((await theriacJson(["list", stack])).document["ranges"]).toEqual([]);
    expect((await theriac(["scrub", stack])).code).toBe(1);
    const { document } = await theriacJson(["list", stack]);
    expect(document["ranges"]).toEqual([{ offset: 8000, length: 1024, state: "poisoned" }]);
    const list = join(place.folder, "stack.map");
    writeFileSync(list, "0x0 ? 1\n0 0x1000 +\n0x1000 0x200 -\n0x1200 0xFEE00 +\n");
    await theriac(["create", `${place.image}-c`, "--size", "1M"]);
    writeFileSync(stack, `device a ${place.image}-c\nt: 0 2048 linear a 0\n`);
    const listed = await theriacJson(["list", stack, "--poison", list]);
    expect(listed.document["ranges"]).toEqual([{ offset: 4096, length: 512, state: "poisoned" }]);
    expect((await theriac(["inject", stack, "--random", "7"])).code).toBe(0);
  });

  test("survey names the file, and repair heals it from a donor that is a plain image", async () => {
    const fixture = new URL("../../rescue/fixtures/tree.img.gz", import.meta.url);
    const image = gunzipSync(readFileSync(fixture));
    const half = Math.ceil(image.length / 2 / 4096) * 4096;
    const leaves = ["x", "y"].map((name) => `${place.image}-${name}`);
    for (const leaf of leaves) await theriac(["create", leaf, "--size", String(half)]);
    const sectors = (half * 2) / 512;
    writeFileSync(
      stack,
      `device x ${leaves[0]}\ndevice y ${leaves[1]}\nt: 0 ${sectors} striped 2 8 x 0 y 0\n`,
    );
    const { device } = await openStack(stack, { access: "write" });
    await device.write(image, 0);
    await device.close();
    const donor = `${place.image}-donor`;
    writeFileSync(donor, image);
    const found = await theriacJson(["survey", donor]);
    const volumes = found.document["volumes"] as { readonly map?: unknown }[];
    expect(volumes).toHaveLength(1);
    const clean = await theriacJson(["verify", stack, "--against", donor]);
    expect(clean.code).toBe(0);
    await theriac(["inject", stack, "--random", "3", "--count", "60"]);
    await theriac(["scrub", stack]);
    const survey = await theriacJson(["survey", stack]);
    expect(survey.code).toBe(1);
    const repair = await theriac(["repair", stack, "--from", donor, "--free"]);
    expect(repair.stderr).toBe("");
    const again = await openStack(stack);
    const bytes = new Uint8Array(image.length);
    const { missing } = await again.device.read(bytes, 0);
    const bad = new Set(missing.flatMap(({ offset, length }) => [offset, offset + length]));
    expect(bad.size).toBeLessThan(120);
    let at = 0;
    for (const hole of [...missing, { offset: image.length, length: 0 }]) {
      expect(Buffer.compare(bytes.subarray(at, hole.offset), image.subarray(at, hole.offset))).toBe(
        0,
      );
      at = hole.offset + hole.length;
    }
    await again.device.close();
  });
});
