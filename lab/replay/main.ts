/**
 * lab/replay: recorded traces of a kernel run through Theriac's own stacks.
 *
 *     npm run lab:replay -- FILE...
 *
 * Ends with `N operations, N mismatches`; exit 1 on any. The first mismatches of each file are printed.
 */
import { readFileSync } from "node:fs";
import { basename } from "node:path";
import { replayCase } from "./replay-case.ts";
import { openStack } from "./stacks.ts";
import { parseTrace } from "./trace.ts";

const SHOWN = 5;

async function main(files: readonly string[]): Promise<void> {
  if (files.length === 0) throw new Error("want the files of recorded traces");
  let operations = 0;
  let mismatches = 0;
  for (const file of files) {
    const cases = parseTrace(readFileSync(file, "utf8"), file);
    const name = basename(file).split(".")[0] ?? "";
    const stack = await openStack(name, [...new Set(cases.map(({ size }) => size))]);
    let shown = 0;
    for (const trace of cases) {
      operations += trace.ops.length;
      for (const found of await replayCase(stack, trace)) {
        mismatches += 1;
        shown += 1;
        if (shown > SHOWN) continue;
        console.log(
          `${file}: case ${found.case} (size ${trace.size}, poison ${JSON.stringify(trace.poison)}), call ${found.index}`,
        );
        console.log(`  ${JSON.stringify(found.operation)}\n  Theriac: ${found.got}`);
      }
    }
  }
  console.log(`${operations} operations, ${mismatches} mismatches`);
  process.exitCode = mismatches === 0 && operations > 0 ? 0 : 1;
}

await main(process.argv.slice(2));
