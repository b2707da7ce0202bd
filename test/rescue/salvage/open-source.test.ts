/** Sources: a live one is looked into as an image is, and its used space comes first. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { RangeSet } from "../../../src/base/index.ts";
import { LiveDevice } from "../../../src/device/index.ts";
import {
  fileOfTarget,
  openSource,
  salvage,
  usedSpace,
  wholeTarget,
} from "../../../src/rescue/index.ts";
import { createCrashFiles } from "../../../src/testing/index.ts";
import { FILES, placeOf, removeTemporary, temporary, treeImage } from "../support/tree.ts";

afterAll(removeTemporary);

function imageFile(): string {
  const path = join(temporary(), "image");
  writeFileSync(path, treeImage());
  return path;
}

describe("openSource()", () => {
  test("reads a file as a live source where that is asked, and as an image elsewhere", async () => {
    const path = imageFile();
    const image = await openSource(path);
    expect(image.device).not.toBeInstanceOf(LiveDevice);
    await image.close();
    const live = await openSource(path, { direct: true });
    expect(live.device).toBeInstanceOf(LiveDevice);
    expect(live.volumes[0]?.map?.filesystem).toBe("ext4");
    await live.close();
  });

  test("gives one file of a live source", async () => {
    const live = await openSource(imageFile(), { direct: true });
    const files = createCrashFiles();
    const source = await fileOfTarget(live, "/docs/big.bin");
    const result = await salvage(source, "/d/out", { files });
    expect(result).toMatchObject({ salvaged: 1_500_000, bad: 0 });
    const out = files.open("/d/out");
    const bytes = new Uint8Array(1_500_000);
    out.readSync(bytes, 0);
    out.close();
    expect(Buffer.compare(bytes, FILES.get("/docs/big.bin") as Uint8Array)).toBe(0);
    await live.close();
  });
});

describe("usedSpace()", () => {
  test("names what files and metadata use, and not what is free", async () => {
    const target = await openSource(imageFile());
    const used = RangeSet.from(await usedSpace(target));
    const map = target.volumes[0]?.map;
    expect(map).toBeDefined();
    if (map === undefined) return;
    expect(used.covers(await placeOf(map, "/docs/big.bin", 8192), 4096)).toBe(true);
    expect(used.covers(0, 4096)).toBe(true);
    const free = await map.owners(used.gaps(0, target.device.size));
    expect(free.length).toBeGreaterThan(0);
    const kinds = new Set(free.flatMap(({ owners }) => owners.map(({ kind }) => kind)));
    expect([...kinds]).toEqual(["free"]);
    await target.close();
  });

  test("is copied first, and the rest afterwards", async () => {
    const target = await openSource(imageFile(), { direct: true });
    const used = await usedSpace(target);
    const whole = wholeTarget(target);
    const asked: number[] = [];
    const { attempts } = whole;
    if (attempts === undefined) throw new Error("A live source is read by attempts");
    const watched = {
      ...whole,
      attempts: {
        unit: attempts.unit,
        largest: attempts.largest,
        attempt: async (into: Uint8Array, offset: number) => {
          asked.push(offset);
          return attempts.attempt(into, offset);
        },
      },
    };
    const result = await salvage(watched, "/d/out", { files: createCrashFiles(), first: used });
    expect(result).toMatchObject({ salvaged: target.device.size, left: 0, outside: 0 });
    const rounded = RangeSet.from(
      used.map(({ offset, length }) => ({
        offset: offset - (offset % 262_144),
        length: length + (offset % 262_144) + 262_144,
      })),
    );
    const firstFree = asked.findIndex((offset) => !rounded.intersects(offset, 1));
    expect(firstFree).toBeGreaterThan(0);
    for (const offset of asked.slice(firstFree))
      expect(used.some((range) => range.offset === offset)).toBe(false);
    await target.close();
  });
});
