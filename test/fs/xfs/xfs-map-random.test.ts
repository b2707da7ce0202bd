/**
 * openXfsMap() under random poison: images of random forms and those that Linux filled, with what files share, are surveyed, salvaged around what is bad, and
 * repaired from a copy to the byte; xfs_repair finds nothing new. `XFS_REPAIRS=100` makes more, `SEED=123` others.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { createPrng, type ByteRange, type Prng } from "../../../src/base/index.ts";
import { openFileMap, type FileMap, type OwnedRange } from "../../../src/fs/index.ts";
import { theriac, theriacJson, useWorkplace } from "../../cli/support/theriac.ts";
import { load, memorySource, run, Scratch } from "../ext4/scratch.ts";
import { fixtureBytes, XFS_FIXTURES } from "./support/fixture.ts";
import { randomOptions } from "./support/random-options.ts";
import { hasXfsPrograms, xfsImage } from "./support/xfs-images.ts";

const SEED = Number(process.env["SEED"] ?? 1);
const IMAGES = Number(process.env["XFS_REPAIRS"] ?? 2);
const POISONED = 14;
/** By the superblock a donor is known to be of the same generation; a repair leaves backups of it to xfs_repair. */
const SPARED = new Set(["superblock", "superblock-backup"]);
/** Each repair brings back metadata that tells whose the rest is. */
const ROUNDS = 4;
const place = useWorkplace();
const scratch = new Scratch();
afterAll(() => scratch.dispose());

/** What xfs_repair finds, without what differs from run to run. */
function findings(image: string): readonly string[] {
  const text = run("xfs_repair", ["-n", "-f", image], 1);
  return text.replaceAll(/0x\w+/g, "").split("\n").sort();
}

/** Sectors of what is not free, of every kind as often as any other, ascending. */
function sectors(owned: readonly OwnedRange[], prng: Prng): readonly ByteRange[] {
  const kinds = new Map<string, OwnedRange[]>();
  for (const range of owned) {
    const { kind, what } = range.owners[0]!;
    const spared = kind === "free" || kind === "journal" || SPARED.has(what);
    if (spared || (kind === "slack" && what !== "file-slack")) continue;
    kinds.set(what, [...(kinds.get(what) ?? []), range]);
  }
  const starts = new Set<number>();
  for (let count = 0; count < POISONED; count += 1) {
    const { offset, length } = prng.pick(kinds.get(prng.pick([...kinds.keys(), "data"]))!);
    const at = offset + prng.below(length);
    starts.add(at - (at % 512));
  }
  return [...starts].sort((one, other) => one - other).map((offset) => ({ offset, length: 512 }));
}

/** Bytes of a file as the whole image has them, and which of them are on bad sectors. */
async function contentOf(
  map: FileMap,
  bytes: Uint8Array,
  { inode, bad }: { readonly inode: number; readonly bad: readonly ByteRange[] },
): Promise<{ readonly content: Buffer; readonly holes: number }> {
  const parts: Uint8Array[] = [];
  let holes = 0;
  for (const { kind, device, length } of await map.extents(inode)) {
    const there = kind === "data" || kind === "inline";
    const part = there ? bytes.slice(device, device! + length) : new Uint8Array(length);
    for (const range of there ? bad : []) {
      const from = Math.max(0, range.offset - device!);
      const to = Math.min(length, range.offset + range.length - device!);
      if (from >= to) continue;
      part.fill(0, from, to);
      holes += to - from;
    }
    parts.push(part);
  }
  return { content: Buffer.concat(parts), holes };
}

