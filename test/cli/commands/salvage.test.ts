/** theriac salvage as a user runs it. */
import { copyFileSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { createPrng } from "../../../src/base/index.ts";
import { openDevice } from "../../../src/device/index.ts";
import { theriac, theriacJson, useWorkplace } from "../support/theriac.ts";

const place = useWorkplace();
const SIZE = 65_536;

/** An image with a list. */
async function madeImage(name: string): Promise<string> {
  const image = join(place.folder, name);
  writeFileSync(image, createPrng(3).bytes(SIZE));
  const run = await theriac(["create", image, "--adopt"]);
  expect(run.code).toBe(0);
  return image;
}

async function poison(image: string): Promise<void> {
  const run = await theriac(["inject", image, "--at", "4096", "--length", "256"]);
  expect(run.code).toBe(0);
}

describe("theriac salvage", () => {
  test("ends with 1 where data did not come (R9)", async () => {
    const image = await madeImage("bad.img");
    await poison(image);
    const { code, document } = await theriacJson(["salvage", image, `${image}.out`]);
    expect({ code, missing: document["missing"] }).toEqual({ code: 1, missing: 256 });
  });

  test("ends with 0 where all of it came, also when some went bad since", async () => {
    const image = await madeImage("later.img");
    const out = `${image}.out`;
    copyFileSync(image, `${image}.copy`);
    expect((await theriac(["salvage", image, out])).code).toBe(0);
    await poison(image);
    const { code, document } = await theriacJson(["salvage", image, out]);
    expect({ code, missing: document["missing"], bad: document["bad"] }).toEqual({
      code: 0,
      missing: 0,
      bad: 0,
    });
    expect(readFileSync(out).equals(readFileSync(`${image}.copy`))).toBe(true);
  });

  test("R2: refuses to go on in an output that was repaired since, and leaves it as it is", async () => {
    const image = await madeImage("source.img");
    const good = readFileSync(image);
    const out = join(place.folder, "repaired.img");
    await poison(image);
    expect((await theriac(["salvage", image, out])).code).toBe(1);
    const device = openDevice(out, {
      access: "write",
      poison: [{ offset: 4096, length: 256, state: "poisoned" }],
    });
    device.heal([{ offset: 4096, data: good.subarray(4096, 4352) }]);
    device.flush();
    device.close();
    const again = await theriac(["salvage", image, out]);
    expect(again.code).toBe(4);
    expect(again.stderr).toContain("a list of its own");
    expect(readFileSync(out).equals(good)).toBe(true);
  });

  test("R1: its output is known not to be whole by the map beside it, until a list says otherwise", async () => {
    const image = await madeImage("holes.img");
    const out = join(place.folder, "copy.img");
    await poison(image);
    expect((await theriac(["salvage", image, out])).code).toBe(1);
    const { code, document } = await theriacJson(["survey", out]);
    expect({ code, missing: document["missing"] }).toEqual({ code: 1, missing: 256 });
    expect(document["notes"]).toEqual([expect.stringContaining("256 bytes of it never came")]);
    const listed = await theriacJson(["list", out]);
    expect(listed.document["ranges"]).toEqual([{ offset: 4096, length: 256, state: "poisoned" }]);
    const given = await theriac([
      "acknowledge",
      out,
      "--at",
      "4096",
      "--length",
      "256",
      "--metadata",
    ]);
    expect(given.code).toBe(0);
    expect((await theriac(["survey", out])).code).toBe(0);
  });

  test("R1: create --adopt of its output knows what never came", async () => {
    const image = await madeImage("adopted-source.img");
    const out = join(place.folder, "adopted.img");
    await poison(image);
    expect((await theriac(["salvage", image, out])).code).toBe(1);
    const { code, document } = await theriacJson(["create", out, "--adopt"]);
    expect({ code, totals: document["totals"] }).toMatchObject({
      code: 0,
      totals: { poisoned: 256 },
    });
    expect((await theriac(["survey", out])).code).toBe(1);
  });

  test("R4: a map that is called like an image does not take the place of that image's list", async () => {
    const image = await madeImage("listed.img");
    await poison(image);
    const list = readFileSync(`${image}.theriac`);
    const source = join(place.folder, "other.img");
    writeFileSync(source, createPrng(4).bytes(SIZE));
    rmSync(image);
    const run = await theriac(["salvage", source, join(place.folder, "o"), "--map", image]);
    expect(run.code).toBe(3);
    expect(run.stderr).toContain("listed.img.theriac");
    expect(readFileSync(`${image}.theriac`).equals(list)).toBe(true);
  });

  test("a map of another output that lies beside the source is not the source's", async () => {
    const image = await madeImage("beside.img");
    const salvageIt = [
      "salvage",
      image,
      join(place.folder, "elsewhere.img"),
      "--map",
      `${image}.map`,
    ];
    await poison(image);
    expect((await theriac(salvageIt)).code).toBe(1);
    rmSync(`${image}.theriac`);
    const { document } = await theriacJson(["list", image]);
    expect(JSON.stringify(document["notes"])).not.toContain("never came");
  });
});
