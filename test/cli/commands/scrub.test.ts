/** theriac scrub: what it finds, and what it ends with. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { createPrng } from "../../../src/base/index.ts";
import { theriacJson, useWorkplace } from "../support/theriac.ts";

const place = useWorkplace();

describe("theriac scrub", () => {
  test("ends with 0 where nothing is missing, and every unread byte is clean after it", async () => {
    const path = join(place.folder, "raw-scrub");
    writeFileSync(path, createPrng(3).bytes(300_000));
    const run = await theriacJson(["scrub", path]);
    expect(run).toMatchObject({
      code: 0,
      document: { missing: 0, totals: { total: 300_000, clean: 300_000, unread: 0 } },
    });
  });

  test("--resync makes the legs of mirrors alike, and heals what their lists name", async () => {
    const content = createPrng(3).bytes(65_536);
    for (const leg of ["ma", "mb"]) writeFileSync(join(place.folder, leg), content);
    writeFileSync(join(place.folder, "mb"), Buffer.alloc(65_536));
    const path = join(place.folder, "m.stack");
    writeFileSync(path, "device a ma\ndevice b mb\nm: 0 128 mirror core 1 8 2 a 0 b 0\n");
    const run = await theriacJson(["scrub", "--resync", path]);
    expect(run).toMatchObject({
      code: 0,
      document: { resync: { mirrors: 1, copied: 65_536, healed: 0, left: 0 } },
    });
    expect(readFileSync(join(place.folder, "mb"))).toEqual(Buffer.from(content));
  });
});
