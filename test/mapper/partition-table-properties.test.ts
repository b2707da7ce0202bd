/** Mutated tables: whatever a disk says, what is told as a partition lies inside the disk and apart from all others. */
import { describe, expect, test } from "vitest";
import { createPrng, endOf, type ByteRange } from "../../src/base/index.ts";
import { readPartitionTable } from "../../src/mapper/index.ts";
import { fakeDisk, gptDisk, mbrSector, sealHeader } from "./support/fake-disk.ts";

const SEED = Number(process.env["SEED"] ?? Date.now() % 2 ** 31);
const ROUNDS = 1500;

function gpt(): Uint8Array {
  const entries = [0, 1, 2, 3].map((slot) => ({
    slot,
    first: 64 + slot * 100,
    last: 150 + slot * 100,
  }));
  return gptDisk({ sectors: 512, entries, entryCount: 16 });
}

function mbr(): Uint8Array {
  const bytes = new Uint8Array(512 * 512);
  mbrSector(bytes, [
    { slot: 0, type: 0x83, first: 8, count: 60 },
    { slot: 1, type: 5, first: 100, count: 400 },
  ]);
  for (const link of [100, 200, 300]) {
    mbrSector(
      bytes,
      [
        { slot: 0, type: 0x83, first: 4, count: 50 },
        { slot: 1, type: 5, first: link, count: 50 },
      ],
      link * 512,
    );
  }
  return bytes;
}

describe("readPartitionTable() of mutated disks", () => {
  test(`R1: tells only partitions that a disk can have; SEED=${SEED}`, async () => {
    const prng = createPrng(SEED);
    const edges = [0, 1, 0x7f, 0x80, 0xff];
    for (let round = 0; round < ROUNDS; round += 1) {
      const bytes = prng.chance(0.5) ? gpt() : mbr();
      const zones = [
        446,
        512,
        1024,
        100 * 512 + 446,
        200 * 512 + 446,
        bytes.length - 512,
        bytes.length - 5 * 512,
      ];
      for (let change = prng.below(8); change > 0; change -= 1) {
        const at = prng.pick(zones) + prng.below(96);
        bytes[Math.min(at, bytes.length - 1)] = prng.chance(0.5)
          ? prng.pick(edges)
          : prng.below(256);
      }
      if (prng.chance(0.5)) sealHeader(bytes, 512);
      const poisoned: ByteRange[] = prng.chance(0.5)
        ? []
        : [{ offset: prng.pick(zones) - 10, length: 1 + prng.below(64) }];
      const { table } = await readPartitionTable(fakeDisk(bytes, poisoned));
      let end = 0;
      for (const partition of table?.partitions ?? []) {
        expect(partition.offset, `round ${round}`).toBeGreaterThanOrEqual(end);
        expect(partition.length).toBeGreaterThan(0);
        end = endOf(partition);
      }
      expect(end).toBeLessThanOrEqual(bytes.length);
      expect(
        table?.complete !== false || table.problems.length > 0,
        "incomplete without a reason",
      ).toBe(true);
    }
  });
});
