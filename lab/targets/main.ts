/**
 * lab/targets: device-mapper targets in a real kernel, asked at random by a seed, and Theriac's own beside them.
 *
 *     npm run lab:targets -- [--seed N] [--keep FOLDER] [NAME...]
 *
 * One boot for all. `--keep` leaves questions and answers in a folder: the form of `test/interop/fixtures/targets`. Ends with
 * `N compared, N mismatches`; exit 1 on any.
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { createPrng } from "../../src/base/index.ts";
import { dustLab } from "./dust.ts";
import { logWritesLab } from "./log-writes.ts";
import { unstripedLab } from "./unstriped.ts";
import type { TargetLab } from "./target-lab.ts";

/** Every target that has a lab. */
const LABS: readonly TargetLab[] = [dustLab, logWritesLab, unstripedLab];

/** Mismatches that are printed of each target. */
const SHOWN = 10;

/** The project: this file runs from .work/lab-replay/lab/targets/. */
const PROJECT = join(dirname(fileURLToPath(import.meta.url)), "../../../..");

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { seed: { type: "string" }, keep: { type: "string" } },
  });
  const seed = Number(values.seed ?? process.env["SEED"] ?? Date.now() % 2 ** 31);
  console.log(`seed ${seed}`);
  const labs = positionals.length === 0 ? LABS : positionals.map((name) => labOf(name));
  const folder = values.keep ?? mkdtempSync(join(tmpdir(), "theriac-targets-"));
  try {
    mkdirSync(folder, { recursive: true });
    for (const lab of labs) await lab.ask(folder, createPrng(seed));
    boot(labs, folder);
    await compareAll(labs, folder);
  } finally {
    if (values.keep === undefined) rmSync(folder, { recursive: true });
  }
}

function labOf(name: string): TargetLab {
  const lab = LABS.find((one) => one.name === name);
  if (lab !== undefined) return lab;
  throw new Error(`want one of ${LABS.map((one) => one.name).join(", ")}: got ${name}`);
}

function boot(labs: readonly TargetLab[], folder: string): void {
  for (const { name } of labs)
    writeFileSync(
      join(folder, `${name}.sh`),
      readFileSync(join(PROJECT, `lab/targets/${name}.sh`), "utf8"),
    );
  const job = join(folder, "job.sh");
  writeFileSync(job, labs.map(({ name }) => `sh /shared/${name}.sh || exit 1\n`).join(""));
  const { status } = spawnSync(join(PROJECT, "lab/boot.sh"), [job, folder], { stdio: "inherit" });
  if (status !== 0) throw new Error(`want a guest that answered: it ended with ${status}`);
}

async function compareAll(labs: readonly TargetLab[], folder: string): Promise<void> {
  let compared = 0;
  let mismatches = 0;
  for (const lab of labs) {
    const result = await lab.compare(folder);
    compared += result.compared;
    mismatches += result.mismatches.length;
    console.log(`${lab.name}: ${result.compared} compared, ${result.mismatches.length} mismatches`);
    for (const line of result.mismatches.slice(0, SHOWN)) console.log(`  ${line}`);
  }
  console.log(`${compared} compared, ${mismatches} mismatches`);
  process.exitCode = mismatches === 0 && compared > 0 ? 0 : 1;
}

await main();
