/** device-lists: whom to ask about a device, told by a sysfs made for the test; and several answers as one. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { blockNodeNamed, type BlockNode } from "../../../src/os/index.ts";
import { blockSources, readDeviceLists } from "../../../src/rescue/lists/device-lists.ts";
import { FakeSysfs } from "../../os/support/fake-sysfs.ts";
import { fakeRunner, MISSING, printed } from "../support/programs.ts";

let sysfs: FakeSysfs;
beforeEach(() => {
  sysfs = new FakeSysfs();
});
afterEach(() => sysfs.close());

function disk(name: string, files: Readonly<Record<string, string>> = {}): BlockNode {
  sysfs.block({ path: name, number: "259:1", sectors: 2048, files });
  return blockNodeNamed(name, { sysfs: sysfs.root });
}

const sourcesOf = (node: BlockNode, run = fakeRunner().run): ReturnType<typeof blockSources> =>
  blockSources(node, { sysfs: sysfs.root, run });

describe("blockSources()", () => {
  test("blockSources() asks no program of pmem where the kernel has a list, and ndctl where it has none", () => {
    const names = (node: BlockNode): string[] => sourcesOf(node).map(({ name }) => name);
    expect(names(disk("pmem0", { badblocks: "" }))).toEqual(["kernel"]);
    sysfs.close();
    sysfs = new FakeSysfs();
    expect(names(disk("pmem0"))).toEqual(["ndctl"]);
  });

  test("blockSources() asks the program of a SCSI disk beside the kernel", async () => {
    const { run, calls } = fakeRunner(
      printed("Completion condition=3\nRTP=1\n0x0000000000000002  0x1  0  0\n"),
    );
    const sources = sourcesOf(disk("sdb", { badblocks: "5 1\n" }), run);
    expect(await readDeviceLists(sources)).toMatchObject({
      ranges: [
        { offset: 1024, length: 512 },
        { offset: 2560, length: 512 },
      ],
      incomplete: false,
    });
    expect(calls).toEqual([expect.stringMatching(/--lba=0 \/dev\/sdb$/)]);
  });

  test("blockSources() gives a partition its part of what the disk's program says", async () => {
    disk("nvme0n1", { "queue/logical_block_size": "4096\n" });
    sysfs.block({
      path: "nvme0n1/nvme0n1p1",
      number: "259:2",
      sectors: 16,
      files: { partition: "1\n", start: "16\n" },
    });
    const list = Buffer.alloc(4096);
    list.writeUInt32LE(1, 0);
    list.writeBigUInt64LE(1n, 8);
    list.writeUInt32LE(2, 16);
    const { run, calls } = fakeRunner(printed(list));
    const node = blockNodeNamed("nvme0n1p1", { sysfs: sysfs.root });
    expect(await readDeviceLists(sourcesOf(node, run))).toMatchObject({
      ranges: [{ offset: 0, length: 4096 }],
    });
    expect(calls[0]).toMatch(/^nvme get-lba-status \/dev\/nvme0n1 /);
  });
});

describe("readDeviceLists()", () => {
  test("readDeviceLists() calls no list incomplete for want of a program, but for one that failed", async () => {
    const node = disk("sdb", { badblocks: "3 1\n" });
    expect(await readDeviceLists(sourcesOf(node, fakeRunner(MISSING).run))).toMatchObject({
      ranges: [{ offset: 1536, length: 512 }],
      incomplete: false,
      notes: ["sg_get_lba_status: sg_get_lba_status is not installed"],
    });
    const failed = fakeRunner(printed("", { status: 5 }));
    expect(await readDeviceLists(sourcesOf(node, failed.run))).toMatchObject({ incomplete: true });
  });

  test("readDeviceLists() knows that a device without any list is not clean", async () => {
    expect(await readDeviceLists(sourcesOf(disk("vda")))).toMatchObject({
      ranges: [],
      incomplete: true,
    });
  });

  test("readDeviceLists() says why a list of the kernel cannot be read", async () => {
    const answer = await readDeviceLists(
      sourcesOf(disk("pmem0", { badblocks: "3 1\nrubbish\n4 1\n" })),
    );
    expect(answer).toMatchObject({ ranges: [], incomplete: true });
    expect(answer.notes[0]).toMatch(/line 2: want "START LENGTH"/);
  });
});
