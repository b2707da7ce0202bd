/** in-use: who uses a device, by a made-up mount table and sysfs. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { blockNodeNumbered, type BlockNode } from "../../../src/os/index.ts";
import { refuseInUse, whoUses } from "../../../src/rescue/live/in-use.ts";
import { FakeSysfs } from "../../os/support/fake-sysfs.ts";

let sysfs: FakeSysfs;
let mountinfo: string;
beforeEach(() => {
  sysfs = new FakeSysfs();
  mountinfo = join(sysfs.root, "mountinfo");
  writeFileSync(mountinfo, "9 1 0:5 / /proc rw - proc proc rw\n");
});
afterEach(() => sysfs.close());

function node(number: string): BlockNode {
  return blockNodeNumbered(number, { sysfs: sysfs.root }) as BlockNode;
}

function who(number: string): string | undefined {
  return whoUses(node(number), { sysfs: sysfs.root, mountinfo });
}

describe("whoUses()", () => {
  test("knows nobody where nothing is mounted or made of it", () => {
    sysfs.block({ path: "block/pmem0", number: "259:0", sectors: 100 });
    expect(who("259:0")).toBeUndefined();
  });

  test("finds the mount of a device, of its partition, and of what is made of that", () => {
    sysfs.block({ path: "block/sda", number: "8:0", sectors: 100 });
    const part = sysfs.block({
      path: "block/sda/sda1",
      number: "8:1",
      sectors: 50,
      files: { partition: "1\n", start: "10\n" },
    });
    const above = sysfs.block({ path: "block/dm-0", number: "254:0", sectors: 50 });
    sysfs.stack(above, part);
    expect(who("8:0")).toBe("a part of dm-0");
    writeFileSync(mountinfo, "9 1 254:0 / /mnt/x rw - ext4 /dev/mapper/a rw\n");
    for (const number of ["8:0", "8:1", "254:0"]) expect(who(number)).toBe("mounted at /mnt/x");
  });

  test("refuseInUse() names the user and the way out", () => {
    sysfs.block({ path: "block/pmem0", number: "259:0", sectors: 100 });
    writeFileSync(mountinfo, "9 1 259:0 / /mnt/x rw - ext4 /dev/pmem0 rw\n");
    expect(() =>
      refuseInUse("/dev/pmem0", node("259:0"), { sysfs: sysfs.root, mountinfo }),
    ).toThrow(/EBUSY.*mounted at \/mnt\/x.*by their own paths/);
  });
});
