/** Recorded traces of a real kernel, replayed through Theriac's own stacks: tables and random cases; needs no lab. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { replayCase } from "../../lab/replay/replay-case.ts";
import { openStack } from "../../lab/replay/stacks.ts";
import { parseTrace } from "../../lab/replay/trace.ts";
import { requirePrograms } from "./support/programs.ts";

const FOLDER = join(import.meta.dirname, "fixtures/traces");
const files = readdirSync(FOLDER).filter((name) => name.endsWith(".jsonl"));

describe("preadv2() and pwritev2() answer as Linux 6.1 did", () => {
  test.for(files)("%s", async (name, context) => {
    if (name.startsWith("ext4dax")) requirePrograms(context, "mke2fs");
    const cases = parseTrace(readFileSync(join(FOLDER, name), "utf8"), name);
    const sizes = [...new Set(cases.map(({ size }) => size))];
    const stack = await openStack(name.split(".")[0] ?? "", sizes);
    let compared = 0;
    for (const trace of cases) {
      const result = await replayCase(stack, trace);
      expect(result.mismatches).toEqual([]);
      compared += result.compared;
    }
    expect(compared).toBeGreaterThan(0);
  });
});
