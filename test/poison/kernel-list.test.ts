/** kernel-list: lists of a made-up sysfs tree, placed on disks, partitions, persistent memory and md arrays. */
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { SECTOR } from "../../src/base/index.ts";
import { blockNodeNumbered, type BlockNode } from "../../src/os/index.ts";
import { kernelList, kernelListFiles } from "../../src/poison/index.ts";
import { FakeSysfs } from "../os/support/fake-sysfs.ts";

let sysfs: FakeSysfs;
beforeEach(() => {
  sysfs = new FakeSysfs();
});
afterEach(() => sysfs.close());

function node(number: string): BlockNode {
  const found = blockNodeNumbered(number, { sysfs: sysfs.root });
  if (found === undefined) throw new Error(`no device ${number}`);
  return found;
}

function sectorsOf(number: string): readonly (readonly [number, number])[] {
  const { ranges } = kernelList(node(number), { sysfs: sysfs.root });
  return ranges.map(({ offset, length }) => [offset / SECTOR, length / SECTOR]);
}

function disk(name: string, number: string, files: Record<string, string> = {}): string {
  return sysfs.block({ path: `block/${name}`, number, sectors: 1000, files });
}

describe("kernelList()", () => {
  test("reads badblocks of a whole disk", () => {
    disk("sda", "8:0", { badblocks: "10 3\n700 1\n" });
    expect(sectorsOf("8:0")).toEqual([
      [10, 3],
      [700, 1],
    ]);
  });

  test("gives a partition what of its disk's list lies in it, from its own start", () => {
    disk("sda", "8:0", { badblocks: "10 3\n98 4\n150 2\n299 9\n" });
    sysfs.block({
      path: "block/sda/sda1",
      number: "8:1",
      sectors: 200,
      files: { partition: "1\n", start: "100\n" },
    });
    expect(sectorsOf("8:1")).toEqual([
      [0, 2],
      [50, 2],
      [199, 1],
    ]);
  });

  test("adds what the region of persistent memory lists, by the addresses of both", () => {
    const region = "platform/nfit_test.0/ndbus0/region0";
    sysfs.write(join(sysfs.root, "devices", region, "resource"), "0x100000000\n");
    // The namespace's data begins 32 sectors into the region.
    sysfs.write(join(sysfs.root, "devices", region, "pfn0.1/resource"), "0x100004000\n");
    sysfs.write(join(sysfs.root, "devices", region, "badblocks"), "4 2\n40 8\n90 1\n");
    sysfs.block({
      path: `${region}/pfn0.1/block/pmem0`,
      number: "259:0",
      sectors: 1000,
      files: { badblocks: "8 8\n300 1\n", "queue/dax": "1\n" },
    });
    expect(sectorsOf("259:0")).toEqual([
      [8, 8],
      [58, 1],
      [300, 1],
    ]);
    expect(kernelListFiles(node("259:0"))).toHaveLength(2);
  });

  test("tells that places under a BTT are not known", () => {
    const region = "ndbus0/region1";
    sysfs.write(join(sysfs.root, "devices", region, "resource"), "0x0\n");
    sysfs.write(join(sysfs.root, "devices", region, "btt1.0/resource"), "0x0\n");
    sysfs.write(join(sysfs.root, "devices", region, "badblocks"), "4 2\n");
    sysfs.block({ path: `${region}/btt1.0/block/pmem1s`, number: "259:1", sectors: 100 });
    const list = kernelList(node("259:1"));
    expect(list.ranges).toEqual([]);
    expect(list.notes.join()).toContain("BTT");
  });

  test("gives a mirror only what is bad on every leg in sync, behind each leg's own start", () => {
    const [one, other] = [disk("sdb", "8:16"), disk("sdc", "8:32", { badblocks: "64 2\n" })];
    const md = disk("md0", "9:0", {
      "md/level": "raid1\n",
      "md/dev-sdb/state": "in_sync\n",
      "md/dev-sdb/offset": "32\n",
      "md/dev-sdb/bad_blocks": "60 6\n200 1\n",
      "md/dev-sdc/state": "in_sync\n",
      "md/dev-sdc/offset": "48\n",
      "md/dev-sdc/bad_blocks": "80 2\n",
    });
    sysfs.stack(md, one);
    sysfs.stack(md, other);
    // leg sdb: 28..34 and 168; leg sdc: by the disk 16..18, by md 32..34
    expect(sectorsOf("9:0")).toEqual([[32, 2]]);
    // a member has md's list of it, in its own sectors
    expect(sectorsOf("8:16")).toEqual([
      [60, 6],
      [200, 1],
    ]);
  });

  test("says so where a list was cut off after a page", () => {
    const text = Array.from({ length: 800 }, (_, index) => `${index * 2} 1\n`).join("");
    disk("sda", "8:0", { badblocks: text.slice(0, 4095) });
    const list = kernelList(node("8:0"));
    expect(list.isIncomplete).toBe(true);
    expect(list.notes.join()).toContain("badblocks");
  });

  test("tells a device without any list from one whose list is empty", () => {
    disk("sda", "8:0");
    disk("sdb", "8:16", { badblocks: "" });
    expect(kernelList(node("8:0")).isListed).toBe(false);
    expect(kernelList(node("8:16")).isListed).toBe(true);
  });
});

describe("kernelList() of a device-mapper device", () => {
  function stack(table: string): void {
    const [one, other] = [
      disk("pmem0", "259:0", { badblocks: "20 40\n" }),
      disk("pmem1", "259:1", { badblocks: "3 1\n" }),
    ];
    const dm = disk("dm-0", "254:0", { "dm/name": "stack\n" });
    sysfs.stack(dm, one);
    sysfs.stack(dm, other);
    const list = kernelList(node("254:0"), { sysfs: sysfs.root, dmTable: () => table });
    found = list.ranges.map(({ offset, length }) => [offset / SECTOR, length / SECTOR]);
    notes = list.notes;
  }
  let found: readonly (readonly number[])[] = [];
  let notes: readonly string[] = [];

  test("translates the lists of the legs of a stripe, chunk by chunk", () => {
    stack("0 64 striped 2 16 259:1 0 259:0 16\n");
    // pmem1: 3 in chunk 0 of leg 0; pmem0: 4..32 of leg 1, which is all of it that the leg has
    expect(found).toEqual([
      [3, 1],
      [20, 12],
      [48, 16],
    ]);
  });

  test("translates rows that are plain, from their own starts", () => {
    stack("0 10 linear 259:1 0\n10 30 dust 259:0 30 512 pass\n");
    expect(found).toEqual([
      [3, 1],
      [10, 30],
    ]);
  });

  test("says so where a row does more than translate, or the table cannot be read", () => {
    stack("0 100 crypt aes 0 259:0 0\n");
    expect([found, notes.join()]).toEqual([[], expect.stringContaining("crypt")]);
  });
});
