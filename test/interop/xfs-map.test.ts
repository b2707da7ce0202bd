/**
 * The XFS map against xfs_db: random images over the options of mkfs.xfs, filled without mounting, and those of the corpus, which Linux filled: the owner
 * of every block, and every inode's paths, size, time and extents. `XFS_IMAGES=200` makes more, `SEED=123 XFS_IMAGES=1` replays one, `KEEP=1` leaves
 * the images. Images worked on while mounted are in lab/xfs/.
 */
import { rmSync, writeFileSync } from "node:fs";
import { afterAll, expect, test } from "vitest";
import { createPrng } from "../../src/base/index.ts";
import { openFileMap } from "../../src/fs/index.ts";
import { openXfsMap } from "../../src/fs/xfs/index.ts";
import { fileSource, Scratch } from "../fs/ext4/scratch.ts";
import { blockUses, differences } from "../fs/xfs/support/compare-blocks.ts";
import { inodeDifferences, type InodeCounts } from "../fs/xfs/support/compare-inodes.ts";
import { fixtureBytes, XFS_FIXTURES } from "../fs/xfs/support/fixture.ts";
import { addAttributes, randomForm } from "../fs/xfs/support/random-options.ts";
import { xfsImage } from "../fs/xfs/support/xfs-images.ts";
import { requirePrograms } from "./support/programs.ts";

const SEED = Number(process.env["SEED"] ?? 2024);
const IMAGES = Number(process.env["XFS_IMAGES"] ?? 8);
const scratch = new Scratch();
afterAll(() => {
  if (process.env["KEEP"] === undefined) scratch.dispose();
  else console.log(`kept ${scratch.directory}`);
});

interface Counts extends InodeCounts {
  bytes: number;
  /** Images of which xfs_db itself died, as it does of some attributes. */
  died: number;
}

/** How a signal ends it. */
const DIED = /xfs_db .* ended with null/s;

/** What of an image the map says other than xfs_db. */
async function compareImage(path: string, counts: Counts): Promise<readonly string[]> {
  const source = fileSource(path);
  try {
    const map = await openFileMap(source);
    const whole = [{ offset: 0, length: map.size }];
    const owned = await map.owners(whole);
    const found = [...differences(owned, blockUses(path), map.blockSize)];
    found.push(...(await inodeDifferences(map, path, counts)));
    const byReverseMap = await (await openXfsMap(source, { source: "reverse-map" })).owners(whole);
    if (JSON.stringify(byReverseMap) !== JSON.stringify(owned))
      found.push("the reverse map tells other owners");
    if (map.journal.pending) found.push(`its log is said to hold changes: ${map.journal.message}`);
    found.push(...map.problems.map(({ message }) => `a problem: ${message}`));
    counts.bytes += map.size;
    return found.slice(0, 8);
  } finally {
    source.close();
  }
}

async function compareSeed(seed: number, counts: Counts): Promise<readonly string[]> {
  const prng = createPrng(seed);
  const { options, old, size } = randomForm(prng);
  const label = `SEED=${seed}: mkfs.xfs ${options.join(" ")}, ${size} bytes`;
  try {
    const { path } = xfsImage(scratch, `${seed}.img`, { options, seed, size });
    if (!old) addAttributes(prng, path);
    const found = await compareImage(path, counts);
    if (process.env["KEEP"] === undefined) rmSync(path);
    return found.map((what) => `${label}: ${what}`);
  } catch (error) {
    if (DIED.test(String(error))) {
      counts.died += 1;
      return [];
    }
    return [`${label}: ${error instanceof Error ? error.stack : String(error)}`];
  }
}

function noCounts(): Counts {
  return { died: 0, bytes: 0, inodes: 0, paths: 0, extents: 0 };
}

test(
  `openXfsMap() tells owners, paths and extents as xfs_db does, on ${IMAGES} random images`,
  { timeout: 60_000 + IMAGES * 30_000 },
  async (context) => {
    requirePrograms(context, "mkfs.xfs", "xfs_db", "xfs_admin");
    const counts = noCounts();
    const wrong: string[] = [];
    for (let seed = SEED; seed < SEED + IMAGES && wrong.length < 40; seed += 1)
      wrong.push(...(await compareSeed(seed, counts)));
    console.log(
      `XFS map against xfs_db: seeds ${SEED} to ${SEED + IMAGES - 1}: ${JSON.stringify(counts)}`,
    );
    expect(wrong).toEqual([]);
    expect(counts.died).toBeLessThanOrEqual(Math.ceil(IMAGES / 20));
    expect(counts.inodes).toBeGreaterThanOrEqual((IMAGES - counts.died) * 50);
  },
);

test.each(XFS_FIXTURES)(
  "openXfsMap() tells owners, paths and extents of an image that Linux filled as xfs_db does: %s",
  async (name) => {
    const path = scratch.path(`${name}.img`);
    writeFileSync(path, fixtureBytes(name));
    expect(await compareImage(path, noCounts())).toEqual([]);
  },
);
