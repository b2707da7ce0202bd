/**
 * lab/replay: recorded traces of a kernel run through Theriac's own stacks.
 *
 *     npm run lab:replay -- FILE...
 *
 * Ends with `N operations, N mismatches`; exit 1 on any. The first mismatches of each file are printed.
 */
import { readFileSync } from "node:fs";
import { basename } from "node:path";
import type { Reason } from "./documented.ts";
import { replayCase } from "./replay-case.ts";
import { openStack } from "./stacks.ts";
import { parseTrace } from "./trace.ts";

const SHOWN = 5;

interface Sums {
  operations: number;
  mismatches: number;
  readonly left: Record<Reason, number>;
}

async function main(files: readonly string[]): Promise<void> {
  if (files.length === 0) throw new Error("want the files of recorded traces");
  const sums: Sums = { operations: 0, mismatches: 0, left: { R4: 0, R5: 0, fsync: 0 } };
  for (const file of files) await replayFile(file, sums);
  for (const [rule, cases] of Object.entries(sums.left))
    if (cases > 0)
      console.log(
        `${cases} cases left at a difference that docs/linux.md gives a reason for: ${rule}`,
      );
  console.log(`${sums.operations} operations, ${sums.mismatches} mismatches`);
  process.exitCode = sums.mismatches === 0 && sums.operations > 0 ? 0 : 1;
}

async function replayFile(file: string, sums: Sums): Promise<void> {
  const cases = parseTrace(readFileSync(file, "utf8"), file);
  const name = basename(file).split(".")[0] ?? "";
  const stack = await openStack(name, [...new Set(cases.map(({ size }) => size))]);
  let shown = 0;
  for (const trace of cases) {
    const { compared, mismatches, left } = await replayCase(stack, trace);
    sums.operations += compared;
    sums.mismatches += mismatches.length;
    if (left !== undefined) sums.left[left] += 1;
    for (const found of mismatches) {
      if ((shown += 1) > SHOWN) break;
      console.log(
        `${file}: case ${found.case} (size ${trace.size}, poison ${JSON.stringify(trace.poison)}, clear ${trace.clear ?? "all"}), call ${found.index}`,
      );
      console.log(`  ${JSON.stringify(found.operation)}\n  Theriac: ${found.got}`);
    }
  }
}

await main(process.argv.slice(2));
