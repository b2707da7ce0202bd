/** repair: copies of one image that heal each other, with the damage of PMDK's, btrfs' and ZFS' own tests, in sectors of one file. */
import { describe, expect, test } from "vitest";
import { imageDonor, type Donor } from "../../../src/donor/index.ts";
import { repair, repairExitCode } from "../../../src/rescue/index.ts";
import { memoryTarget, placeOf, treeImage, type MemoryTarget } from "../support/tree.ts";

const SECTOR = 512;
const BIG = "/docs/big.bin";
const pristine = treeImage();

/** First sector and count, in the file. */
type Bad = readonly [first: number, count: number];

async function copyWith(bad: readonly Bad[]): Promise<MemoryTarget> {
  const target = await memoryTarget(treeImage());
  for (const [first, count] of bad) {
    for (let sector = first; sector < first + count; sector += 1) {
      const offset = await placeOf(target.map, BIG, sector * SECTOR);
      target.device.inject({ offset, length: SECTOR });
    }
  }
  return target;
}

function donorOf(target: MemoryTarget, name: string): Donor {
  const { device, map } = target;
  const volumes = [{ device, offset: 0, length: device.size, map }];
  return imageDonor({ name, device, volumes, close: () => undefined });
}

/** Heals each copy from the others, in turn. @returns bytes that are missing in each afterwards */
async function healAll(copies: readonly MemoryTarget[]): Promise<readonly number[]> {
  const donors = copies.map((copy, index) => donorOf(copy, `copy ${index}`));
  const missing: number[] = [];
  for (const [index, target] of copies.entries()) {
    const result = await repair({ target, donors: donors.filter((_, other) => other !== index) });
    expect(repairExitCode(result)).toBe(result.missing === 0 ? 0 : 1);
    expect(result.moved).toEqual([]);
    missing.push(result.missing);
  }
  return missing;
}

function checkWhole(copies: readonly MemoryTarget[]): void {
  for (const { bytes } of copies) expect(Buffer.compare(bytes, pristine)).toBe(0);
}

describe("repair() of copies from each other", () => {
  test.each<[string, readonly (readonly Bad[])[]]>([
    ["S56: eight bad sectors of one copy", [[[1000, 8]], []]],
    ["S57: each misses another sector", [[[125, 1]], [[126, 1]]]],
    [
      "S59: three copies, another donor for each sector",
      [
        [[125, 2]],
        [[126, 2]],
        [
          [125, 1],
          [127, 1],
        ],
      ],
    ],
    [
      "S60: two parts, interleaved holes in three copies",
      [
        [
          [1000, 125],
          ...[999, 1002, 1004, 1006, 1008, 1010, 1124].map((at): Bad => [at + 1400, 1]),
          [2400, 1],
          [2525, 1],
        ],
        [
          [999, 2],
          [1002, 1],
          [1004, 1],
          [1006, 1],
          [1008, 1],
          [1010, 1],
          [1124, 2],
          [2402, 100],
        ],
        [
          [875, 4],
          [1125, 4],
          [2275, 4],
          [2525, 4],
        ],
      ],
    ],
    [
      "S61: overlapping halves of 256 KiB in three copies",
      [
        [[1024, 256]],
        [[1152, 256]],
        [
          [1024, 128],
          [1280, 256],
        ],
      ],
    ],
    ["S63: another stripe of each of two mirrors", [[[128, 128]], [[256, 128]]]],
  ])("%s: all of all copies is restored", async (_, bads) => {
    const copies = await Promise.all(bads.map(copyWith));
    const missing = await healAll(copies);
    expect(missing).toEqual(copies.map(() => 0));
    checkWhole(copies);
  });

  test("S58: R9: what both miss is told as missing, and all else is restored", async () => {
    const copies = await Promise.all([copyWith([[125, 2]]), copyWith([[126, 2]])]);
    expect(await healAll(copies)).toEqual([SECTOR, SECTOR]);
    for (const { device, map } of copies) {
      const at = await placeOf(map, BIG, 126 * SECTOR);
      expect([...device.poison.bad({ offset: 0, length: device.size })]).toEqual([
        { offset: at, length: SECTOR, state: "poisoned" },
      ]);
    }
  });

  test("S62: two copies bad at the same place: told, with a bounded number of reads", async () => {
    const copies = await Promise.all([copyWith([[200, 8]]), copyWith([[200, 8]])]);
    const [target, other] = copies;
    let reads = 0;
    const device = new Proxy(other.device, {
      get: (object, key) => {
        if (key === "read") reads += 1;
        const value: unknown = Reflect.get(object, key, object);
        return typeof value === "function" ? value.bind(object) : value;
      },
    });
    const result = await repair({ target, donors: [donorOf({ ...other, device }, "the other")] });
    expect(result).toMatchObject({ missing: 8 * SECTOR, sums: { repaired: 0 } });
    expect(repairExitCode(result)).not.toBe(0);
    expect(reads).toBeLessThan(200);
  });

  test("S65: damage in two of three copies is restored, and a second run repairs 0 bytes", async () => {
    const copies = await Promise.all([copyWith([[300, 64]]), copyWith([[320, 64]]), copyWith([])]);
    expect(await healAll(copies)).toEqual([0, 0, 0]);
    checkWhole(copies);
    const donors = copies.slice(1).map((copy) => donorOf(copy, "copy"));
    const [target] = copies as [MemoryTarget, ...MemoryTarget[]];
    expect(await repair({ target, donors })).toMatchObject({ sums: { bad: 0, repaired: 0 } });
  });

  test.each([2, 0, 1000])(
    "S71: R4: 250 sectors from %i on that a record calls lost are restored from the donor, though the medium reads well",
    async (first) => {
      const [target, donor] = await Promise.all([copyWith([]), copyWith([])]);
      const offset = await placeOf(target.map, BIG, first * SECTOR);
      const lost = { offset, length: 250 * SECTOR };
      // Somebody cleared it and stored nothing: the medium gives zeros.
      target.bytes.fill(0, offset, offset + lost.length);
      target.device.recordBad(lost, "lost");
      const result = await repair({ target, donors: [donorOf(donor, "good")] });
      expect(result).toMatchObject({ missing: 0, sums: { repaired: lost.length } });
      checkWhole([target]);
    },
  );
});
