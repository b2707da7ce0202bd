/**
 * lab/live: the project itself in the guest, on real block devices: a disk whose sectors fail with EIO, and persistent memory with the kernel's own list.
 *
 *     npm run build && npm run lab:live -- [--seed N] [--only salvage|heal|watch]
 *
 * Compared: every byte that came out with the original, every hole with the bad sectors, to the sector; failed reads of the policies; the
 * kernel's log lines of the same disk, placed by `survey --log`. Ends with `N checks, N failures`; exit 1 on any. KEEP=1 leaves the folder.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { createPrng, PAGE, RangeSet, roundDown, SECTOR, type Prng } from "../../src/base/index.ts";
import { parseMapfile } from "../../src/poison/index.ts";
import { Checks } from "./checks.ts";
import { checkHealing } from "./heal.ts";
import { bootRuntime, makeRuntime } from "./runtime.ts";
import { checkWatching } from "./watching.ts";

const SIZE = 24 * 1024 * 1024;
const PMEM_BYTES = 4 * 1024 * 1024;

const checks = new Checks();

/** Bad sectors: alone, side by side, a run, the first and the last. */
function badSectors(prng: Prng): RangeSet {
  const bad = new RangeSet();
  const last = SIZE / SECTOR - 1;
  bad.add(0, SECTOR);
  bad.add(last * SECTOR, SECTOR);
  for (let index = 0; index < 12; index += 1) bad.add(prng.below(last) * SECTOR, SECTOR);
  bad.add(prng.below(last - 200) * SECTOR, (1 + prng.below(150)) * SECTOR);
  return bad;
}

/** An ext4 of one file that fills nearly all of it, so that bad sectors are mostly the file's. */
function makeSource(folder: string, prng: Prng): Buffer {
  const tree = join(folder, "tree");
  mkdirSync(tree);
  writeFileSync(join(tree, "data.bin"), prng.bytes(16 * 1024 * 1024));
  const path = join(folder, "shared/source");
  execFileSync("mke2fs", ["-q", "-t", "ext4", "-b", "4096", "-d", tree, path, `${SIZE / 1024}k`]);
  return readFileSync(path);
}

function holesOf(path: string, size: number): RangeSet {
  const { ranges } = parseMapfile(readFileSync(path, "utf8"), { size, name: path });
  const holes = new RangeSet();
  for (const { offset, length, state } of ranges) if (state !== "clean") holes.add(offset, length);
  return holes;
}

/** Whether a copy holds every byte outside the holes, and zeros in them. */
function isCopy(copy: Buffer, source: Buffer, holes: RangeSet): boolean {
  const expected = Buffer.from(source);
  for (const { offset, length } of holes) expected.fill(0, offset, offset + length);
  return Buffer.compare(copy, expected) === 0;
}

function textOf(ranges: Iterable<{ readonly offset: number; readonly length: number }>): string {
  return JSON.stringify([...ranges]);
}

/** What `salvage --json` tells of its reads. */
interface Salvaged {
  readonly reads?: { readonly reads: number; readonly failed: number };
  readonly salvaged: number;
}

function told(shared: string, name: string): Salvaged {
  return JSON.parse(readFileSync(join(shared, `${name}.json`), "utf8")) as Salvaged;
}

function checkDisk(shared: string, source: Buffer, bad: RangeSet): void {
  for (const name of ["costly", "cheap", "listed"]) {
    const status = readFileSync(join(shared, `${name}.status`), "utf8").trim();
    const said = readFileSync(join(shared, `${name}.err`), "utf8").trim();
    checks.is(`${name}: data is missing (R9)`, status === "1", `exit ${status}: ${said}`);
    if (status !== "1") continue;
    const holes = holesOf(join(shared, `${name}.map`), SIZE);
    checks.is(`${name}: holes are the bad sectors`, textOf(holes) === textOf(bad), textOf(holes));
    const copy = readFileSync(join(shared, `${name}.img`));
    checks.is(`${name}: every clean byte came (R1)`, isCopy(copy, source, bad));
    const { reads } = told(shared, name);
    console.log(`  ${name}: ${reads?.reads} reads, ${reads?.failed} failed`);
    if (name === "listed") checks.is("listed: no read fails", reads?.failed === 0);
  }
  checks.is(
    "again: still missing",
    readFileSync(join(shared, "again.status"), "utf8").trim() === "1",
  );
}

