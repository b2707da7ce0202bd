/** raid: which legs count by their metadata, what is written there, and what is refused. */
import { describe, expect, test } from "vitest";
import { createMemoryDevice, type SimulatedDevice } from "../../../src/device/index.ts";
import { resyncMirrors } from "../../../src/mapper/index.ts";
import { copiesStack, type CopiesStack } from "../support/copies-map.ts";
import { DyingDevice } from "../support/dying-device.ts";

const SIZE = 65_536;
const TABLE = "0 128 raid raid1 3 0 region_size 8 2 am a bm b";
const NOSYNC = "0 128 raid raid1 4 0 nosync region_size 8 2 am a bm b";

type Leaves = Map<string, SimulatedDevice>;

async function open(table: string, leaves: Leaves = new Map()): Promise<CopiesStack> {
  return copiesStack({ top: table }, { size: SIZE, leaves });
}

function leafOf(leaves: Leaves, name: string): SimulatedDevice {
  return leaves.get(name) as SimulatedDevice;
}

async function bytesOf(leaves: Leaves, name: string): Promise<Buffer> {
  const bytes = Buffer.alloc(SIZE);
  await leafOf(leaves, name).read(bytes, 0);
  return bytes;
}

/** What a read of everything gives: the byte, where all are alike. */
async function firstByte({ top }: CopiesStack): Promise<number | undefined> {
  const into = new Uint8Array(512);
  const { missing } = await top.read(into, 0);
  return missing.length > 0 ? undefined : into[0];
}

/** A set that was written, closed, and whose leg a cannot be read any more. */
async function written(table = NOSYNC): Promise<Leaves> {
  const { top, leaves } = await open(table);
  await top.write(new Uint8Array(SIZE).fill(7), 0);
  await top.close();
  return leaves;
}

describe("metadata", () => {
  test("is dm-raid's superblock and md's bitmap, byte for byte, from the first write on", async () => {
    const { top, leaves } = await open(NOSYNC);
    expect((await bytesOf(leaves, "am")).every((byte) => byte === 0)).toBe(true);
    await top.write(new Uint8Array(512), 4096);
    const meta = await bytesOf(leaves, "bm");
    const ones = "ff".repeat(8);
    const sectors = "8000000000000000";
    const superblock = [
      "446d5264", // "DmRd"
      "01000000",
      "02000000",
      "01000000", // features, devices, position
      "0100000000000000",
      "0000000000000000", // events, failed
      ones, // recovered to the end
      "0000000000000000", // in sync up to here: this session writes
      "01000000",
      "00000000",
      "00000000",
      "00000000", // level 1, layout, stripe, flags
      ones, // no reshape
      "01000000",
      "00000000",
      "00000000",
      "00000000",
      sectors,
      "0000000000000000",
      "0000000000000000",
      sectors,
    ].join("");
    expect(meta.toString("hex", 0, superblock.length / 2)).toBe(superblock);
    const bitmap = [
      "6269746d",
      "04000000",
      "00".repeat(16),
      "0100000000000000",
      "0100000000000000",
      sectors,
      "00000000",
      "00100000",
      "05000000",
    ].join("");
    expect(meta.toString("hex", 4096, 4096 + bitmap.length / 2)).toBe(bitmap);
    expect(meta.toString("hex", 4096 + 256, 4096 + 258)).toBe("0200");
    await top.close();
    const closed = await bytesOf(leaves, "am");
    expect(closed.toString("hex", 4096 + 256, 4096 + 258)).toBe("0000");
    expect(closed.toString("hex", 40, 48)).toBe(ones);
  });

  test("a new set without nosync: only the first leg gives data", async () => {
    const { top, leaves } = await open(TABLE);
    leafOf(leaves, "a").write(new Uint8Array(SIZE).fill(3), 0);
    expect(await firstByte({ top } as CopiesStack)).toBe(3);
    leafOf(leaves, "a").inject({ offset: 0, length: 64 });
    expect((await top.read(new Uint8Array(64), 0)).missing).toHaveLength(1);
  });

  test("a device that the freshest superblock calls failed gives nothing, until a resync", async () => {
    const leaves = await written();
    const around = new Map<string, DyingDevice>();
    const { top } = await copiesStack(
      { top: NOSYNC },
      {
        size: SIZE,
        leaves,
        around: (leaf) => {
          const dying = new DyingDevice(leaf);
          around.set(leaf.identity.name, dying);
          return dying;
        },
      },
    );
    (around.get("a") as DyingDevice).death = "all";
    await top.write(new Uint8Array(512).fill(9), 0);
    await top.close();
    const again = await open(NOSYNC, leaves);
    expect(await firstByte(again)).toBe(9);
    leafOf(leaves, "b").inject({ offset: 0, length: 64 });
    expect(await firstByte(again), "leg a has old bytes").toBeUndefined();
    await again.top.write(new Uint8Array(512).fill(9), 0);
    const { left } = await resyncMirrors(again.table);
    expect(left).toBe(0);
    await again.top.close();
    const last = await open(NOSYNC, leaves);
    leafOf(leaves, "b").inject({ offset: 0, length: 64 });
    expect(await firstByte(last)).toBe(9);
  });

  test("a device that is behind, or whose superblock cannot be read, gives nothing", async () => {
    for (const spoil of [
      (meta: SimulatedDevice) => meta.write(new Uint8Array(8), 16),
      (meta: SimulatedDevice) => meta.inject({ offset: 0, length: 64 }),
    ]) {
      const leaves = await written();
      const { top } = await open(NOSYNC, leaves);
      await top.write(new Uint8Array(512).fill(7), 0);
      await top.close();
      spoil(leafOf(leaves, "am"));
      leafOf(leaves, "a").write(new Uint8Array(SIZE).fill(1), 0);
      expect(await firstByte(await open(NOSYNC, leaves))).toBe(7);
    }
  });

  test("where the bitmap has a bit the first leg is right; a bitmap that is of no use has all", async () => {
    const leaves = await written();
    leafOf(leaves, "am").write(Buffer.from([1]), 4096 + 256);
    leafOf(leaves, "a").write(new Uint8Array(512).fill(5), 0);
    const stack = await open(NOSYNC, leaves);
    expect(await firstByte(stack)).toBe(5);
    leafOf(leaves, "a").inject({ offset: 0, length: 64 });
    leafOf(leaves, "a").inject({ offset: 8192, length: 64 });
    expect(await firstByte(stack)).toBeUndefined();
    expect((await stack.top.read(new Uint8Array(64), 8192)).missing).toEqual([]);
    leafOf(leaves, "am").write(new Uint8Array(4), 4096);
    leafOf(leaves, "a").inject({ offset: 8192, length: 64 });
    const other = await open(NOSYNC, leaves);
    expect((await other.top.read(new Uint8Array(64), 8192)).missing).toHaveLength(1);
  });

  test("rebuild: the device gives nothing; without metadata all others do", async () => {
    const { top, leaves } = await open("0 128 raid raid1 3 0 rebuild 0 2 - a - b");
    leafOf(leaves, "b").write(new Uint8Array(SIZE).fill(4), 0);
    expect(await firstByte({ top } as CopiesStack)).toBe(4);
  });

  test("write_mostly: the device is read last", async () => {
    const { top, leaves } = await open("0 128 raid raid1 3 0 write_mostly 0 2 - a - b");
    leafOf(leaves, "b").write(new Uint8Array(SIZE).fill(4), 0);
    expect(await firstByte({ top } as CopiesStack)).toBe(4);
  });

  test("a missing device is called failed by the others, and is behind when it is back", async () => {
    const leaves = await written();
    const { top } = await open("0 128 raid raid1 4 0 nosync region_size 8 2 - - bm b", leaves);
    await top.write(new Uint8Array(512).fill(8), 0);
    await top.close();
    expect(await firstByte(await open(NOSYNC, leaves))).toBe(8);
  });
});

