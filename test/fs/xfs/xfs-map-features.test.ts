/**
 * openXfsMap() with features that few volumes have: real-time device, external log, parent pointers, metadata directories.
 *
 * The first two are compared with xfs_db. Of the last two no oracle ran: mkfs.xfs 6.1 cannot make them, so a volume is changed by hand as the kernel's
 * headers say (xfs_format.h, xfs_da_format.h, xfs_rtrmap_btree.h of 6.14).
 */
import { copyFileSync, truncateSync, writeFileSync } from "node:fs";
import { afterAll, describe, expect, test } from "vitest";
import { openFileMap, type OwnedRange } from "../../../src/fs/index.ts";
import { theriac } from "../../cli/support/theriac.ts";
import { fileSource, load, memorySource, poisoned, Scratch } from "../ext4/scratch.ts";
import { blockUses, differences } from "./support/compare-blocks.ts";
import { EditedVolume } from "./support/edited-volume.ts";
import { hasXfsPrograms, xfsImage } from "./support/xfs-images.ts";

const scratch = new Scratch();
afterAll(() => scratch.dispose());

const MIB = 2 ** 20;

/** A second device, empty. */
function device(name: string): string {
  const path = scratch.path(name);
  writeFileSync(path, "");
  truncateSync(path, 64 * MIB);
  return path;
}

const whatsOf = (owned: readonly OwnedRange[]): ReadonlySet<string> =>
  new Set(owned.flatMap(({ owners }) => owners.map(({ what }) => what)));

