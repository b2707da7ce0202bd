/** cache-format: S42: how many blocks Linux makes in a cache of a size, and where they begin; superblocks there and back. */
import { describe, expect, test } from "vitest";
import {
  blocksFor,
  decodeSuperblock,
  encodeSuperblock,
  metadataBytes,
} from "../../../../src/mapper/targets/writecache/cache-format.ts";

const MIB = 1024 * 1024;

describe("blocksFor()", () => {
  test.each([
    [MIB, 4096, 254, 8192],
    [MIB, 512, 1985, 32_256],
    [16 * MIB, 4096, 4080, 65_536],
    [64 * MIB, 4096, 16_320, 262_144],
    [1024 * MIB, 4096, 261_123, 4_182_016],
    // status lines of Linux 6.1, by the lab
    [163_840, 4096, 39, 4096],
    [163_840 - 16 * 512, 512, 294, 5120],
    [163_840 - 200 * 512, 4096, 14, 4096],
  ])(
    "S42: %d bytes in blocks of %d hold %d blocks from byte %d on",
    (...[size, block, count, data]) => {
      expect(blocksFor(size, block)).toBe(count);
      expect(metadataBytes(count, block)).toBe(data);
    },
  );

  test("is 0 where not one block fits", () => {
    expect(blocksFor(8191, 4096)).toBe(0);
    expect(blocksFor(8192, 4096)).toBe(1);
    expect(blocksFor(0, 512)).toBe(0);
  });
});

describe("decodeSuperblock()", () => {
  test("reads back what encodeSuperblock() wrote", () => {
    const superblock = { blockSize: 4096, blocks: 254, sequence: 2 ** 40 + 7 };
    expect(decodeSuperblock(encodeSuperblock(superblock))).toEqual({
      magic: 0x2348_9321,
      version: 1,
      ...superblock,
    });
  });

  test("numbers past 2^53 are Infinity", () => {
    const bytes = encodeSuperblock({ blockSize: 512, blocks: Infinity, sequence: 1 });
    expect(decodeSuperblock(bytes).blocks).toBe(Infinity);
    bytes.set([0, 0, 0, 0, 0, 0, 32, 0], 16);
    expect(decodeSuperblock(bytes).blocks).toBe(Infinity);
  });
});
