/**
 * openXfsMap() on hostile and poisoned images: whatever is wrong, the map answers for every byte in bounded time, throws nothing but a
 * StorageError, and where checksums show the harm never names a wrong owner. `XFS_MUTATIONS=50000` makes more, `SEED=123` others.
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openXfsMap } from "../../../src/fs/xfs/index.ts";
import { createPrng, StorageError } from "../../../src/base/index.ts";
import { openFileMap, type FileMap, type OwnedRange } from "../../../src/fs/index.ts";
import { load, memorySource, poisoned, Scratch } from "../ext4/scratch.ts";
import { harm, mend, type Sizes } from "./support/mutate-image.ts";
import { hasXfsPrograms, xfsImage } from "./support/xfs-images.ts";

const SEED = Number(process.env["SEED"] ?? 1);
const MUTATIONS = Number(process.env["XFS_MUTATIONS"] ?? 120);
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

/** Owners of each block by kind, inode and what, for those that hold content of files. */
function contentOwners(owned: readonly OwnedRange[], blockSize: number): Map<number, Set<string>> {
  const owners = new Map<number, Set<string>>();
  for (const { offset, length, owners: list } of owned) {
    for (
      let block = Math.floor(offset / blockSize);
      block * blockSize < offset + length;
      block += 1
    ) {
      const all = owners.get(block) ?? new Set();
      for (const { kind, inode, what } of list)
        all.add(kind === "unknown" ? kind : `${kind} ${inode} ${what}`);
      owners.set(block, all);
    }
  }
  return owners;
}

/** What of owners is false by the truth: "unknown" never is. */
function lies(
  owned: readonly OwnedRange[],
  truth: ReadonlyMap<number, ReadonlySet<string>>,
  blockSize: number,
): string[] {
  const wrong: string[] = [];
  for (const [block, owners] of contentOwners(owned, blockSize)) {
    for (const owner of owners) {
      const known = truth.get(block)!;
      if (owner === "unknown" || known.has(owner)) continue;
      // With the inode tree hidden, nobody can say whether a slot is in use; the reverse map knows fewer kinds than the trees.
      const vague = owner.includes("inode-table") || / (free-space-tree|inode-tree)$/.test(owner);
      if (!vague) wrong.push(`block ${block}: ${owner}, not ${[...known].join(" or ")}`);
    }
  }
  return wrong;
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
  describe.each(FORMS.map((options) => [options.join(" "), options] as const))(
    "%s",
    (name, options) => {
      let bytes: Uint8Array;
      let truth: ReadonlyMap<number, ReadonlySet<string>>;
      let owned: readonly OwnedRange[];
      const checksums = !options.includes("crc=0");
      const sizes: Sizes = { sector: 512, slot: checksums ? 512 : 256, block: 4096 };

      beforeAll(async () => {
        const { path } = xfsImage(scratch, `${name.replace(/\W+/g, "-")}.img`, {
          options,
          seed: SEED,
        });
        bytes = load(path);
        const map = await openFileMap(memorySource(bytes));
        owned = await wholeOf(map);
        truth = contentOwners(owned, map.blockSize);
      });

      test(
        `owners() of harmed images are whole, and no lies where harm shows (SEED=${SEED})`,
        { timeout: 60_000 + MUTATIONS * 2000 },
        async () => {
          const metadata = owned.filter(({ owners }) =>
            owners.some(
              ({ kind, what }) =>
                kind === "metadata" || kind === "directory" || what === "free-inode",
            ),
          );
          let answered = 0;
          for (let index = 0; index < MUTATIONS / FORMS.length; index += 1) {
            const prng = createPrng(SEED * 1_000_003 + index);
            const { bad, mended, text, undo } = harm(bytes, prng, { metadata, sizes, checksums });
            try {
              const map = await openFileMap(memorySource(bytes, bad));
              const told = await askAll(map);
              answered += 1;
              if (!mended && map.size === bytes.length)
                expect(lies(told, truth, map.blockSize), text).toEqual([]);
            } catch (error) {
              if (!(error instanceof StorageError))
                throw new Error(`mutation ${index}, ${text}`, { cause: error });
            } finally {
              undo();
            }
          }
          expect(answered).toBeGreaterThan(0);
        },
      );

      test("a poisoned superblock is read by a copy", async () => {
        const map = await openFileMap(memorySource(bytes, [poisoned(0, 512)]));
        expect(contentOwners(await wholeOf(map), map.blockSize)).toEqual(truth);
        expect(map.problems[0]?.message).toContain("a copy of it serves");
      });

      test("a poisoned block of every tree hides only what it alone knew", async () => {
        const seen = new Set<string>();
        for (const { offset, length, owners } of owned) {
          const [{ what, inode }] = owners as [OwnedRange["owners"][0]];
          if (!/tree|header|list|directory-index/.test(what) || seen.has(what)) continue;
          seen.add(what);
          const map = await openFileMap(
            memorySource(bytes, [poisoned(offset, Math.min(length, 4096))]),
          );
          const told = await wholeOf(map);
          expect(lies(told, truth, map.blockSize), what).toEqual([]);
          const hidden = told.filter((range) =>
            range.owners.some(({ kind }) => kind === "unknown"),
          );
          const alone =
            ["inode-header", "inode-tree", "extent-tree", "free-space-header"].includes(what) ||
            (what === "free-list" && !options.includes("rmapbt=1,reflink=1"));
          if (!alone) expect(hidden, `${what} ${inode}`).toEqual([]);
        }
        expect(seen.size).toBeGreaterThan(5);
      });
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

    test("an inode with a wrong checksum is told, not believed", async () => {
      const map = await openFileMap(memorySource(clean));
      const inode = (await map.lookup("/report"))!;
      const [extent] = await map.extents(inode);
      bytes = clean.slice();
      bytes[(await firstOf("inode", inode)) + 300]! ^= 1;
      const again = await openFileMap(memorySource(bytes));
      expect(await again.info(inode)).toBeUndefined();
      expect(await again.owners([{ offset: extent!.device!, length: 512 }])).toMatchObject([
        {
          owners: [
            {
              kind: "unknown",
              why: expect.stringContaining(`Inode ${inode} claims it, but is not believed`),
            },
          ],
        },
      ]);
    });
  });
});
