/** openExt4Map() on hostile metadata: nothing hangs, nothing grows, and no owner is guessed. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createPrng, StorageError } from "../../../src/base/index.ts";
import type { Extent, FileMap, OwnedRange } from "../../../src/fs/index.ts";
import { openExt4Map } from "../../../src/fs/ext4/index.ts";
import { hasProgram, memorySource, Scratch } from "./scratch.ts";
import { entryOffset, PatchedImage } from "./support/patched-image.ts";
import { sampleImage } from "./support/sample-tree.ts";

const scratch = new Scratch();
afterAll(() => scratch.dispose());
const seed = Number(process.env["SEED"] ?? 7);
const MAP = 40;

async function wholeOf(map: FileMap): Promise<readonly OwnedRange[]> {
  const owned = await map.owners([{ offset: 0, length: map.size }]);
  let at = 0;
  for (const range of owned) {
    expect(range.offset).toBe(at);
    expect(range.owners.length).toBeGreaterThan(0);
    at += range.length;
  }
  expect(at).toBe(map.size);
  return owned;
}

describe.skipIf(!hasProgram("mke2fs"))("hostile metadata (needs mke2fs)", () => {
  let clean: Uint8Array;
  let image: PatchedImage;
  let map: FileMap;
  let sparse: number;
  /** Block of the only node of the extent tree of /sparse. */
  let node: number;

  const reopen = async (): Promise<FileMap> => openExt4Map(memorySource(image.bytes));
  const ownersOfBlock = async (block: number): Promise<readonly OwnedRange[]> =>
    (await reopen()).owners([{ offset: block * image.blockSize, length: image.blockSize }]);

  beforeAll(async () => {
    clean = sampleImage(scratch, ["-t", "ext4", "-b", "1024"]);
  });

  const fresh = async (): Promise<void> => {
    image = await PatchedImage.open(clean.slice());
    map = await reopen();
    sparse = (await map.lookup("/sparse"))!;
    const { slot } = image.inode(sparse);
    node = new DataView(slot.buffer, slot.byteOffset).getUint32(MAP + 16, true);
  };

  test("an extent tree that contains itself hides its file and ends", async () => {
    await fresh();
    image.editInode(sparse, (slot) => slot.setUint16(MAP + 6, 2, true));
    image.editExtentBlock(sparse, node, (block) => {
      block.setUint16(2, 1, true);
      block.setUint16(6, 1, true);
      block.setUint32(12, 0, true);
      block.setUint32(16, node, true);
      block.setUint32(20, 0, true);
    });
    const again = await reopen();
    expect(await again.extents(sparse)).toMatchObject([
      { kind: "unknown", why: expect.stringContaining(`${node}`) },
    ]);
    expect((await wholeOf(again)).length).toBeGreaterThan(0);
    expect((await ownersOfBlock(node)).flatMap(({ owners }) => owners)).toContainEqual(
      expect.objectContaining({ what: "extent-tree", inode: sparse }),
    );
  });

  test("a block of an extent tree with a wrong checksum hides its part, and the block is still told", async () => {
    await fresh();
    const block =
      (await map.extents(sparse)).find(({ kind }) => kind === "data")!.device! / image.blockSize;
    image.block(node)[13]! ^= 1;
    const again = await reopen();
    expect((await again.extents(sparse)).map(({ kind }: Extent) => kind)).toEqual(["unknown"]);
    const owners = (await ownersOfBlock(block)).flatMap((range) => range.owners);
    expect(owners).toMatchObject([
      { kind: "unknown", why: expect.stringMatching(new RegExp(`${node}.*${sparse}`)) },
    ]);
    expect(await again.owners([{ offset: node * image.blockSize, length: 64 }])).toMatchObject([
      { owners: [{ what: "extent-tree", inode: sparse, paths: ["/sparse"] }] },
    ]);
  });

  test("an inode with a wrong checksum is not believed, but named", async () => {
    await fresh();
    const block =
      (await map.extents(sparse)).find(({ kind }) => kind === "data")!.device! / image.blockSize;
    image.editInode(sparse, (slot) => slot.setUint16(4, 77, true), true);
    const again = await reopen();
    expect(await again.info(sparse)).toBeUndefined();
    expect(await again.extents(sparse)).toMatchObject([
      { kind: "unknown", why: expect.stringContaining("checksum") },
    ]);
    const owners = (await ownersOfBlock(block)).flatMap((range) => range.owners);
    expect(owners).toMatchObject([
      { kind: "unknown", why: expect.stringContaining(`Inode ${sparse} claims it`) },
    ]);
  });

  test("extents outside the volume or on metadata are refused", async () => {
    for (const target of [0xffff_fff0, 3]) {
      await fresh();
      const report = (await map.lookup("/docs/report"))!;
      image.editInode(report, (slot) => slot.setUint32(MAP + 20, target, true));
      const again = await reopen();
      expect((await again.extents(report)).map(({ kind }) => kind)).toEqual(["unknown"]);
      expect(
        (await wholeOf(again)).some(({ owners }) =>
          owners.some((owner) => owner.inode === report && owner.what === "data"),
        ),
      ).toBe(false);
    }
  });

  test("a block that two files claim has both as owners", async () => {
    await fresh();
    const report = (await map.lookup("/docs/report"))!;
    const large = (await map.lookup("/docs/deep/deeper/large"))!;
    const start = (await map.extents(large))[0]!.device! / image.blockSize;
    image.editInode(report, (slot) => slot.setUint32(MAP + 20, start, true));
    const owners = (await ownersOfBlock(start)).flatMap((range) => range.owners);
    expect(new Set(owners.map(({ inode }) => inode))).toEqual(new Set([report, large]));
    expect(owners.map(({ paths }) => paths)).toContainEqual(["/docs/deep/deeper/large"]);
  });

  test("a directory that contains itself gives no endless path", async () => {
    await fresh();
    const deep = (await map.lookup("/docs/deep"))!;
    const deeper = (await map.lookup("/docs/deep/deeper"))!;
    const block = (await map.extents(deep))[0]!.device! / image.blockSize;
    image.editDirectoryBlock(deep, block, (entries) =>
      entries.setUint32(entryOffset(entries, "deeper"), deep, true),
    );
    const again = await reopen();
    expect(await again.paths(deep)).toEqual(["/docs/deep"]);
    expect(await again.paths(deeper)).toEqual([]);
    expect(await again.lookup("/docs/deep/deeper/deeper/deeper")).toBe(deep);
    await wholeOf(again);
    for await (const file of again.files()) expect(file.paths.length).toBeLessThan(10);
  });

  test("a name with a slash in it is not believed", async () => {
    await fresh();
    const docs = (await map.lookup("/docs"))!;
    const tiny = (await map.lookup("/docs/tiny"))!;
    const block = (await map.extents(docs))[0]!.device! / image.blockSize;
    image.editDirectoryBlock(docs, block, (entries) =>
      entries.setUint8(entryOffset(entries, "tiny") + 9, 0x2f),
    );
    const again = await reopen();
    expect(await again.paths(tiny)).toEqual([]);
    expect(again.problems.some(({ message }) => message.includes("not believed"))).toBe(true);
  });

  test("a directory block with a wrong checksum hides its names only", async () => {
    await fresh();
    const docs = (await map.lookup("/docs"))!;
    const tiny = (await map.lookup("/docs/tiny"))!;
    const block = (await map.extents(docs))[0]!.device! / image.blockSize;
    image.block(block)[1020]! ^= 1;
    const again = await reopen();
    expect(await again.lookup("/docs/tiny")).toBeUndefined();
    expect(await again.paths(tiny)).toEqual([]);
    expect(await again.info(tiny)).toMatchObject({ kind: "file", size: 16 });
    expect(await again.lookup("/sparse")).toBe(sparse);
  });

  test("mutated images never throw anything but a StorageError, and leave no byte without an owner", async () => {
    await fresh();
    console.log(`SEED= ${seed}`);
    const random = createPrng(seed);
    const busy = (await wholeOf(map)).filter(
      ({ owners }) => owners[0]!.kind === "metadata" || owners[0]!.kind === "directory",
    );
    for (let round = 0; round < 60; round += 1) {
      const bytes = clean.slice();
      for (let change = random.below(12); change >= 0; change -= 1) {
        const range = random.pick(busy);
        bytes[range.offset + random.below(range.length)] = random.below(256);
      }
      try {
        const mutated = await openExt4Map(memorySource(bytes));
        await wholeOf(mutated);
        for await (const file of mutated.files())
          await mutated.extents(file.inode, { pastEnd: true });
        await mutated.lookup("/docs/deep/deeper/large");
        expect(mutated.problems.length).toBeLessThan(1100);
      } catch (error) {
        expect(error, `seed ${seed}, round ${round}`).toBeInstanceOf(StorageError);
      }
    }
  });
});
