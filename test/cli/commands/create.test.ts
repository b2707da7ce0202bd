/** theriac create: new images and adopted ones. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { createPrng } from "../../../src/base/index.ts";
import { R7, theriac, theriacJson, useWorkplace } from "../support/theriac.ts";

const place = useWorkplace();

describe("theriac create", () => {
  test("makes an image of zeros with its list, all unread (R7)", async () => {
    const path = join(place.folder, "fresh");
    const run = await theriac([
      "create",
      path,
      "--size",
      "256K",
      "--poison-unit",
      "512",
      "--clear-unit",
      "4K",
      "--clear",
      "atomic",
    ]);
    expect(run.code).toBe(0);
    expect(R7.exec(run.stdout)?.slice(1).map(Number)).toEqual([262144, 0, 262144, 0, 0]);
    expect(readFileSync(path).every((byte) => byte === 0)).toBe(true);
  });

  test("does not overwrite what is there, and says so with 3", async () => {
    writeFileSync(join(place.folder, "precious"), "precious");
    const run = await theriacJson(["create", join(place.folder, "precious"), "--size", "1M"]);
    expect(run).toMatchObject({ code: 3, document: { code: "EEXIST" } });
    expect(readFileSync(join(place.folder, "precious"), "utf8")).toBe("precious");
  });

  test("--adopt takes a raw file as it is, unread, once", async () => {
    const path = join(place.folder, "raw");
    const bytes = createPrng(7).bytes(65_536);
    writeFileSync(path, bytes);
    const run = await theriacJson(["create", path, "--adopt"]);
    expect(run.code).toBe(0);
    expect(run.document["totals"]).toMatchObject({ total: 65536, poisoned: 0, lost: 0 });
    expect(readFileSync(path).equals(bytes)).toBe(true);
    expect((await theriac(["create", path, "--adopt"])).code).toBe(3);
    expect((await theriac(["inject", path, "--at", "0", "--length", "64"])).code).toBe(0);
  });
});
