/** mbr: primary and logical partitions, broken chains, and first sectors that are no table. */
import { describe, expect, test } from "vitest";
import type { ByteRange } from "../../src/base/index.ts";
import { readPartitionTable, type PartitionLayout } from "../../src/mapper/index.ts";
import { fakeDisk, mbrSector } from "./support/fake-disk.ts";

const SECTORS = 8192;

async function read(
  bytes: Uint8Array,
  poisoned: readonly ByteRange[] = [],
): Promise<PartitionLayout> {
  return readPartitionTable(fakeDisk(bytes, poisoned));
}

function messages(layout: PartitionLayout): string {
  return layout.problems.map((problem) => problem.message).join("\n");
}

/** Two primaries and an extended partition with three logical ones. */
function disk(): Uint8Array {
  const bytes = new Uint8Array(SECTORS * 512);
  mbrSector(bytes, [
    { slot: 0, type: 0x83, first: 63, count: 937, bootable: 0x80 },
    { slot: 1, type: 0x0f, first: 2000, count: 4000 },
    { slot: 3, type: 0x82, first: 7000, count: 100 },
  ]);
  const links = [2000, 3000, 4000];
  for (const [at, link] of links.entries()) {
    const next = links[at + 1];
    const chain = next === undefined ? [] : [{ slot: 1, type: 5, first: next - 2000, count: 500 }];
    mbrSector(bytes, [{ slot: 0, type: 0x83, first: 8, count: 400 }, ...chain], link * 512);
  }
  return bytes;
}

describe("readPartitionTable() of an MBR", () => {
  test("gives primary and logical partitions, numbered as Linux does", async () => {
    const { table, problems } = await read(disk());
    expect(problems).toEqual([]);
    expect(table).toMatchObject({ kind: "mbr", uuid: "8f3b1c2a", complete: true, sectorSize: 512 });
    expect(
      table?.partitions.map(({ index, offset, length }) => [index, offset / 512, length / 512]),
    ).toEqual([
      [1, 63, 937],
      [5, 2008, 400],
      [6, 3008, 400],
      [7, 4008, 400],
      [4, 7000, 100],
    ]);
    expect(table?.partitions[1]).toMatchObject({ type: "0x83", uuid: "8f3b1c2a-05" });
    expect(table?.occupied.map(({ offset }) => offset / 512)).toEqual([0, 2000, 3000, 4000]);
  });

  test("counts in sectors of 4096 bytes where file systems stand there", async () => {
    const bytes = new Uint8Array(SECTORS * 512);
    mbrSector(bytes, [{ slot: 0, type: 0x83, first: 256, count: 512 }]);
    bytes.set(Buffer.from("XFSB"), 256 * 4096);
    const { table } = await read(bytes);
    expect(table).toMatchObject({ sectorSize: 4096, partitions: [{ offset: 256 * 4096 }] });
  });

  test("stops at a cycle in the chain", async () => {
    const bytes = disk();
    mbrSector(bytes, [{ slot: 1, type: 5, first: 1000, count: 10 }], 4000 * 512);
    const layout = await read(bytes);
    expect(messages(layout)).toContain("cycle");
    expect(layout.table).toMatchObject({ complete: false });
    expect(layout.table?.partitions).toHaveLength(5);
  });

  test("stops at a chain without end", async () => {
    const bytes = new Uint8Array(SECTORS * 512);
    mbrSector(bytes, [{ slot: 0, type: 5, first: 1, count: SECTORS - 1 }]);
    for (let link = 1; link < SECTORS - 1; link += 1) {
      mbrSector(bytes, [{ slot: 1, type: 5, first: link, count: 1 }], link * 512);
    }
    const layout = await read(bytes);
    expect(messages(layout)).toContain("over 1024 links");
  });

  test.each([
    ["is poisoned", [{ offset: 3000 * 512 + 510, length: 2 }], (bytes: Uint8Array) => bytes],
    ["has no signature", [], (bytes: Uint8Array) => bytes.fill(0, 3000 * 512, 3001 * 512)],
  ])("keeps what it has where a link %s", async (what, poisoned, change) => {
    const layout = await read(change(disk()), poisoned);
    expect(messages(layout)).toContain(what);
    expect(layout.table?.complete).toBe(false);
    expect(layout.table?.partitions.map(({ index }) => index)).toEqual([1, 5, 4]);
  });

  test("loses only the partition whose entry is poisoned", async () => {
    const layout = await read(disk(), [{ offset: 446 + 48 + 9, length: 1 }]);
    expect(messages(layout)).toContain("Entry 4");
    expect(layout.table?.complete).toBe(false);
    expect(layout.table?.partitions.map(({ index }) => index)).toEqual([1, 5, 6, 7]);
  });

  test("does not know partition uuids where the disk signature is poisoned", async () => {
    const { table } = await read(disk(), [{ offset: 440, length: 4 }]);
    expect(table).toMatchObject({ uuid: "", complete: true });
    expect(table?.partitions.every(({ uuid }) => uuid === "")).toBe(true);
  });

  test("refuses a logical partition outside its extended one, and a link past the disk", async () => {
    const bytes = disk();
    mbrSector(
      bytes,
      [
        { slot: 0, type: 0x83, first: 8, count: 5000 },
        { slot: 1, type: 5, first: 0xffffff00, count: 1 },
      ],
      3000 * 512,
    );
    const layout = await read(bytes);
    expect(messages(layout)).toContain("outside its extended partition");
    expect(messages(layout)).toContain("leaves the disk");
    expect(layout.table?.partitions.map(({ index }) => index)).toEqual([1, 5, 4]);
  });

  test("does not know whether a table is there where the end of the first sector is poisoned", async () => {
    const layout = await read(disk(), [{ offset: 500, length: 12 }]);
    expect(layout).toMatchObject({ table: undefined, certain: false });
    expect(messages(layout)).toContain("is unknown");
  });
});

describe("readPartitionTable() of a superfloppy", () => {
  test.each([
    ["an empty disk", () => new Uint8Array(65_536)],
    ["55 AA and nothing else", () => signed(() => {})],
    ["boot code over the entries", () => signed((bytes) => bytes.fill(0xb8, 446, 510))],
    ["a FAT32 boot sector over entries that look right", () => fat(82, "FAT32   ")],
    ["a FAT16 boot sector", () => fat(54, "FAT16   ")],
    ["an NTFS boot sector", () => fat(3, "NTFS    ")],
    ["an exFAT boot sector", () => fat(3, "EXFAT   ")],
  ])("finds no table in %s", async (_what, make) => {
    expect(await read(make())).toEqual({ table: undefined, certain: true, problems: [] });
  });
});

function signed(change: (bytes: Uint8Array) => void): Uint8Array {
  const bytes = new Uint8Array(65_536);
  change(bytes);
  bytes.set([0x55, 0xaa], 510);
  return bytes;
}

function fat(at: number, name: string): Uint8Array {
  const bytes = new Uint8Array(65_536);
  mbrSector(bytes, [{ slot: 0, type: 0x0c, first: 1, count: 100 }]);
  bytes.set(Buffer.from(name), at);
  return bytes;
}
