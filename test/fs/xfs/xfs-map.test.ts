/** openXfsMap() against xfs_db: the owner of every block, paths, contents, on volumes of many forms. */
import { readFileSync } from "node:fs";
import { afterAll, describe, expect, test } from "vitest";
import { openFileMap, type FileMap, type OwnedRange } from "../../../src/fs/index.ts";
import { openXfsMap } from "../../../src/fs/xfs/index.ts";
import { fileSource, later, load, memorySource, Scratch } from "../ext4/scratch.ts";
import { blockUses, differences } from "./support/compare-blocks.ts";
import { hasXfsPrograms, xfsImage, type XfsImage } from "./support/xfs-images.ts";

const scratch = new Scratch();
afterAll(() => scratch.dispose());

/** Forms of a volume, as mkfs.xfs is told. */
const FORMS: Readonly<Record<string, readonly string[]>> = {
  plain: [],
  "with a reverse map": ["-m", "rmapbt=1,reflink=1"],
  "version 4": ["-m", "crc=0"],
  "version 4, blocks of 512": ["-m", "crc=0", "-b", "size=512", "-n", "ftype=1"],
  "blocks of 1024, directory blocks of 4096": [
    "-b",
    "size=1024",
    "-n",
    "size=4096",
    "-m",
    "rmapbt=1",
  ],
  "old features": ["-m", "bigtime=0,inobtcount=0,finobt=0,reflink=0", "-i", "sparse=0"],
  "large extent counts, sectors of 4096": [
    "-i",
    "nrext64=1,size=1024",
    "-m",
    "rmapbt=1",
    "-s",
    "size=4096",
  ],
  "more inodes a block than a chunk": ["-b", "size=32768", "-m", "crc=0", "-i", "size=256"],
};

async function contentOf(map: FileMap, image: Uint8Array, path: string): Promise<Uint8Array> {
  const inode = await map.lookup(path);
  const parts: Uint8Array[] = [];
  for (const { kind, device, length } of await map.extents(inode!)) {
    if (kind === "unknown") throw new Error(`${path}: its map is hidden`);
    const stored = kind === "data" || kind === "inline";
    parts.push(stored ? image.subarray(device, device! + length) : new Uint8Array(length));
  }
  return Buffer.concat(parts);
}

describe.skipIf(!hasXfsPrograms)("with images (needs xfsprogs)", () => {
  describe.each(Object.entries(FORMS))("%s", (form, options) => {
    let made: XfsImage | undefined;
    const image = (): XfsImage =>
      (made ??= xfsImage(scratch, `${form.replace(/\W+/g, "-")}.img`, {
        options,
        seed: form.length,
      }));

    test("owners() of every block are what xfs_db says", async () => {
      const map = await openFileMap(fileSource(image().path));
      expect(map).toMatchObject({ filesystem: "xfs", journal: { status: "none", pending: false } });
      const owned = await map.owners([{ offset: 0, length: map.size }]);
      expect(differences(owned, blockUses(image().path), map.blockSize)).toEqual([]);
      expect(map.problems).toEqual([]);
    });

    test("owners() by the reverse map are those by inodes", async () => {
      const whole = async (source: "inodes" | "reverse-map"): Promise<readonly OwnedRange[]> => {
        const map = await openXfsMap(fileSource(image().path), { source });
        return map.owners([{ offset: 0, length: map.size }]);
      };
      expect(await whole("reverse-map")).toEqual(await whole("inodes"));
    });

    test("lookup() and extents() lead to the bytes of every file and link", async () => {
      const bytes = load(image().path);
      const map = await openFileMap(memorySource(bytes));
      for (const [path, content] of image().files)
        expect(Buffer.compare(await contentOf(map, bytes, path), content), path).toBe(0);
      for (const [path, target] of image().links) {
        const [first] = await map.extents((await map.lookup(path))!);
        const headless = path === "/long" && !options.includes("crc=0") && first!.kind !== "inline";
        if (headless)
          expect(first).toMatchObject({ kind: "unknown", why: expect.stringContaining("header") });
        else expect(Buffer.from(await contentOf(map, bytes, path)).toString()).toBe(target);
      }
    });

    test("files() tells every inode once, with its path", async () => {
      const map = await openFileMap(later(fileSource(image().path)));
      const paths: string[] = [];
      const inodes: number[] = [];
      for await (const file of map.files()) {
        inodes.push(file.inode);
        paths.push(...file.paths);
        expect(await map.info(file.inode)).toMatchObject({ inode: file.inode, size: file.size });
      }
      expect(inodes).toEqual([...new Set(inodes)].sort((one, other) => one - other));
      for (const path of [...image().files.keys(), ...image().links.keys()])
        expect(paths).toContain(path);
    });

    test("used() is everything but free space", async () => {
      const map = await openFileMap(fileSource(image().path));
      const used = [...(await map.used())];
      const owned = await map.owners(used);
      expect(
        owned.filter(({ owners }) => owners.some(({ what }) => what === "free-space")),
      ).toEqual([]);
      const total = used.reduce((sum, { length }) => sum + length, 0);
      const free = blockUses(image().path).filter(
        ({ type }) => type.startsWith("free") && type !== "freelist",
      );
      expect(total).toBe(map.size - free.length * map.blockSize);
    });
  });

  test("verifyMetadata() sees each changed byte of metadata, and says nothing of files", async () => {
    const { path } = xfsImage(scratch, "verify.img", { options: ["-m", "rmapbt=1"], seed: 5 });
    const bytes = new Uint8Array(readFileSync(path));
    const owned = await (
      await openFileMap(memorySource(bytes))
    ).owners([{ offset: 0, length: bytes.length }]);
    const silent = new Set([
      "data",
      "file-slack",
      "free-space",
      "journal-log",
      "padding",
      "tree-reserve",
      "symlink-target",
    ]);
    for (const what of new Set(owned.flatMap(({ owners }) => owners.map((owner) => owner.what)))) {
      const range = owned.find(({ owners }) => owners.some((owner) => owner.what === what))!;
      const place = { offset: range.offset, length: Math.min(range.length, 512) };
      const map = await openFileMap(memorySource(bytes));
      expect(await map.verifyMetadata!(place), what).toBe(silent.has(what) ? undefined : true);
      if (silent.has(what)) continue;
      const changed = bytes.slice();
      changed[range.offset + 300]! ^= 1;
      expect(
        await (
          await openFileMap(memorySource(changed))
        ).verifyMetadata!(place),
        what,
      ).not.toBe(true);
    }
  });
});
