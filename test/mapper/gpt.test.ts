/** gpt: every way in which one copy, or both, can be bad. */
import { describe, expect, test } from "vitest";
import type { ByteRange } from "../../src/base/index.ts";
import { readPartitionTable, type PartitionLayout } from "../../src/mapper/index.ts";
import { fakeDisk, gptDisk, sealHeader, type GptEntry } from "./support/fake-disk.ts";

const SECTORS = 4096;
const ENTRIES: readonly GptEntry[] = [
  { slot: 0, first: 64, last: 1063, name: "boot" },
  { slot: 4, first: 2000, last: 3999, name: "Wurzel ä" },
];
const EXPECTED = [
  { index: 1, offset: 64 * 512, length: 1000 * 512, name: "boot" },
  { index: 5, offset: 2000 * 512, length: 2000 * 512, name: "Wurzel ä" },
];

function disk(): Uint8Array {
  return gptDisk({ sectors: SECTORS, entries: ENTRIES });
}

async function read(
  bytes: Uint8Array,
  poisoned: readonly ByteRange[] = [],
): Promise<PartitionLayout> {
  return readPartitionTable(fakeDisk(bytes, poisoned));
}

function messages(layout: PartitionLayout): string {
  return layout.problems.map((problem) => problem.message).join("\n");
}

