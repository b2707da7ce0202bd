/** block-node: what a made-up sysfs tells of its devices. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { blockNodeNamed, blockNodeNumbered, deviceNumber } from "../../src/os/index.ts";
import { FakeSysfs } from "./support/fake-sysfs.ts";

let sysfs: FakeSysfs;
beforeEach(() => {
  sysfs = new FakeSysfs();
});
afterEach(() => sysfs.close());

describe("block node", () => {
  test("blockNodeNumbered() tells disk, start and blocks of a partition", () => {
    const options = { sysfs: sysfs.root };
    sysfs.block({
      path: "block/sda",
      number: "8:0",
      sectors: 1000,
      files: { "queue/logical_block_size": "512\n", "queue/physical_block_size": "4096\n" },
    });
    sysfs.block({
      path: "block/sda/sda2",
      number: "8:2",
      sectors: 300,
      files: { partition: "2\n", start: "64\n" },
    });
    expect(blockNodeNumbered("8:2", options)).toMatchObject({
      name: "sda2",
      disk: "sda",
      partition: "2",
      start: 32_768,
      size: 153_600,
      logicalBlock: 512,
      physicalBlock: 4096,
      isMemory: false,
    });
    expect(blockNodeNumbered("8:9", options)).toBeUndefined();
  });

  test("blockNodeNamed() names a device that is not there", () => {
    expect(() => blockNodeNamed("sdz", { sysfs: sysfs.root })).toThrow(/ENOENT.*"sdz"/);
  });

  test("deviceNumber() splits large numbers as glibc does", () => {
    expect(deviceNumber((0x1000n << 32n) | 0x801n)).toBe("4104:1");
    expect(deviceNumber((259n << 8n) | 3n)).toBe("259:3");
    expect(deviceNumber((1n << 20n) | (8n << 8n))).toBe("8:256");
  });
});
