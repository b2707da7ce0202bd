/** openExt4Map() on poisoned metadata: it hides what it alone knew, and no more. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { BadRange } from "../../../src/base/index.ts";
import type { FileMap, OwnedRange, OwnerWhat } from "../../../src/fs/index.ts";
import { openExt4Map } from "../../../src/fs/ext4/index.ts";
import { hasProgram, memorySource, poisoned, Scratch } from "./scratch.ts";
import { sampleImage } from "./support/sample-tree.ts";

const scratch = new Scratch();
afterAll(() => scratch.dispose());

describe.skipIf(!hasProgram("mke2fs"))("poisoned metadata (needs mke2fs)", () => {
  let bytes: Uint8Array;
  let sound: FileMap;
  let owned: readonly OwnedRange[];

  beforeAll(async () => {
    bytes = sampleImage(scratch, ["-t", "ext4", "-b", "1024"]);
    sound = await openExt4Map(memorySource(bytes));
    owned = await sound.owners([{ offset: 0, length: sound.size }]);
  });

  const open = async (bad: readonly BadRange[]): Promise<FileMap> =>
    openExt4Map(memorySource(bytes, bad));
  const find = (what: OwnerWhat, path?: string): OwnedRange =>
    owned.find(({ owners }) =>
      owners.some(
        (owner) => owner.what === what && (path === undefined || owner.paths?.includes(path)),
      ),
    )!;

  test("a poisoned inode keeps its number and paths, and hides its file", async () => {
    const slot = find("inode", "/docs/report");
    const map = await open([poisoned(slot.offset, 64)]);
    const inode = slot.owners[0]!.inode!;
    expect(await map.owners([{ offset: slot.offset, length: 64 }])).toMatchObject([
      {
        owners: [
          {
            kind: "metadata",
            what: "inode",
            inode,
            paths: ["/docs/deep/same", "/docs/report"],
            why: expect.stringContaining("hidden"),
          },
        ],
      },
    ]);
    expect(await map.info(inode)).toBeUndefined();
    expect(await map.extents(inode)).toMatchObject([
      { kind: "unknown", why: expect.stringContaining("poisoned") },
    ]);
    const data = find("data", "/docs/report");
    expect(await map.owners([{ offset: data.offset, length: 10 }])).toMatchObject([
      { owners: [{ kind: "unknown", why: expect.stringContaining(`inode ${inode} is hidden`) }] },
    ]);
  });

  test("poison behind the first 128 bytes of an inode hides neither its map nor its data", async () => {
    const slot = find("inode", "/docs/report");
    const map = await open([poisoned(slot.offset + 192, 64)]);
    const data = find("data", "/docs/report");
    expect(await map.owners([{ offset: data.offset, length: 10 }])).toMatchObject([
      { owners: [{ what: "data", paths: ["/docs/deep/same", "/docs/report"] }] },
    ]);
  });

  test("a poisoned free inode is nobody's loss", async () => {
    const slot = find("free-inode");
    const map = await open([poisoned(slot.offset, 64)]);
    expect(await map.owners([{ offset: slot.offset, length: 64 }])).toMatchObject([
      { owners: [{ kind: "free", what: "free-inode" }] },
    ]);
  });

  test("a poisoned node of an extent tree hides its part of the file", async () => {
    const node = find("extent-tree", "/sparse");
    const map = await open([poisoned(node.offset, 512)]);
    const inode = node.owners[0]!.inode!;
    expect(await map.owners([{ offset: node.offset, length: 512 }])).toMatchObject([
      { owners: [{ what: "extent-tree", inode, paths: ["/sparse"] }] },
    ]);
    expect((await map.extents(inode)).map(({ kind }) => kind)).toEqual(["unknown"]);
    expect(
      await map.owners([{ offset: find("data", "/docs/report").offset, length: 1 }]),
    ).toMatchObject([{ owners: [{ what: "data" }] }]);
  });

  test("a poisoned directory block is told with its directory, and hides the paths below alone", async () => {
    const block = find("directory-block", "/docs");
    const map = await open([poisoned(block.offset, 256)]);
    expect(await map.owners([{ offset: block.offset, length: 256 }])).toMatchObject([
      { owners: [{ kind: "directory", what: "directory-block", paths: ["/docs"] }] },
    ]);
    expect(await map.lookup("/docs/report")).toBeUndefined();
    expect(
      await map.owners([{ offset: find("data", "/docs/report").offset, length: 1 }]),
    ).toMatchObject([{ owners: [{ what: "data", paths: [] }] }]);
    expect(await map.lookup("/sparse")).toBe(await sound.lookup("/sparse"));
  });

  test("a poisoned block bitmap makes free space unknown, and no file's data", async () => {
    const bitmap = find("block-bitmap");
    const map = await open([poisoned(bitmap.offset, 64)]);
    const free = find("free-space");
    expect(await map.owners([{ offset: free.offset, length: 1024 }])).toMatchObject([
      { owners: [{ kind: "unknown" }] },
    ]);
    expect(
      await map.owners([{ offset: find("data", "/docs/report").offset, length: 1 }]),
    ).toMatchObject([{ owners: [{ what: "data" }] }]);
  });

  test("the primary superblock and descriptors may be gone", async () => {
    const large = sampleImage(scratch, ["-t", "ext4", "-b", "1024"], 24);
    const map = await openExt4Map(memorySource(large, [poisoned(1024, 2048)]));
    expect(await map.owners([{ offset: 1024, length: 2048 }])).toMatchObject([
      { owners: [{ what: "superblock" }] },
      { owners: [{ what: "group-descriptors" }] },
    ]);
    const inode = (await map.lookup("/docs/report"))!;
    expect(await map.paths(inode)).toEqual(["/docs/deep/same", "/docs/report"]);
  });
});