/** The kernel's own lines of the same disk, placed on the image: only bad sectors, and what shares their page. */
function checkLog(root: string, folder: string, bad: RangeSet): void {
  const shared = join(folder, "shared");
  const log = readFileSync(join(shared, "dmesg"), "utf8").replaceAll(/dm-\d+/g, "sda");
  writeFileSync(join(folder, "dmesg"), log);
  const { stdout } = spawnSync(
    process.execPath,
    [
      join(root, "dist/cli/main.js"),
      "survey",
      join(shared, "source"),
      "--json",
      "--log",
      join(folder, "dmesg"),
    ],
    { encoding: "utf8", maxBuffer: 2 ** 28 },
  );
  const { damage } = JSON.parse(stdout) as {
    readonly damage: readonly { readonly offset: number; readonly length: number }[];
  };
  checks.is("log: the kernel's lines are placed", damage.length > 0);
  const stray = damage.filter(({ offset, length }) => {
    for (let at = roundDown(offset, PAGE); at < offset + length; at += PAGE)
      if (!bad.intersects(at, PAGE)) return true;
    return false;
  });
  checks.is("log: nothing clean is called bad", stray.length === 0, textOf(stray.slice(0, 3)));
}

function checkPmem(shared: string, content: Buffer, bad: RangeSet): void {
  const status = readFileSync(join(shared, "pmem.status"), "utf8").trim();
  checks.is(
    "pmem: data is missing (R9)",
    status === "1",
    readFileSync(join(shared, "pmem.err"), "utf8"),
  );
  if (status !== "1") return;
  const size = Number(readFileSync(join(shared, "pmem.size"), "utf8")) * SECTOR;
  const holes = holesOf(join(shared, "pmem.map"), size);
  const inside = [...holes].filter(({ offset }) => offset < PMEM_BYTES);
  checks.is("pmem: holes are the listed sectors", textOf(inside) === textOf(bad), textOf(inside));
  checks.is(
    "pmem: every clean byte came (R1)",
    isCopy(readFileSync(join(shared, "pmem.img")), content, bad),
  );
  checks.is("pmem: what is listed is never read", told(shared, "pmem").reads?.failed === 0);
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { seed: { type: "string" }, only: { type: "string" } },
  });
  const seed = Number(values.seed ?? Date.now() % 2 ** 31);
  console.log(`seed ${seed}`);
  const prng = createPrng(seed);
  const root = join(import.meta.dirname, "../../../..");
  const folder = mkdtempSync(join(tmpdir(), "theriac-live-"));
  const shared = join(folder, "shared");
  const disk = join(folder, "runtime.img");
  try {
    mkdirSync(shared);
    makeRuntime(root, disk, ["/usr/bin/ndctl", "/usr/sbin/dmsetup"]);
    const on = { root, folder, disk };
    if (values.only === undefined || values.only === "heal") checkHealing(checks, prng, on);
    if (values.only === undefined || values.only === "watch") checkWatching(checks, prng, on);
    if (values.only === "heal" || values.only === "watch") return;
    const source = makeSource(folder, prng);
    const bad = badSectors(prng);
    const sectors = [...bad].flatMap(({ offset, length }) =>
      Array.from({ length: length / SECTOR }, (_, index) => offset / SECTOR + index),
    );
    writeFileSync(join(shared, "bad"), `${sectors.join("\n")}\n`);
    const content = Buffer.from(prng.bytes(PMEM_BYTES));
    const pmemBad = RangeSet.from([
      { offset: 1024 * 1024, length: 8 * SECTOR },
      { offset: 2 * 1024 * 1024 + 3 * SECTOR, length: SECTOR },
    ]);
    writeFileSync(join(shared, "pmem"), content);
    writeFileSync(
      join(shared, "pmem.bad"),
      [...pmemBad].map(({ offset, length }) => `${offset / SECTOR} ${length / SECTOR}\n`).join(""),
    );
    bootRuntime("live/guest.sh", { root, shared, disk });
    checkDisk(shared, source, bad);
    checkLog(root, folder, bad);
    checkPmem(shared, content, pmemBad);
  } finally {
    if (process.env["KEEP"] === undefined) rmSync(folder, { recursive: true });
    else console.log(`kept ${folder}`);
    checks.end();
  }
}

await main();
