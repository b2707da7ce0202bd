/**
 * lab/nbd: Linux' own client (nbd.ko) on an export of `theriac serve` with poison: bad sectors are EIO and their neighbours are not, an ext4 on it mounts, and
 * a file of it is healed by writing.
 *
 *     npm run build && npm run lab:nbd -- [--seed N]
 *
 * Ends with `N checks, N failures`; exit 1 on any. KEEP=1 leaves the folder.
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { createPrng, PAGE, SECTOR, type Prng } from "../../src/base/index.ts";
import { openFileMap } from "../../src/fs/index.ts";
import { fileSource } from "../../test/fs/ext4/scratch.ts";
import { Checks } from "../live/checks.ts";
import { bootRuntime, makeRuntime } from "../live/runtime.ts";

const FILE_BYTES = 8 * 1024 * 1024;

const checks = new Checks();

/** What is bad: blocks of the file, and the sectors on the device, one or more of each block. */
interface Damage {
  readonly blocks: readonly number[];
  readonly sectors: readonly number[];
}

async function damageOf(image: string, prng: Prng): Promise<Damage> {
  const source = fileSource(image);
  const map = await openFileMap(source);
  const inode = await map?.lookup("/data.bin");
  if (map === undefined || inode === undefined) throw new Error(`want /data.bin in ${image}`);
  const blocks = new Set<number>();
  while (blocks.size < 12) blocks.add(prng.below(FILE_BYTES / PAGE));
  const sectors: number[] = [];
  for (const block of blocks) {
    const [extent] = await map.extents(inode, { offset: block * PAGE, length: PAGE });
    if (extent?.device === undefined) throw new Error(`want block ${block} on the device`);
    const first = prng.below(8);
    const count = 1 + prng.below(8 - first);
    for (let index = first; index < first + count; index += 1)
      sectors.push(extent.device / SECTOR + index);
  }
  source.close();
  return { blocks: [...blocks].sort(ascending), sectors: sectors.sort(ascending) };
}

function ascending(one: number, other: number): number {
  return one - other;
}

function linesOf(path: string): readonly string[] {
  return readFileSync(path, "utf8").split("\n").filter(Boolean);
}

function checkGuest(shared: string, damage: Damage): void {
  const text = (name: string): string => readFileSync(join(shared, name), "utf8").trim();
  const everyBad = (name: string, is: (rest: string) => boolean): boolean => {
    const lines = linesOf(join(shared, name));
    const rest = lines.map((line) => line.slice(line.indexOf(" ") + 1));
    return lines.length > 0 && rest.every((one) => is(one));
  };
  checks.is(
    "a sector before the first bad one is read",
    !text("before").includes("EIO"),
    text("before"),
  );
  checks.is(
    "every bad sector is EIO (R1)",
    everyBad("direct", (one) => one.includes("EIO")),
    text("direct"),
  );
  checks.is(
    "all of them were asked",
    linesOf(join(shared, "direct")).length === damage.sectors.length,
  );
  checks.is("the kernel logs the device", text("dmesg").includes("nbd0"));
  checks.is("the file as a whole fails (R9)", text("whole.status") !== "0");
  checks.is(
    "every bad block of the file fails (R1)",
    everyBad("read", (one) => one !== "0"),
    text("read"),
  );
  checks.is(
    "every write succeeds",
    everyBad("write", (one) => one === "0"),
    text("write"),
  );
  checks.is("the file is as it was, past the cache", text("cmp.status") === "0");
  checks.is("the server ends well", text("server.status") === "0", text("server.err"));
  const list = JSON.parse(text("list.json")) as {
    readonly totals: { readonly poisoned: number; readonly lost: number };
  };
  checks.is(
    "nothing is bad any more",
    list.totals.poisoned + list.totals.lost === 0,
    JSON.stringify(list.totals),
  );
}

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { seed: { type: "string" } } });
  const seed = Number(values.seed ?? Date.now() % 2 ** 31);
  console.log(`seed ${seed}`);
  const prng = createPrng(seed);
  const root = join(import.meta.dirname, "../../../..");
  const folder = mkdtempSync(join(tmpdir(), "theriac-lab-nbd-"));
  const shared = join(folder, "shared");
  try {
    mkdirSync(join(folder, "tree"));
    mkdirSync(shared);
    const content = prng.bytes(FILE_BYTES);
    for (const path of [join(folder, "tree/data.bin"), join(shared, "data.bin")])
      writeFileSync(path, content);
    const source = join(shared, "source");
    execFileSync("mke2fs", [
      "-q",
      "-t",
      "ext4",
      "-b",
      String(PAGE),
      "-d",
      join(folder, "tree"),
      source,
      "32M",
    ]);
    const damage = await damageOf(source, prng);
    writeFileSync(join(shared, "bad"), `${damage.sectors.join("\n")}\n`);
    writeFileSync(join(shared, "blocks"), `${damage.blocks.join("\n")}\n`);
    const list = damage.sectors.map((sector) => `${sector} 1\n`).join("");
    writeFileSync(join(shared, "bad.list"), list);
    const disk = join(folder, "runtime.img");
    makeRuntime(root, disk, ["/usr/sbin/nbd-client"]);
    bootRuntime("nbd/guest.sh", { root, shared, disk });
    checkGuest(shared, damage);
    const found = execFileSync("e2fsck", ["-fn", join(shared, "disk.img")], {
      encoding: "utf8",
      stdio: "pipe",
    });
    checks.is("e2fsck finds nothing", !/error|fix/i.test(found), found);
  } finally {
    if (process.env["KEEP"] === undefined) rmSync(folder, { recursive: true });
    else console.log(`kept ${folder}`);
  }
  checks.end();
}

await main();
