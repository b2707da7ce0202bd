/** Superblocks: decoding, nonsense refused by name, and backups where the primary is bad. */
import * as fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import type { BadRange } from "../../../src/base/index.ts";
import { StorageError } from "../../../src/base/index.ts";
import type { Problem } from "../../../src/fs/file-map.ts";
import { crc32c } from "../../../src/base/index.ts";
import { featureNames, unknownIncompatible } from "../../../src/fs/ext4/features.ts";
import {
  externalJournalUuid,
  findSuperblock,
  isExt4,
} from "../../../src/fs/ext4/superblock-search.ts";
import { decodeSuperblock, type Superblock } from "../../../src/fs/ext4/superblock.ts";
import { hasProgram, later, load, memorySource, poisoned, run, Scratch } from "./scratch.ts";

const scratch = new Scratch();
afterAll(() => scratch.dispose());

/** A superblock of one group, made by hand; fields as [offset, bytes wide, value]. */
function madeSuperblock(fields: readonly (readonly [number, number, number])[] = []): Uint8Array {
  const bytes = new Uint8Array(1024);
  const view = new DataView(bytes.buffer);
  const base: (readonly [number, number, number])[] = [
    [0x00, 4, 128],
    [0x04, 4, 1024],
    [0x14, 4, 1],
    [0x20, 4, 8192],
    [0x24, 4, 8192],
    [0x28, 4, 128],
    [0x38, 2, 0xef53],
    [0x4c, 4, 1],
    [0x54, 4, 11],
    [0x58, 2, 256],
    [0x68, 4, 0x12345678],
  ];
  for (const [offset, width, value] of [...base, ...fields]) {
    if (width === 2) view.setUint16(offset, value, true);
    else view.setUint32(offset, value, true);
  }
  return bytes;
}

function volumeOf(superblock: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(1024 * 1024);
  bytes.set(superblock, 1024);
  return bytes;
}

async function find(
  bytes: Uint8Array,
  bad: readonly BadRange[] = [],
): Promise<{ superblock: Superblock; problems: Problem[] }> {
  const problems: Problem[] = [];
  const superblock = await findSuperblock(memorySource(bytes, bad), (problem) =>
    problems.push(problem),
  );
  return { superblock, problems };
}

describe("decodeSuperblock", () => {
  test("decodeSuperblock() reads the fields of a hand-made superblock", () => {
    const result = decodeSuperblock(madeSuperblock(), "primary");
    expect(result.superblock).toMatchObject({
      blockSize: 1024,
      blockCount: 1024,
      groupCount: 1,
      inodeSize: 256,
      descriptorSize: 32,
      uuid: "78563412-0000-0000-0000-000000000000",
      source: "primary",
    });
  });

  const nonsense: readonly (readonly [string, readonly [number, number, number], RegExp])[] = [
    ["a block size of 2 GiB", [0x18, 4, 21], /block size/],
    ["an inode size of 100", [0x58, 2, 100], /inode size 100/],
    ["inodes larger than blocks", [0x58, 2, 2048], /inode size 2048/],
    ["no blocks a group", [0x20, 4, 0], /clusters a group/],
    ["more blocks a group than a bitmap has bits", [0x20, 4, 8193], /clusters a group/],
    ["no inodes a group", [0x28, 4, 0], /inodes a group/],
    ["inodes that are not groups times inodes a group", [0x00, 4, 129], /129 inodes/],
    ["no blocks at all", [0x04, 4, 0], /0 blocks/],
    ["a first data block of 7", [0x14, 4, 7], /first data block 7/],
    ["no magic number", [0x38, 2, 0x1234], /magic/],
  ];
  for (const [what, field, why] of nonsense) {
    test(`decodeSuperblock() refuses ${what}, and findSuperblock() says why`, async () => {
      expect(decodeSuperblock(madeSuperblock([field]), "primary").superblock).toBeUndefined();
      const error = await find(volumeOf(madeSuperblock([field]))).catch(
        (caught: unknown) => caught,
      );
      expect(error).toBeInstanceOf(StorageError);
      expect(error).toMatchObject({ code: "EBADMSG" });
      expect((error as Error).message).toMatch(why);
    });
  }

  test("decodeSuperblock() refuses 2^60 blocks before anything is allocated", () => {
    const bytes = madeSuperblock([
      [0x60, 4, 0x80],
      [0xfe, 2, 64],
      [0x150, 4, 2 ** 28],
      [0x18, 4, 2],
      [0x14, 4, 0],
    ]);
    expect(decodeSuperblock(bytes, "primary")).toMatchObject({ superblock: undefined });
  });

  test("decodeSuperblock() never throws, whatever the bytes", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(1023), fc.nat(255)), { maxLength: 40 }), (changes) => {
        const bytes = madeSuperblock();
        for (const [at, value] of changes) bytes[at] = value;
        const result = decodeSuperblock(bytes, "primary");
        if (result.superblock === undefined) return;
        const { superblock } = result;
        expect(superblock.groupCount).toBeGreaterThan(0);
        expect(superblock.groupCount * superblock.inodesPerGroup).toBe(superblock.inodeCount);
        expect(Number.isSafeInteger(superblock.blockCount * superblock.blockSize)).toBe(true);
      }),
      {
        numRuns: 2000,
        ...(process.env["SEED"] === undefined ? {} : { seed: Number(process.env["SEED"]) }),
      },
    );
  });

  test("unknownIncompatible() names unknown bits, and features the map cannot read", () => {
    const flags = {
      featureCompat: 0,
      featureIncompat: 0x40 | 0x1 | 0x40000000,
      featureReadOnlyCompat: 0x400,
    };
    expect(unknownIncompatible(flags)).toEqual(["compression", "FEATURE_I30"]);
    expect(featureNames(flags)).toEqual(["compression", "extent", "FEATURE_I30", "metadata_csum"]);
  });
});

