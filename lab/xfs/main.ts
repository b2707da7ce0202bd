/**
 * lab/xfs: the XFS map against xfs_db, FSMAP and FIEMAP on random images that the lab's kernel mounted and worked on.
 *
 *     npm run lab:xfs -- [--seed N] [--images N]
 *
 * The images are made here (mkfs.xfs) and worked on in one boot of the guest (guest.sh), which takes about a minute each. Each is compared as it
 * was unmounted: every block with xfs_db, and with what the kernel said while it was mounted; and as it was cut off: its log counts as
 * one that holds changes, and no answer fails. Ends with `N images, N mismatches`; exit 1 on any. KEEP=1 leaves the images.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { createPrng } from "../../src/base/index.ts";
import { openFileMap, type FileMap, type OwnedRange } from "../../src/fs/index.ts";
import { openXfsMap } from "../../src/fs/xfs/index.ts";
import { fileSource } from "../../test/fs/ext4/scratch.ts";
import { blockUses, differences } from "../../test/fs/xfs/support/compare-blocks.ts";
import { randomOptions } from "../../test/fs/xfs/support/random-options.ts";
import { fiemapDifferences, fsmapDifferences } from "./compare-kernel.ts";

/** From `npm run`, the project's folder. */
const BOOT = join(process.cwd(), "lab/boot.sh");

interface Made {
  readonly seed: number;
  readonly story: string;
  /** Path without its ending. */
  readonly name: string;
}

function makeImage(seed: number, images: string): Made {
  const { options, blockSize, reflink } = randomOptions(createPrng(seed));
  const name = join(images, `${seed}`);
  const args = ["--unsupported", "-q", "-f", ...options, "-d", `file,name=${name}.img,size=80m`];
  execFileSync("mkfs.xfs", args, { stdio: "pipe" });
  writeFileSync(`${name}.job`, `${seed} ${blockSize} ${reflink ? 1 : 0}\n`);
  return { seed, story: options.join(" "), name };
}

/** Runs the guest over all images. @throws {Error} if it does not end well */
function workInGuest(shared: string): void {
  const script = join(process.cwd(), "lab/xfs/guest.sh");
  const { status } = spawnSync(BOOT, [script, shared], { stdio: ["ignore", "inherit", "inherit"] });
  if (status !== 0) throw new Error(`the guest ended with ${status}`);
}

async function whole(map: FileMap): Promise<readonly OwnedRange[]> {
  return map.owners([{ offset: 0, length: map.size }]);
}

async function compare({ name }: Made): Promise<readonly string[]> {
  if (!existsSync(`${name}.clean`)) return ["the guest did not work on it"];
  const clean = `${name}.clean`;
  const map = await openFileMap(fileSource(clean));
  const owned = await whole(map);
  const found = [...differences(owned, blockUses(clean), map.blockSize)];
  if (map.journal.pending) found.push(`its log is said to hold changes: ${map.journal.message}`);
  for (const { message } of map.problems) found.push(`a problem: ${message}`);
  const byReverseMap = await whole(await openXfsMap(fileSource(clean), { source: "reverse-map" }));
  if (JSON.stringify(byReverseMap) !== JSON.stringify(owned))
    found.push("the reverse map tells other owners");
  found.push(...fsmapDifferences(owned, readFileSync(`${name}.fsmap`, "utf8")));
  found.push(...(await fiemapDifferences(map, readFileSync(`${name}.fiemap`, "utf8"))));
  const cut = await openFileMap(fileSource(`${name}.img`));
  await whole(cut);
  if (!cut.journal.pending) found.push("cut off, its log is said to be empty");
  return found;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      seed: { type: "string", default: "2024" },
      images: { type: "string", default: "6" },
    },
  });
  const [first, count] = [Number(values.seed), Number(values.images)];
  if (!Number.isSafeInteger(first) || !Number.isSafeInteger(count) || count < 1)
    throw new RangeError("Want whole numbers: --seed N --images N");
  const shared = mkdtempSync(join(tmpdir(), "theriac-lab-"));
  try {
    const images = join(shared, "images");
    mkdirSync(images);
    const all = Array.from({ length: count }, (_, index) => makeImage(first + index, images));
    workInGuest(shared);
    let mismatches = 0;
    for (const made of all) {
      const found = await compare(made);
      if (found.length === 0) continue;
      mismatches += 1;
      console.log(
        [`--seed ${made.seed} --images 1: ${made.story}`, ...found.slice(0, 20)].join("\n  "),
      );
    }
    console.log(`${all.length} images, ${mismatches} mismatches`);
    process.exitCode = mismatches === 0 ? 0 : 1;
  } finally {
    if (process.env["KEEP"] === undefined) rmSync(shared, { recursive: true, force: true });
    else console.log(`kept ${shared}`);
  }
}

await main();
