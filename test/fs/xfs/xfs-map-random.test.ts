/**
 * openXfsMap() on images of random forms: owners are what xfs_db says, and what random poison took a repair from a copy brings back.
 * `XFS_IMAGES=200` makes more, `SEED=123` others.
 */
import { copyFileSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { createPrng } from "../../../src/base/index.ts";
import { openFileMap } from "../../../src/fs/index.ts";
import { openXfsMap } from "../../../src/fs/xfs/index.ts";
import { theriac, theriacJson, useWorkplace } from "../../cli/support/theriac.ts";
import { fileSource, run, Scratch } from "../ext4/scratch.ts";
import { blockUses, differences } from "./support/compare-blocks.ts";
import { randomOptions } from "./support/random-options.ts";
import { hasXfsPrograms, xfsImage } from "./support/xfs-images.ts";

const SEED = Number(process.env["SEED"] ?? 1);
const IMAGES = Number(process.env["XFS_IMAGES"] ?? 3);
const POISONED = 12;
const place = useWorkplace();
const scratch = new Scratch();
afterAll(() => scratch.dispose());

/** What xfs_repair finds, without what differs from run to run. */
function findings(image: string): readonly string[] {
  const text = run("xfs_repair", ["-n", "-f", image], 1);
  return text.replaceAll(/0x\w+/g, "").split("\n").sort();
}

describe.skipIf(!hasXfsPrograms)("random images (needs xfsprogs)", () => {
  const seeds = Array.from({ length: IMAGES }, (_, index) => SEED * 1000 + index);

  test.each(seeds)(
    "owners, and repair after random poison (seed %d)",
    { timeout: 120_000 },
    async (seed) => {
      const prng = createPrng(seed);
      const { options } = randomOptions(prng);
      const story = options.join(" ");
      const { path } = xfsImage(scratch, `${seed}.img`, { options, seed, size: 80 * 2 ** 20 });
      const map = await openFileMap(fileSource(path));
      const whole = [{ offset: 0, length: map.size }];
      const owned = await map.owners(whole);
      expect(differences(owned, blockUses(path), map.blockSize), story).toEqual([]);
      const byReverseMap = await openXfsMap(fileSource(path), { source: "reverse-map" });
      expect(await byReverseMap.owners(whole), story).toEqual(owned);

      const image = join(place.folder, `${seed}.img`);
      copyFileSync(path, image);
      await theriac(["create", image, "--adopt", "--poison-unit", "512", "--clear-unit", "512"]);
      const used = owned.filter(
        ({ owners }) =>
          owners[0]!.kind === "file" ||
          owners[0]!.kind === "directory" ||
          owners[0]!.what === "inode",
      );
      for (let count = 0; count < POISONED; count += 1) {
        const { offset, length } = prng.pick(used);
        const at = offset + prng.below(length);
        await theriac(["inject", image, "--at", String(at - (at % 512)), "--length", "512"]);
      }
      const survey = await theriacJson(["survey", image]);
      expect(survey.code, story).toBe(1);
      const repaired = await theriacJson(["repair", image, "--from", path]);
      expect(repaired, story).toMatchObject({ code: 0, document: { missing: 0 } });
      expect(Buffer.compare(readFileSync(image), readFileSync(path)), story).toBe(0);
      expect(findings(image), story).toEqual(findings(path));
    },
  );
});