describe("findSuperblock without mke2fs", () => {
  test("findSuperblock() refuses what is too small, all zeros, or noise", async () => {
    await expect(find(new Uint8Array(1500))).rejects.toMatchObject({ code: "EBADMSG" });
    await expect(find(new Uint8Array(1 << 20))).rejects.toMatchObject({ code: "EBADMSG" });
    await expect(find(new Uint8Array(1 << 20).fill(0xa5))).rejects.toMatchObject({
      code: "EBADMSG",
    });
    expect(await isExt4(memorySource(new Uint8Array(0)))).toBe(false);
  });

  test("findSuperblock() serves a partly poisoned superblock without backups while what it needs is readable", async () => {
    const bytes = volumeOf(madeSuperblock());
    const { superblock, problems } = await find(bytes, [poisoned(1024 + 0x284, 64)]);
    expect(superblock.blockCount).toBe(1024);
    expect(problems).toHaveLength(1);
    await expect(find(bytes, [poisoned(1024, 64)])).rejects.toMatchObject({ code: "EBADMSG" });
  });
});

describe.skipIf(!hasProgram("mke2fs"))("findSuperblock on volumes of mke2fs", () => {
  const layouts: readonly (readonly string[])[] = [
    ["-b", "1024"],
    ["-b", "1024", "-O", "^sparse_super,^resize_inode"],
    ["-b", "4096", "-g", "2048"],
    ["-b", "2048", "-O", "meta_bg,^resize_inode"],
    ["-b", "1024", "-O", "sparse_super2,^resize_inode"],
    ["-b", "1024", "-O", "^metadata_csum,^64bit"],
  ];
  for (const layout of layouts) {
    test(`findSuperblock() reads by a backup where the primary is poisoned or wrong: ${layout.join(" ")}`, async () => {
      const bytes = load(scratch.image("sb.img", 40 * 1024 * 1024, ["-t", "ext4", ...layout]));
      const { superblock: primary } = await find(bytes);
      const sources = [
        memorySource(bytes, [poisoned(1024, 1024)]),
        memorySource(bytes, [poisoned(1024 + 512, 64)]),
      ];
      for (const source of sources) {
        const problems: Problem[] = [];
        const found = await findSuperblock(source, (problem) => problems.push(problem));
        expect(found.source).toBe("backup");
        expect({
          ...found,
          source: 0,
          blockGroup: 0,
          writeTime: 0,
          kibibytesWritten: 0,
          state: 0,
        }).toEqual({
          ...primary,
          source: 0,
          blockGroup: 0,
          writeTime: 0,
          kibibytesWritten: 0,
          state: 0,
        });
        expect(problems).toHaveLength(1);
        expect(await isExt4(later(source))).toBe(true);
      }
    });
  }

  test("findSuperblock() falls back where the primary's checksum is wrong", async () => {
    const bytes = load(scratch.image("sb.img", 40 * 1024 * 1024, ["-t", "ext4", "-b", "1024"]));
    bytes[1024 + 0x0c] = (bytes[1024 + 0x0c] ?? 0) ^ 1;
    const { superblock, problems } = await find(bytes);
    expect(superblock.source).toBe("backup");
    expect(problems[0]?.message).toMatch(/wrong checksum/);
  });

  test("findSuperblock() does not believe a superblock that is a file's content", async () => {
    const inner = load(scratch.image("inner.img", 40 * 1024 * 1024, ["-t", "ext4", "-b", "1024"]));
    const bytes = new Uint8Array(inner.length + 4096 * 3);
    bytes.set(inner, 4096 * 3);
    await expect(find(bytes, [poisoned(1024, 1024)])).rejects.toMatchObject({ code: "EBADMSG" });
  });

  test("externalJournalUuid() names a device that is an external journal, and no volume opens there", async () => {
    const uuid = "11111111-2222-3333-4444-555555555555";
    const source = memorySource(
      load(
        scratch.image("journal.img", 8 * 1024 * 1024, [
          "-O",
          "journal_dev",
          "-b",
          "4096",
          "-U",
          uuid,
        ]),
      ),
    );
    expect(await externalJournalUuid(source)).toBe(uuid);
    expect(await isExt4(source)).toBe(false);
    await expect(findSuperblock(source, () => undefined)).rejects.toThrow(/external journal/);
  });

  test("the checksum seed is metadata_csum_seed's where there is one", async () => {
    const path = scratch.image("seed.img", 8 * 1024 * 1024, [
      "-t",
      "ext4",
      "-O",
      "metadata_csum_seed",
      "-U",
      "random",
    ]);
    const before = (await find(load(path))).superblock;
    run("tune2fs", ["-U", "random", path]);
    const { superblock } = await find(load(path));
    expect(superblock.uuid).not.toBe(before.uuid);
    expect(superblock.checksumSeed).toBe(before.checksumSeed);
    const uuid = Uint8Array.from(before.uuid.replaceAll("-", "").match(/../g) ?? [], (pair) =>
      Number.parseInt(pair, 16),
    );
    expect(superblock.checksumSeed).toBe(crc32c(uuid, 0xffffffff));
  });
});
