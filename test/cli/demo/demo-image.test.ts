/** makeImage() and choosePlaces(): the demonstration works where the makers of file systems are missing, on the images that the package carries. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { makeImage } from "../../../src/cli/demo/demo-image.ts";
import { DEMO_FILESYSTEMS } from "../../../src/cli/demo/demo-makers.ts";
import { choosePlaces } from "../../../src/cli/demo/demo-places.ts";
import { createMemoryDevice } from "../../../src/device/index.ts";
import { openFileMap } from "../../../src/fs/index.ts";

const parent = mkdtempSync(join(tmpdir(), "theriac-demo-test-"));
afterAll(() => rmSync(parent, { recursive: true, force: true }));

describe.each(DEMO_FILESYSTEMS)("%s", (filesystem) => {
  const folder = join(parent, filesystem);

  test("makeImage() takes the carried image and a backup out of it; choosePlaces() finds forty places there", async () => {
    mkdirSync(folder);
    const { image, backup, made } = await makeImage(folder, undefined, filesystem);
    expect(made).toContain("carries");
    const map = await openFileMap(createMemoryDevice({ bytes: readFileSync(image) }));
    expect(map.filesystem).toBe(filesystem);
    let files = 0;
    for await (const info of map.files()) {
      if (info.kind !== "file" || info.paths[0] === undefined) continue;
      files += 1;
      const copy = statSync(join(backup, info.paths[0]));
      expect([info.paths[0], copy.size]).toEqual([info.paths[0], info.size]);
      expect(Math.floor(copy.mtimeMs / 1000)).toBe(Number(info.modifiedNs / 1_000_000_000n));
    }
    expect(files).toBeGreaterThan(40);
    const places = await choosePlaces(map, 2021);
    const aims = new Set<string>(places.map((place) => place.aim));
    for (const aim of ["directory", "file data", "free space", "inode", "slack"])
      expect(aims).toContain(aim);
    expect(places.length).toBeGreaterThanOrEqual(36);
    for (const [at, place] of places.entries()) {
      const before = places[at - 1];
      if (before !== undefined)
        expect(before.offset + before.length).toBeLessThanOrEqual(place.offset);
    }
  });

  test("choosePlaces() gives the same places for the same seed", async () => {
    const bytes = readFileSync(join(folder, "demo.img"));
    const map = await openFileMap(createMemoryDevice({ bytes }));
    expect(await choosePlaces(map, 7)).toEqual(await choosePlaces(map, 7));
  });
});
