/** openXfsMap() on images that were made hostile by hand. What chance makes of them is in test/simulation/xfs-mutations.test.ts. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openXfsMap } from "../../../src/fs/xfs/index.ts";
import { openFileMap, type FileMap, type OwnedRange } from "../../../src/fs/index.ts";
import { load, memorySource, poisoned, Scratch } from "../ext4/scratch.ts";
import { mend } from "./support/mend.ts";
import { hasXfsPrograms, xfsImage } from "./support/xfs-images.ts";

const scratch = new Scratch();
afterAll(() => scratch.dispose());

const FORMS: readonly (readonly string[])[] = [
  ["-m", "rmapbt=1,reflink=1"],
  ["-m", "rmapbt=0,reflink=0"],
  ["-m", "crc=0"],
];

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

async function askAll(map: FileMap): Promise<readonly OwnedRange[]> {
  const owned = await wholeOf(map);
  let files = 0;
  for await (const file of map.files()) {
    files += 1;
    if (files % 40 === 1) {
      let at = 0;
      for (const extent of await map.extents(file.inode)) {
        expect(extent.offset).toBe(at);
        expect(extent.length).toBeGreaterThan(0);
        at += extent.length;
      }
      await map.extents(file.inode, { pastEnd: true });
      if (file.paths[0] !== undefined) await map.lookup(file.paths[0]);
    }
  }
  await map.used();
  return owned;
}

describe.skipIf(!hasXfsPrograms)("hostile images (needs xfsprogs)", () => {
  test.each(FORMS.map((options) => [options.join(" "), options] as const))(
    "a poisoned superblock is read by a copy: %s",
    async (name, options) => {
      const { path } = xfsImage(scratch, `${name.replace(/\W+/g, "-")}.img`, { options });
      const bytes = load(path);
      const owned = await wholeOf(await openFileMap(memorySource(bytes)));
      const map = await openFileMap(memorySource(bytes, [poisoned(0, 512)]));
      expect(await wholeOf(map)).toEqual(owned);
      expect(map.problems[0]?.message).toContain("a copy of it serves");
    },
  );

  describe("made by hand", () => {
    let clean: Uint8Array;
    let bytes: Uint8Array;

    beforeAll(() => {
      clean = load(xfsImage(scratch, "hand.img", { options: ["-m", "rmapbt=1"], seed: 3 }).path);
    });

    /** The owners of the image with one change in the structure that holds a byte. */
    const edited = async (
      at: { readonly start: number; readonly size: number; readonly checksum: number },
      edit: (view: DataView) => void,
    ): Promise<FileMap> => {
      bytes = clean.slice();
      const structure = bytes.subarray(at.start, at.start + at.size);
      edit(new DataView(structure.buffer, structure.byteOffset, structure.byteLength));
      mend(structure, at.checksum);
      return openFileMap(memorySource(bytes));
    };
    const firstOf = async (what: string, inode?: number): Promise<number> => {
      const map = await openFileMap(memorySource(clean));
      const owned = await map.owners([{ offset: 0, length: map.size }]);
      return owned.find(({ owners }) =>
        owners.some(
          (owner) => owner.what === what && (inode === undefined || owner.inode === inode),
        ),
      )!.offset;
    };

    test("a tree that points at itself ends, and says so", async () => {
      const start = await firstOf("inode-tree");
      const map = await edited({ start, size: 4096, checksum: 52 }, (view) => {
        view.setUint16(4, 1);
        view.setUint16(6, 1);
      });
      await wholeOf(map);
      expect(map.problems.map(({ message }) => message).join()).toContain(
        "level 0 of its inode tree",
      );
    });

    test.each([
      ["free-space-header", 512],
      ["inode-header", 512],
      ["free-list", 512],
      ["free-space-tree", 4096],
      ["inode-tree", 4096],
      ["reverse-map-tree", 4096],
      ["directory-block", 4096],
      ["inode", 512],
    ])("one changed byte of %s shows, wherever it is", async (what, size) => {
      const start = await firstOf(what);
      bytes = clean.slice();
      // Behind what is in use of most structures: only the checksum knows.
      bytes[start + size - 70]! ^= 1;
      // The reverse map is read only where it is needed.
      const source = what === "reverse-map-tree" ? "reverse-map" : "inodes";
      const map = await openXfsMap(memorySource(bytes), { source });
      await askAll(map);
      const told = map.problems.filter(({ message }) => message.includes("checksum"));
      expect(told).toMatchObject([{ range: { offset: start } }]);
    });

    test("records of an inode tree that repeat are looked at once", async () => {
      const start = await firstOf("inode-tree");
      const map = await edited({ start, size: 4096, checksum: 52 }, (view) => {
        view.setUint16(6, 200);
        for (let record = 1; record < 200; record += 1)
          for (let at = 0; at < 16; at += 4)
            view.setUint32(56 + record * 16 + at, view.getUint32(56 + at));
      });
      const inodes: number[] = [];
      for await (const file of map.files()) inodes.push(file.inode);
      expect(inodes.length).toBe(new Set(inodes).size);
      await wholeOf(map);
    });

    test("an extent outside its AG is hidden, not read", async () => {
      const map = await openFileMap(memorySource(clean));
      const inode = (await map.lookup("/report"))!;
      const slot = await firstOf("inode", inode);
      const again = await edited({ start: slot, size: 512, checksum: 100 }, (view) =>
        view.setUint32(176 + 8, 0x00ff_ff00),
      );
      expect(await again.extents(inode)).toMatchObject([
        { kind: "unknown", why: expect.stringContaining("not of one AG") },
      ]);
      await wholeOf(again);
    });

    test("a count of extents beyond the fork is not believed", async () => {
      const map = await openFileMap(memorySource(clean));
      const inode = (await map.lookup("/report"))!;
      const slot = await firstOf("inode", inode);
      const again = await edited({ start: slot, size: 512, checksum: 100 }, (view) =>
        view.setUint32(76, 5000),
      );
      expect(await again.extents(inode)).toMatchObject([
        { kind: "unknown", why: expect.stringContaining("of which") },
      ]);
    });

    test.each(["/", "\0"])("a name that holds %j is not believed", async (evil) => {
      const map = await openFileMap(memorySource(clean));
      const block = await firstOf("directory-block", await map.lookup("/block"));
      const place = Buffer.from(clean.subarray(block, block + 4096)).indexOf("b0-x");
      const again = await edited({ start: block, size: 4096, checksum: 4 }, (view) =>
        view.setUint8(place + 1, evil.charCodeAt(0)),
      );
      const paths: string[] = [];
      for await (const file of again.files()) paths.push(...file.paths);
      expect(paths.filter((path) => path.startsWith("/block/"))).toHaveLength(11);
      expect(again.problems.map(({ message }) => message).join()).toContain('holds "/" or NUL');
    });

    test.each([
      [0, { kind: "unknown", why: "claims it, but is not believed" }],
      [1, { kind: "file", why: "told by the reverse map" }],
    ])("an inode with a wrong checksum is not believed (rmapbt=%d)", async (rmapbt, owner) => {
      const options = ["-m", `rmapbt=${rmapbt}`];
      bytes = load(xfsImage(scratch, `wrong-${rmapbt}.img`, { options, seed: 3 }).path);
      const map = await openFileMap(memorySource(bytes));
      const inode = (await map.lookup("/report"))!;
      const [extent] = await map.extents(inode);
      const slot = (await wholeOf(map)).find(
        ({ owners: [first] }) => first?.inode === inode && first.what === "inode",
      );
      bytes = bytes.slice();
      bytes[slot!.offset + 300]! ^= 1;
      const again = await openFileMap(memorySource(bytes));
      expect(await again.info(inode)).toBeUndefined();
      expect(await again.owners([{ offset: extent!.device!, length: 512 }])).toMatchObject([
        { owners: [{ kind: owner.kind, why: expect.stringContaining(owner.why) }] },
      ]);
    });
  });
});
