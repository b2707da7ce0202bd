/** theriac scrub: what it finds, and what it ends with. */
import { writeFileSync } from "node:fs";
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
});