test.each([
  ["", "No arguments"],
  ["raid5_ls 1 8 3 - a - b - c", 'raid_type not supported: want raid1: got "raid5_ls"'],
  ["raid7 1 0 2 - a - b", "Unrecognised raid_type"],
  ["raid1 9 0 2 - a - b", "Cannot understand number of raid parameters"],
  ["raid1 1 x 2 - a - b", "Bad numerical argument given for chunk_size"],
  ["raid1 1 0 3 - a - b", "Cannot understand number of raid devices parameters"],
  ["raid1 1 0 2 - a - b more", "want 2 times META DATA"],
  ["raid1 1 0 2 am - - b", "No data device supplied with metadata device"],
  ["raid1 1 0 2 - - - -", "Insufficient number of devices"],
  ["raid1 3 0 sync nosync 2 - a - b", "sync and nosync are mutually exclusive"],
  ["raid1 4 0 sync rebuild 0 2 - a - b", "sync/nosync and rebuild are mutually exclusive"],
  ["raid1 3 0 rebuild 2 2 - a - b", "Invalid rebuild index given"],
  ["raid1 5 0 rebuild 0 rebuild 0 2 - a - b", "rebuild for this index already given"],
  ["raid1 5 0 rebuild 0 rebuild 1 2 - a - b", "Insufficient redundancy to activate array"],
  ["raid1 5 0 write_mostly 0 write_mostly 1 2 - a - b", "Can't set all raid1 devices"],
  ["raid1 3 0 stripe_cache 8 2 - a - b", "Inappropriate argument: stripe_cache"],
  ["raid1 3 0 delta_disks 1 2 - a - b", "Reshape not supported"],
  ["raid1 3 0 daemon_sleep -1 2 - a - b", "daemon sleep period out of range"],
  ["raid1 3 0 fast 1 2 - a - b", 'Unable to parse RAID parameter: got "fast"'],
  ["raid1 2 0 rebuild 2 - a - b", "Wrong number of raid parameters given"],
  ["raid1 3 0 region_size 9 2 - a - b", "Region size is not a power of 2"],
  ["raid1 3 0 region_size 256 2 - a - b", "Supplied region size is too large"],
])("raid %s is refused: %s", async (args, message) => {
  await expect(open(`0 128 raid ${args}`)).rejects.toThrow(message);
});

test.each([
  [48, "05000000", "want level 1: got 5"],
  [8, "03000000", "want 3 devices as the superblock says: got 2"],
  [4, "03000000", "Unknown flag(s) in compatible feature flags"],
  [144, "01000000", "No incompatible feature flags supported yet"],
  [60, "01000000", "Reshape not supported: want an array at rest"],
  [96, "01000000", "want data_offset 0"],
])("a superblock with %i: %s is refused: %s", async (at, hex, message) => {
  const leaves = await written();
  for (const meta of ["am", "bm"]) leafOf(leaves, meta).write(Buffer.from(hex, "hex"), at);
  await expect(open(NOSYNC, leaves)).rejects.toThrow(message);
});

test("a new device beside others that have a superblock is refused, and nothing is written", async () => {
  const leaves = await written();
  leaves.set("am", createMemoryDevice({ size: SIZE, name: "am" }));
  await expect(open(NOSYNC, leaves)).rejects.toThrow("New device injected into existing raid set");
  expect((await bytesOf(leaves, "am")).every((byte) => byte === 0)).toBe(true);
});