/** One image, poisoned at random: survey, salvage, repair. */
async function rescue(bytes: Uint8Array, name: string, prng: Prng): Promise<void> {
  const map = await openFileMap(memorySource(bytes));
  const owned = await map.owners([{ offset: 0, length: map.size }]);
  // mkfs.xfs 6.1 writes long targets of symbolic links without their header: such a block is believed only as long as it cannot be read.
  const sound = owned.filter(({ owners: [owner] }) => owner?.what !== "symlink-target");
  const bad = sectors(sound, prng);
  const [whole, image, out] = ["whole", "bad", "out"].map((end) =>
    join(place.folder, `${name}.${end}`),
  ) as [string, string, string];
  for (const path of [whole, image]) writeFileSync(path, bytes);
  await theriac(["create", image, "--adopt", "--poison-unit", "512", "--clear-unit", "512"]);
  const at = bad.flatMap(({ offset }) => ["--at", String(offset)]);
  expect((await theriac(["inject", image, ...at, "--length", "512"])).code).toBe(0);

  const survey = await theriacJson(["survey", image]);
  expect(survey).toMatchObject({ document: { filesystem: "xfs" } });
  await salvageFile({ map, bytes, bad }, { image, out, owned });

  for (let round = 1, missing = true; missing; round += 1) {
    const { code, document } = await theriacJson(["repair", image, "--from", whole]);
    expect(document, JSON.stringify(bad)).toMatchObject({ moved: [] });
    missing = code !== 0;
    expect(round, `${JSON.stringify(bad)}: ${JSON.stringify(document)}`).toBeLessThan(ROUNDS);
  }
  expect(Buffer.compare(readFileSync(image), bytes)).toBe(0);
  expect(findings(image)).toEqual(findings(whole));
}

/** Salvages the file that is hit first, if one is and the map still leads to it, and compares every byte. */
async function salvageFile(
  {
    map,
    bytes,
    bad,
  }: { readonly map: FileMap; readonly bytes: Uint8Array; readonly bad: readonly ByteRange[] },
  {
    image,
    out,
    owned,
  }: { readonly image: string; readonly out: string; readonly owned: readonly OwnedRange[] },
): Promise<void> {
  const hit = owned.find(
    ({ offset, length, owners: [owner] }) =>
      owner!.what === "data" &&
      owner!.paths!.length > 0 &&
      bad.some((range) => range.offset < offset + length && range.offset + 512 > offset),
  )?.owners[0];
  if (hit === undefined) return;
  const salvaged = await theriacJson(["salvage", image, out, "--file", hit.paths![0]!]);
  // Where its inode or the way to it is bad, the file cannot be named.
  if (salvaged.code === 3) return;
  const { content, holes } = await contentOf(map, bytes, { inode: hit.inode!, bad });
  // A block of its extent tree that is bad hides more than is bad of the file itself.
  const told = (salvaged.document["holes"] ?? []) as readonly ByteRange[];
  const bytesTold = told.reduce((sum, { length }) => sum + length, 0);
  expect(bytesTold).toBeGreaterThanOrEqual(holes);
  for (const { offset, length } of told) content.fill(0, offset, offset + length);
  expect(salvaged.code).toBe(bytesTold > 0 ? 1 : 0);
  expect(Buffer.compare(readFileSync(out), content), hit.paths![0]).toBe(0);
}

describe.skipIf(!hasXfsPrograms)("random poison (needs xfsprogs)", () => {
  const seeds = Array.from({ length: IMAGES }, (_, index) => SEED * 1000 + index);

  test.each(seeds)(
    "survey, salvage and repair of a random image (seed %d)",
    { timeout: 120_000 },
    async (seed) => {
      const prng = createPrng(seed);
      const { options } = randomOptions(prng);
      const { path } = xfsImage(scratch, `${seed}.img`, { options, seed, size: 80 * 2 ** 20 });
      await expect(rescue(load(path), `${seed}`, prng), options.join(" ")).resolves.toBeUndefined();
    },
  );

  test.each(XFS_FIXTURES)(
    `survey, salvage and repair of an image that Linux filled: %s (seed ${SEED})`,
    { timeout: 120_000 },
    async (name) => {
      await expect(rescue(fixtureBytes(name), name, createPrng(SEED))).resolves.toBeUndefined();
    },
  );
});
