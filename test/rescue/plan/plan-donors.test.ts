/** plan: several donors at once: each range from whichever is best, together where none has it alone, and no byte of theirs read that is not needed. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { StorageError } from "../../../src/base/index.ts";
import { createMemoryDevice } from "../../../src/device/index.ts";
import {
  digestTree,
  imageDonor,
  openDirectoryDonor,
  type Donor,
} from "../../../src/donor/index.ts";
import { digestSource, makePlan, repair } from "../../../src/rescue/index.ts";
import {
  FILES,
  memoryTarget,
  placeOf,
  removeTemporary,
  targetOf,
  temporary,
  treeImage,
  writeTree,
} from "../support/tree.ts";

afterAll(removeTemporary);

const BIG = "/docs/big.bin";

function backup(change?: Parameters<typeof writeTree>[1]): string {
  const root = temporary();
  writeTree(root, change);
  return root;
}

async function digestOf(root: string): Promise<string> {
  let text = "";
  for await (const piece of digestTree(root)) text += piece;
  const path = join(temporary(), "digest.json");
  writeFileSync(path, text);
  return path;
}

async function imageOf(
  bytes: Uint8Array,
  name: string,
  bad: readonly { offset: number; length: number }[] = [],
): Promise<Donor> {
  const device = createMemoryDevice({ bytes, name, poisonUnit: 512, clearUnit: 512 });
  for (const range of bad) device.inject(range);
  const { map } = await targetOf(device);
  return imageDonor({
    name,
    device,
    volumes: [{ device, offset: 0, length: bytes.length, map }],
    close: () => undefined,
  });
}

/** The same donor; every read of its files is noted, as ranges by path. */
function counted(donor: Donor, reads: { path: string; offset: number; length: number }[]): Donor {
  return {
    name: donor.name,
    kind: "directory",
    volume: () => undefined,
    close: () => donor.close(),
    async file(path, uuid) {
      const file = await donor.file(path, uuid);
      if (file === undefined) return undefined;
      return {
        name: file.name,
        size: file.size,
        modifiedNs: file.modifiedNs,
        close: () => file.close(),
        read: (into, offset) => {
          reads.push({ path, offset, length: into.length });
          return file.read(into, offset);
        },
      };
    },
  };
}

describe("makePlan() with several donors", () => {
  test("takes proven bytes of a later donor before consistent ones of an earlier", async () => {
    const target = await memoryTarget(treeImage());
    const at = await placeOf(target.map, BIG, 65_536);
    target.device.inject({ offset: at, length: 1024 });
    // It has half of the hole, which no digest can prove alone.
    const half = await imageOf(treeImage(), "half", [{ offset: at, length: 512 }]);
    const good = backup();
    const donors = [half, openDirectoryDonor(good)];
    const digests = digestSource(await digestOf(good), []);
    const plan = await makePlan(target, donors, { digests });
    expect(plan.steps).toMatchObject([{ length: 1024, grade: "proven", donor: { index: 1 } }]);
    const unknown = await makePlan(target, donors);
    expect(unknown.steps).toMatchObject([
      { length: 512, grade: "consistent", donor: { index: 1 } },
      { length: 512, grade: "consistent", donor: { index: 0 } },
    ]);
  });

  test("proves by a digest what only two donors together have (S59)", async () => {
    const target = await memoryTarget(treeImage());
    const pristine = Uint8Array.from(target.bytes);
    const at = await placeOf(target.map, BIG, 65_536);
    target.device.inject({ offset: at, length: 2048 });
    const donors = [
      await imageOf(treeImage(), "first", [{ offset: at, length: 1024 }]),
      await imageOf(treeImage(), "second", [{ offset: at + 1024, length: 1024 }]),
    ];
    const digests = digestSource(await digestOf(backup()), []);
    const result = await repair({ target, donors }, { trust: "proven", digests });
    expect(result.steps).toMatchObject([
      { offset: at, length: 1024, grade: "proven", donor: { index: 1 } },
      { offset: at + 1024, length: 1024, grade: "proven", donor: { index: 0 } },
    ]);
    expect(Buffer.compare(target.bytes, pristine)).toBe(0);
  });

  test("asks the next image for a directory block that a checksum contradicts", async () => {
    const target = await memoryTarget(treeImage());
    const pristine = Uint8Array.from(target.bytes);
    const [root] = await target.map.extents(2);
    const at = root?.device ?? 0;
    target.device.inject({ offset: at, length: 512 });
    const rotten = treeImage();
    rotten[at + 20] = (rotten[at + 20] ?? 0) ^ 0x40;
    const donors = [await imageOf(rotten, "rotten"), await imageOf(treeImage(), "whole")];
    const result = await repair({ target, donors });
    expect(result.steps).toMatchObject([{ grade: "proven", donor: { index: 1 } }]);
    expect(Buffer.compare(target.bytes, pristine)).toBe(0);
    const alone = await memoryTarget(treeImage());
    alone.device.inject({ offset: at, length: 512 });
    const refused = await repair({ target: alone, donors: donors.slice(0, 1) });
    expect(refused.steps).toMatchObject([
      { action: "refused", reason: expect.stringContaining("checksum") },
    ]);
  });

  test("S66: reads of its donors only the damaged ranges and their neighbours", async () => {
    const target = await memoryTarget(treeImage());
    const holes: { path: string; offset: number }[] = [];
    for (const [path, every] of [
      [BIG, 98_304],
      ["/docs/archive.bin", 65_536],
    ] as const) {
      for (let offset = 32_768; offset < (FILES.get(path)?.length ?? 0) - 8192; offset += every) {
        target.device.inject({ offset: await placeOf(target.map, path, offset), length: 512 });
        holes.push({ path, offset });
      }
    }
    const reads: { path: string; offset: number; length: number }[] = [];
    const donors = [backup(), backup(), backup()].map((root) =>
      counted(openDirectoryDonor(root), reads),
    );
    const result = await repair({ target, donors });
    expect(result).toMatchObject({ missing: 0, sums: { repaired: holes.length * 512 } });
    for (const { path, offset, length } of reads) {
      const near = holes.some(
        (hole) =>
          hole.path === path &&
          offset >= hole.offset - 16_384 &&
          offset + length <= hole.offset + 512 + 16_384,
      );
      expect(near, `${path} ${offset} + ${length}`).toBe(true);
    }
    // Once for the evidence on both sides, once to hash what is planned, once to write it.
    const bytes = reads.reduce((sum, { length }) => sum + length, 0);
    expect(bytes / holes.length).toBeLessThan(4 * 4096);
  });

  test("passes a donor over that fails, and says why where nobody else has the bytes", async () => {
    const broken: Donor = {
      name: "broken",
      kind: "directory",
      file: () => {
        throw new StorageError("EIO", "Cannot read broken: it is gone");
      },
      volume: () => undefined,
      close: () => undefined,
    };
    const target = await memoryTarget(treeImage());
    target.device.inject({ offset: await placeOf(target.map, BIG, 700_000), length: 512 });
    const alone = await makePlan(target, [broken]);
    expect(alone.steps).toMatchObject([
      { action: "refused", reason: expect.stringContaining("it is gone") },
    ]);
    const both = await makePlan(target, [broken, openDirectoryDonor(backup())]);
    expect(both.steps).toMatchObject([{ action: "write", donor: { index: 1 } }]);
  });
});