describe("readPartitionTable() of a GPT", () => {
  test("gives partitions, uuids and what the table takes", async () => {
    const { table, problems, certain } = await read(disk());
    expect(problems).toEqual([]);
    expect(certain).toBe(true);
    expect(table).toMatchObject({
      kind: "gpt",
      sectorSize: 512,
      source: "primary",
      complete: true,
    });
    expect(table?.uuid).toBe("33221100-5544-7766-8899-aabbccddeeff");
    expect(table?.partitions).toMatchObject(EXPECTED);
    expect(table?.partitions[0]).toMatchObject({
      type: "0fc63daf-8483-4772-8e79-3d69d8477de4",
      uuid: "01010101-0101-0101-0101-010101010101",
    });
    expect(table?.occupied).toEqual([
      { offset: 0, length: 34 * 512 },
      { offset: (SECTORS - 33) * 512, length: 33 * 512 },
    ]);
  });

  test.each([
    ["sectors of 4096 bytes", { sectorSize: 4096 }],
    ["entries of 256 bytes", { entrySize: 256 }],
    ["entries of 4096 bytes", { entrySize: 4096, entryCount: 5 }],
    ["512 entries", { entryCount: 512 }],
  ])("reads %s", async (_what, shape) => {
    const { sectorSize = 512 } = shape as { sectorSize?: number };
    const entries = [{ slot: 3, first: 600, last: 699, name: "x" }];
    const { table, problems } = await read(gptDisk({ sectors: 2000, entries, ...shape }));
    expect(problems).toEqual([]);
    expect(table?.sectorSize).toBe(sectorSize);
    expect(table?.partitions).toMatchObject([
      { index: 4, offset: 600 * sectorSize, length: 100 * sectorSize },
    ]);
  });

  const holes: readonly (readonly [string, ByteRange, "primary" | "backup"])[] = [
    ["a byte of the primary header", { offset: 512 + 60, length: 1 }, "backup"],
    ["the whole sector of the primary header", { offset: 512, length: 512 }, "backup"],
    ["the unused end of the header's sector", { offset: 512 + 92, length: 100 }, "primary"],
    ["a byte of the primary entries", { offset: 1024 + 300, length: 1 }, "backup"],
    ["the backup header", { offset: (SECTORS - 1) * 512, length: 512 }, "primary"],
    ["the backup entries", { offset: (SECTORS - 30) * 512, length: 512 }, "primary"],
  ];
  test.each(holes)("R1: reads around poison in %s", async (_what, hole, source) => {
    const { table } = await read(disk(), [hole]);
    expect(table).toMatchObject({ source, complete: true });
    expect(table?.partitions).toMatchObject(EXPECTED);
  });

  test("joins two arrays that miss different sectors, proven by their checksum", async () => {
    const apart = [
      { offset: 1024, length: 512 },
      { offset: (SECTORS - 33 + 1) * 512, length: 512 },
    ];
    const { table } = await read(disk(), apart);
    expect(table).toMatchObject({ source: "both", complete: true });
    expect(table?.partitions).toMatchObject(EXPECTED);
  });

  test("tells partitions as unknown where both arrays miss the same sector", async () => {
    const same = [
      { offset: 1024, length: 64 },
      { offset: (SECTORS - 33) * 512, length: 64 },
    ];
    const layout = await read(disk(), same);
    expect(layout.table).toMatchObject({ complete: false, partitions: [] });
    expect(messages(layout)).toContain("partitions are unknown");
  });

  test("uses the backup where the primary has a wrong checksum", async () => {
    const bytes = disk();
    bytes[512 + 41] = 9;
    const layout = await read(bytes);
    expect(layout.table).toMatchObject({ source: "backup", complete: true });
    expect(messages(layout)).toMatch(/primary header.*does not match its checksum/);
  });

  test("does not use a backup of another table", async () => {
    const bytes = disk();
    const other = gptDisk({ sectors: SECTORS, entries: [{ slot: 0, first: 100, last: 200 }] });
    bytes.set(other.subarray((SECTORS - 33) * 512), (SECTORS - 33) * 512);
    const layout = await read(bytes, [{ offset: 1024, length: 64 }]);
    expect(layout.table).toMatchObject({ complete: false, partitions: [] });
    expect(messages(layout)).toContain("another table");
  });

  test("believes a GPT behind a poisoned first sector, but says that this is not certain", async () => {
    const layout = await read(disk(), [{ offset: 0, length: 512 }]);
    expect(layout.certain).toBe(false);
    expect(layout.table?.partitions).toMatchObject(EXPECTED);
    expect(messages(layout)).toContain("The first sector cannot be read");
  });

  test("reads the first sector's table where only its boot code is poisoned", async () => {
    const layout = await read(disk(), [{ offset: 0, length: 440 }]);
    expect(layout.certain).toBe(true);
    expect(layout.table?.partitions).toMatchObject(EXPECTED);
  });

  test("ignores a GPT that no first sector protects, as Linux does", async () => {
    const bytes = disk();
    bytes.fill(0, 0, 512);
    expect(await read(bytes)).toMatchObject({ table: undefined, certain: true });
  });

  test("tells a GPT without any usable copy as unknown", async () => {
    const bytes = disk();
    bytes.fill(0, 512, 1024);
    bytes.fill(0, (SECTORS - 1) * 512);
    const layout = await read(bytes);
    expect(layout.table).toMatchObject({ complete: false, partitions: [] });
  });

  test("refuses partitions that overlap, that leave the disk, or that lie over the table", async () => {
    const entries = [
      { slot: 0, first: 100, last: 199 },
      { slot: 1, first: 150, last: 249 },
      { slot: 2, first: 160, last: 170 },
      { slot: 3, first: 4000, last: 5000 },
      { slot: 4, first: 10, last: 60 },
      { slot: 5, first: 300, last: 399 },
      { slot: 6, first: 900, last: 800 },
    ];
    const layout = await read(gptDisk({ sectors: SECTORS, entries }));
    expect(layout.table?.partitions.map((partition) => partition.index)).toEqual([6]);
    expect(layout.table?.complete).toBe(false);
    expect(layout.problems).toHaveLength(5);
  });

  test.each([
    ["a billion entries", 80, 0x7fffffff],
    ["entries of 4 GiB", 84, 0xffffff80],
    ["entries of 1 byte", 84, 1],
    ["entries of 129 bytes", 84, 129],
    ["no entries' size", 84, 0],
  ])("refuses a header that names %s", async (_what, field, value) => {
    const bytes = disk();
    for (const offset of [512, (SECTORS - 1) * 512]) {
      new DataView(bytes.buffer).setUint32(offset + field, value, true);
      sealHeader(bytes, offset);
    }
    const layout = await read(bytes);
    expect(layout.table).toMatchObject({ complete: false, partitions: [] });
    expect(messages(layout)).toContain("that cannot be");
  });

  test("refuses entries and a backup that stand past 2^53", async () => {
    const bytes = disk();
    const view = new DataView(bytes.buffer);
    view.setBigUint64(512 + 32, 0xffff_ffff_ffff_ffffn, true);
    view.setBigUint64(512 + 72, 0xffff_ffff_ffff_fff0n, true);
    sealHeader(bytes, 512);
    const layout = await read(bytes);
    expect(layout.table?.partitions).toEqual([]);
    for (const range of layout.table?.occupied ?? [])
      expect(range.offset + range.length).toBeLessThanOrEqual(bytes.length);
  });

  test("reads disks too small for anything", async () => {
    for (const size of [0, 1, 511, 512, 513, 1024, 4096]) {
      const bytes = disk().slice(0, size);
      const layout = await read(bytes);
      expect(layout.table?.partitions ?? []).toEqual([]);
    }
  });

  test("tells of a backup that a cut disk has lost, and of partitions past its end", async () => {
    const layout = await read(disk().slice(0, 3000 * 512));
    expect(layout.table?.partitions).toMatchObject([EXPECTED[0] as object]);
    expect(messages(layout)).toContain("past the end of the disk");
  });
});