describe.skipIf(!hasXfsPrograms)("with images (needs xfsprogs)", () => {
  const realtime = (): ReturnType<typeof xfsImage> =>
    xfsImage(scratch, "realtime.img", {
      options: ["-m", "rmapbt=0,reflink=0", "-r", `rtdev=${device("realtime.dev")}`],
      seed: 4,
    });

  test("owners() beside a real-time device are what xfs_db says: its bitmap and summary by name", async () => {
    const { path } = realtime();
    const map = await openFileMap(fileSource(path));
    const owned = await map.owners([{ offset: 0, length: map.size }]);
    expect(differences(owned, blockUses(path), map.blockSize)).toEqual([]);
    expect(whatsOf(owned)).toContain("realtime-bitmap");
    expect(whatsOf(owned)).toContain("realtime-summary");
  });

  test("extents() of a real-time file say where on the other device its content is, and claim nothing here", async () => {
    const { path } = realtime();
    const volume = await EditedVolume.open(load(path));
    const inode = await volume.inodeOf("/report");
    const before = await volume.ownersOfAll();
    const at = before.find(
      ({ owners }) => owners[0]!.inode === inode && owners[0]!.what === "data",
    )!;
    volume.editInode(inode, (view) => view.setUint16(90, view.getUint16(90) | 1));
    const map = await volume.map();
    const [extent] = await map.extents(inode);
    expect(extent).toMatchObject({ kind: "unknown", offset: 0 });
    expect(extent!.why).toMatch(
      /^Its content is on the real-time device, from byte \d+ of that on$/,
    );
    const [told] = await map.owners([{ offset: at.offset, length: 4096 }]);
    expect(told!.owners).toMatchObject([{ kind: "unknown" }]);
  });

  test("a log on another device is said to be there, and a repair is refused (exit 4)", async () => {
    const log = device("log.dev");
    const { path } = xfsImage(scratch, "log.img", {
      options: ["-m", "rmapbt=1", "-l", `logdev=${log},size=16m`],
      seed: 4,
    });
    const map = await openFileMap(fileSource(path));
    expect(map.journal).toMatchObject({ status: "external", pending: true });
    const owned = await map.owners([{ offset: 0, length: map.size }]);
    expect(differences(owned, blockUses(path, ["-l", log]), map.blockSize)).toEqual([]);
    expect(whatsOf(owned)).not.toContain("journal-log");
    const donor = scratch.path("log-donor.img");
    copyFileSync(path, donor);
    await theriac(["create", path, "--adopt"]);
    const data = owned.find(({ owners }) => owners[0]!.what === "data")!;
    await theriac(["inject", path, "--at", String(data.offset), "--length", "512"]);
    const { code, stdout, stderr } = await theriac(["repair", path, "--from", donor]);
    expect({ code, text: (stdout + stderr).replace(/\s+/g, " ") }).toMatchObject({
      code: 4,
      text: expect.stringContaining("The log is on another device"),
    });
  });

  describe("parent pointers, made by hand", () => {
    test.each(["in the inode", "in a leaf"])(
      "paths() come from the inodes where the directory's block is poisoned, %s",
      async (where) => {
        const { path } = xfsImage(scratch, "parents.img", { options: ["-m", "rmapbt=1"], seed: 4 });
        const volume = await EditedVolume.open(load(path));
        volume.setFeature(7);
        const folder = await volume.inodeOf("/block");
        const file = (await volume.namesIn("/block"))[0]!;
        const child = await volume.inodeOf(`/block/${file}`);
        await volume.addParent(child, { parent: folder, name: file, leaf: where === "in a leaf" });
        const { device: block } = (await (await volume.map()).extents(folder))[0]!;
        const map = await openFileMap(memorySource(volume.bytes, [poisoned(block!, 4096)]));
        expect(await map.paths(child)).toEqual([`/block/${file}`]);
        const { device: content } = (await map.extents(child))[0]!;
        const [owned] = await map.owners([{ offset: content!, length: 1 }]);
        expect(owned!.owners).toMatchObject([{ inode: child, paths: [`/block/${file}`] }]);
        const other = await volume.inodeOf(`/block/${(await volume.namesIn("/block"))[1]!}`);
        expect(await map.paths(other)).toEqual([]);
      },
    );

    test("a parent pointer to a directory of another generation is not believed", async () => {
      const { path } = xfsImage(scratch, "stale.img", { options: ["-m", "rmapbt=1"], seed: 4 });
      const volume = await EditedVolume.open(load(path));
      volume.setFeature(7);
      const folder = await volume.inodeOf("/block");
      const file = (await volume.namesIn("/block"))[0]!;
      const child = await volume.inodeOf(`/block/${file}`);
      await volume.addParent(child, { parent: folder, name: file, generation: 12_345 });
      const { device: block } = (await (await volume.map()).extents(folder))[0]!;
      const map = await openFileMap(memorySource(volume.bytes, [poisoned(block!, 4096)]));
      expect(await map.paths(child)).toEqual([]);
    });
  });

  describe("metadata directories, made by hand", () => {
    /** Numbers of kinds of metadata (kernel: enum xfs_metafile_type). */
    const asMetadata = (view: DataView, kind: number): void => {
      view.setUint32(124, view.getUint32(124) | 0x20);
      view.setUint16(6, kind);
    };

    test.each([
      [2, "quota"],
      [5, "realtime-bitmap"],
      [6, "realtime-summary"],
    ] as const)("owners() of content of metadata of kind %i are %s", async (kind, what) => {
      const { path } = xfsImage(scratch, "metadir.img", { options: ["-m", "rmapbt=1"], seed: 4 });
      const volume = await EditedVolume.open(load(path));
      volume.setFeature(8);
      const inode = await volume.inodeOf("/report");
      volume.editInode(inode, (view) => asMetadata(view, kind));
      const map = await volume.map();
      const { device: at } = (await map.extents(inode))[0]!;
      const [owned] = await map.owners([{ offset: at!, length: 4096 }]);
      expect(owned!.owners).toMatchObject([{ kind: "metadata", what, inode }]);
    });

    test.each([
      { kind: 7, magic: 0x4d41_5052, keys: 40, rootKeys: 40, what: "reverse-map-tree" },
      { kind: 8, magic: 0x5243_4e54, keys: 4, rootKeys: 8, what: "reference-count-tree" },
    ])(
      "owners() of blocks of a tree of kind $kind are found below its inode",
      async ({ kind, magic, keys, rootKeys, what }) => {
        const { path } = xfsImage(scratch, "trees.img", { options: ["-m", "rmapbt=0"], seed: 4 });
        const volume = await EditedVolume.open(load(path));
        volume.setFeature(8);
        const inode = await volume.inodeOf("/report");
        const { device: at } = (await (await volume.map()).extents(inode))[0]!;
        const blocks = [0, 1, 2].map((index) => at! / 4096 + index);
        // A root of one node of two leaves, in what were the file's blocks.
        volume.editInode(inode, (view) => {
          asMetadata(view, kind);
          view.setUint8(5, 5);
          view.setUint16(176, 2);
          view.setUint16(178, 1);
          const most = Math.floor((512 - 176 - 4) / (rootKeys + 8));
          view.setBigUint64(180 + most * keys, volume.blockNumber(blocks[0]!));
        });
        volume.makeTreeBlock(blocks[0]!, { magic, keys, inode, children: blocks.slice(1) });
        const map = await volume.map();
        const owned = await map.owners([{ offset: at!, length: 4 * 4096 }]);
        expect(owned[0]).toMatchObject({ length: 3 * 4096, owners: [{ what, inode }] });
        expect(owned[1]!.owners[0]!.kind).toBe("unknown");
        const poisonedMap = await openFileMap(memorySource(volume.bytes, [poisoned(at!, 4096)]));
        const hidden = await poisonedMap.owners([{ offset: at!, length: 2 * 4096 }]);
        expect(hidden[0]!.owners).toMatchObject([{ what, inode }]);
        expect(hidden[1]!.owners).toMatchObject([{ kind: "unknown" }]);
      },
    );
  });

  test.each([
    [9, "zoned"],
    [10, "zone gaps"],
    [21, "incompatible bit 21"],
  ])("owners() are unknown where incompatible feature %i is set, and say so", async (bit, name) => {
    const { path } = xfsImage(scratch, "unknown.img", { seed: 4 });
    const volume = await EditedVolume.open(load(path));
    volume.setFeature(bit);
    const map = await volume.map();
    const [owned] = await map.owners([{ offset: 0, length: map.size }]);
    expect(owned).toMatchObject({ length: map.size, owners: [{ kind: "unknown" }] });
    expect(owned!.owners[0]!.why).toContain(name);
  });
});
