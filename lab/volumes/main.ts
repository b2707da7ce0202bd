/**
 * lab/volumes: LVM2 volumes and md arrays that the real tools make, by a seed, in a real kernel, read from the raw disks through Theriac's stacks.
 *
 *     npm run lab:volumes -- [--seed N] [--keep FOLDER] [--record FILE]
 *
 * A folder that is kept is compared again, without a guest, where the seed is the same.
 *
 * Every sector of every volume carries its own address, so that a sector from anywhere else shows. Of LVM the tables are compared
 * too, with `dmsetup table`. Ends with `N volumes, N sectors, N mismatches`; exit 1 on any.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { createPrng } from "../../src/base/index.ts";
import { checkFound, checkVolume, type Outcome } from "./check.ts";
import { writeDisk } from "./disks.ts";
import { recordFixture } from "./record.ts";
import { makeRecipe, type Recipe } from "./recipe.ts";
import { guestRows } from "./tables.ts";

/** The project: this file runs from .work/lab-replay/lab/volumes/. */
const PROJECT = join(dirname(fileURLToPath(import.meta.url)), "../../../..");

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { seed: { type: "string" }, keep: { type: "string" }, record: { type: "string" } },
  });
  const seed = Number(values.seed ?? process.env["SEED"] ?? Date.now() % 2 ** 31);
  console.log(`seed ${seed}`);
  const recipe = makeRecipe(createPrng(seed));
  const folder = values.keep ?? mkdtempSync(join(tmpdir(), "theriac-volumes-"));
  try {
    mkdirSync(join(folder, "shared"), { recursive: true });
    if (!existsSync(join(folder, "shared/status"))) makeInGuest(recipe, folder);
    await compare(recipe, folder, values.record);
  } finally {
    if (values.keep === undefined) rmSync(folder, { recursive: true });
  }
}

function makeInGuest(recipe: Recipe, folder: string): void {
  for (const disk of recipe.disks) writeDisk(join(folder, `${disk.name}.img`), disk);
  const prologue = readFileSync(join(PROJECT, "lab/volumes/guest.sh"), "utf8");
  const lines = recipe.script.map(
    (line) => `{ ${line}; } >>/shared/output || fail ${quoted(line)}`,
  );
  const job = join(folder, "job");
  writeFileSync(
    job,
    `DISKS=${recipe.disks.length}\n${prologue}\nfail() { echo "failed: $1"; tail -n 5 /shared/output /shared/errors; exit 1; }\n${lines.join("\n")}\n`,
  );
  const images = recipe.disks.map(({ name }) => join(folder, `${name}.img`)).join("\n");
  const { status } = spawnSync(join(PROJECT, "lab/boot.sh"), [job, join(folder, "shared")], {
    env: { ...process.env, DISKS: images },
    stdio: "inherit",
  });
  if (status !== 0) throw new Error(`want a guest that made all volumes: it ended with ${status}`);
}

function quoted(line: string): string {
  return `'${line.replaceAll("'", `'\\''`)}'`;
}

async function compare(recipe: Recipe, folder: string, record?: string): Promise<void> {
  const shared = (name: string): string => readFileSync(join(folder, "shared", name), "utf8");
  const groups = new Set(
    recipe.volumes.flatMap((one) => (one.kind === "lvm" ? (one.volume.split("/")[0] ?? "") : [])),
  );
  const rows = new Map<string, readonly string[]>();
  for (const group of groups)
    for (const [name, list] of guestRows(shared(`tables.${group}`), shared(`numbers.${group}`)))
      rows.set(name, list);
  if (record !== undefined) recordFixture(recipe, { folder, rows, path: record });
  const sum: Outcome = { sectors: 0, mismatches: [] };
  for (const volume of recipe.volumes) {
    const { sectors, mismatches } = await checkVolume({ recipe, volume, folder, rows });
    sum.sectors += sectors;
    sum.mismatches.push(...mismatches.map((text) => `${volume.name}: ${text}`));
  }
  sum.mismatches.push(...(await checkFound(recipe, folder)));
  for (const text of sum.mismatches.slice(0, 40)) console.log(text);
  console.log(
    `${recipe.volumes.length} volumes, ${sum.sectors} sectors, ${sum.mismatches.length} mismatches`,
  );
  process.exitCode = sum.mismatches.length === 0 && sum.sectors > 0 ? 0 : 1;
}

await main();
