/** openExt4Map(): files, paths, extents and owners of images made by mke2fs. */
import { readFileSync } from "node:fs";
import { afterAll, describe, expect, test } from "vitest";
import { endOf } from "../../../src/base/index.ts";
import type { FileMap, OwnedRange } from "../../../src/fs/index.ts";
import { openExt4Map } from "../../../src/fs/ext4/index.ts";
import { hasProgram, later, memorySource, run, Scratch } from "./scratch.ts";
import { MANY, REPORT_SIZE, sampleImage } from "./support/sample-tree.ts";

const scratch = new Scratch();
afterAll(() => scratch.dispose());

const LAYOUTS: Readonly<Record<string, readonly string[]>> = {
  "ext4, 1 KiB blocks": ["-t", "ext4", "-b", "1024"],
  "ext4, 4 KiB blocks": ["-t", "ext4", "-b", "4096"],
  "ext4, no checksums": ["-t", "ext4", "-b", "1024", "-O", "^metadata_csum"],
  "ext3, block maps": ["-t", "ext3", "-b", "1024"],
  "ext2, 2 KiB blocks, small inodes": ["-t", "ext2", "-b", "2048", "-I", "128"],
  "inline data": ["-t", "ext4", "-b", "1024", "-O", "inline_data", "-I", "512"],
  bigalloc: ["-t", "ext4", "-b", "1024", "-O", "bigalloc,^resize_inode", "-C", "8192"],
};

function whatsOf(owned: readonly OwnedRange[]): string[] {
  return [...new Set(owned.flatMap(({ owners }) => owners.map(({ what }) => what)))];
}

async function contentOf(map: FileMap, bytes: Uint8Array, path: string): Promise<Buffer> {
  const inode = (await map.lookup(path))!;
  const parts = (await map.extents(inode)).map(({ kind, device, length }) => {
    if (kind === "data" || kind === "inline") return bytes.subarray(device, device! + length);
    expect(kind).not.toBe("unknown");
    return new Uint8Array(length);
  });
  return Buffer.concat(parts);
}

describe.skipIf(!hasProgram("mke2fs"))("openExt4Map (needs mke2fs)", () => {
  for (const [name, options] of Object.entries(LAYOUTS)) {
    describe(`layout: ${name}`, () => {
      const bytes = sampleImage(scratch, options);

      test("extents() leads to the content of every file", async () => {
        const map = await openExt4Map(memorySource(bytes));
        for (const path of [
          "docs/report",
          "docs/deep/same",
          "docs/deep/deeper/large",
          "docs/tiny",
          "docs/empty",
          "sparse",
        ]) {
          expect(
            (await contentOf(map, bytes, `/${path}`)).equals(
              readFileSync(scratch.path(`tree/${path}`)),
            ),
            path,
          ).toBe(true);
        }
        expect((await contentOf(map, bytes, "/docs/short-link")).toString()).toBe("report");
        expect((await contentOf(map, bytes, "/docs/long-link")).toString()).toBe("x".repeat(200));
        expect(map.problems).toEqual([]);
      });

      test("owners() gives every byte of the volume an owner, and none is unknown", async () => {
        const map = await openExt4Map(memorySource(bytes));
        const owned = await map.owners([{ offset: 0, length: map.size }]);
        let at = 0;
        for (const range of owned) {
          expect(range.offset).toBe(at);
          expect(range.owners.length).toBeGreaterThan(0);
          at = endOf(range);
        }
        expect(at).toBe(map.size);
        expect(whatsOf(owned)).not.toContain("unknown");
      });

      test("owners() and extents() agree on every file's blocks", async () => {
        const map = await openExt4Map(memorySource(bytes));
        for (const path of ["/docs/report", "/docs/deep/deeper/large", "/sparse"]) {
          const inode = (await map.lookup(path))!;
          for (const extent of await map.extents(inode)) {
            if (extent.kind !== "data") continue;
            const owned = await map.owners([{ offset: extent.device!, length: extent.length }]);
            for (const { offset, length, owners } of owned) {
              const start = extent.offset + offset - extent.device!;
              expect(owners).toMatchObject([
                { kind: "file", inode, what: "data", ranges: [{ offset: start, length }] },
              ]);
            }
          }
        }
      });

      test("a file with two names has both paths", async () => {
        const map = await openExt4Map(memorySource(bytes));
        const inode = (await map.lookup("/docs/report"))!;
        expect(await map.paths(inode)).toEqual(["/docs/deep/same", "/docs/report"]);
        expect(await map.lookup("/docs/deep/same")).toBe(inode);
        expect(await map.info(inode)).toMatchObject({ kind: "file", size: REPORT_SIZE, links: 2 });
      });

      test("files() tells each inode once, ascending, with its paths", async () => {
        const map = await openExt4Map(memorySource(bytes));
        const paths: string[] = [];
        let last = 0;
        for await (const file of map.files()) {
          expect(file.inode).toBeGreaterThan(last);
          last = file.inode;
          paths.push(...file.paths);
        }
        expect(paths.filter((path) => path.startsWith("/many/")).length).toBe(MANY);
        expect(paths).toContain("/docs/deep/deeper");
      });

      test("used() holds everything but free space", async () => {
        const map = await openExt4Map(memorySource(bytes));
        const used = [...(await map.used())];
        const owned = await map.owners([{ offset: 0, length: map.size }]);
        const busy = owned.filter(({ owners }) =>
          owners.every(({ what }) => what !== "free-space"),
        );
        for (const range of busy) {
          expect(
            used.some((part) => part.offset <= range.offset && endOf(part) >= endOf(range)),
            JSON.stringify(range),
          ).toBe(true);
        }
      });
    });
  }

  test("the answers of a source that answers later are the same", async () => {
    const bytes = sampleImage(scratch, ["-t", "ext4", "-b", "1024"]);
    const [now, after] = await Promise.all([
      openExt4Map(memorySource(bytes)),
      openExt4Map(later(memorySource(bytes))),
    ]);
    const whole = [{ offset: 0, length: now.size }];
    expect(await after.owners(whole)).toEqual(await now.owners(whole));
  });

  test("calls at the same time do not disturb each other", async () => {
    const map = await openExt4Map(memorySource(sampleImage(scratch, ["-t", "ext4", "-b", "1024"])));
    const ranges = Array.from({ length: 8 }, (_, index) => [
      { offset: index * 1024 * 1024, length: 1024 * 1024 },
    ]);
    const alone = [];
    for (const range of ranges) alone.push(await map.owners(range));
    expect(await Promise.all(ranges.map(async (range) => map.owners(range)))).toEqual(alone);
  });

  test("the last block of a file is data up to its size and slack behind, to the byte", async () => {
    const map = await openExt4Map(memorySource(sampleImage(scratch, ["-t", "ext4", "-b", "4096"])));
    const inode = (await map.lookup("/docs/report"))!;
    const last = (await map.extents(inode)).at(-1)!;
    const start = last.device! + last.length - 4;
    const owned = await map.owners([{ offset: start, length: 64 }]);
    expect(
      owned.map(({ offset, length, owners }) => [offset - start, length, owners[0]!.what]),
    ).toEqual([
      [0, 4, "data"],
      [4, 60, "file-slack"],
    ]);
    expect(owned[1]!.owners[0]).toMatchObject({
      kind: "slack",
      inode,
      ranges: [{ offset: REPORT_SIZE, length: 60 }],
    });
  });

  test("a slot of an inode table is answered with its number and paths, and what it holds itself", async () => {
    const map = await openExt4Map(memorySource(sampleImage(scratch, ["-t", "ext4", "-b", "1024"])));
    const link = (await map.lookup("/docs/short-link"))!;
    const target = (await map.extents(link))[0]!;
    const slot = target.device! - 40;
    const owned = await map.owners([{ offset: slot, length: 256 }]);
    expect(owned.map(({ length, owners }) => [length, owners[0]!.what])).toEqual([
      [40, "inode"],
      [6, "symlink-target"],
      [210, "inode"],
    ]);
    expect(owned[1]!.owners[0]).toMatchObject({
      inode: link,
      paths: ["/docs/short-link"],
      ranges: [{ offset: 0, length: 6 }],
    });
  });

  test("an indexed directory's root is directory-index, its leaves are directory-block", async () => {
    const bytes = sampleImage(scratch, ["-t", "ext4", "-b", "1024"]);
    const path = scratch.path("sample.img");
    run("e2fsck", ["-fyD", path], 1);
    const indexed = new Uint8Array(readFileSync(path));
    const map = await openExt4Map(memorySource(indexed));
    const many = (await map.lookup("/many"))!;
    const owned = await map.owners(
      (await map.extents(many)).map(({ device, length }) => ({ offset: device!, length })),
    );
    const pieces = owned
      .flatMap(({ owners }) => owners)
      .sort((one, other) => one.ranges[0]!.offset - other.ranges[0]!.offset);
    expect(pieces[0]).toMatchObject({
      what: "directory-index",
      inode: many,
      paths: ["/many"],
      ranges: [{ offset: 0, length: 1024 }],
    });
    expect(new Set(pieces.slice(1).map(({ what }) => what))).toEqual(new Set(["directory-block"]));
    expect(bytes.length).toBe(indexed.length);
  });

  test("behind the file system nothing belongs to it", async () => {
    const map = await openExt4Map(memorySource(sampleImage(scratch, ["-t", "ext4", "-b", "1024"])));
    const owned = await map.owners([{ offset: map.size - 10, length: 100 }]);
    expect(owned.at(-1)).toMatchObject({
      offset: map.size,
      length: 90,
      owners: [{ kind: "free", what: "unpartitioned" }],
    });
  });

  test("owners() refuses a range that is none", async () => {
    const map = await openExt4Map(memorySource(sampleImage(scratch, ["-t", "ext4", "-b", "1024"])));
    await expect(map.owners([{ offset: -1, length: 5 }])).rejects.toThrow(TypeError);
    await expect(map.owners([{ offset: 0.5, length: 5 }])).rejects.toThrow(TypeError);
  });

  test("verifyMetadata() is true of sound metadata, false of changed, and undefined of data", async () => {
    const bytes = sampleImage(scratch, ["-t", "ext4", "-b", "1024"]);
    const map = await openExt4Map(memorySource(bytes));
    const owned = await map.owners([{ offset: 0, length: map.size }]);
    for (const what of [
      "superblock",
      "block-bitmap",
      "inode-bitmap",
      "inode",
      "extent-tree",
      "directory-block",
      "group-descriptors",
    ]) {
      const range = owned.find(({ owners }) => owners[0]!.what === what)!;
      const offset = range.offset - (range.offset % 1024);
      expect(await map.verifyMetadata!({ offset, length: 1024 }), what).toBe(true);
      if (what === "group-descriptors" || what === "superblock") continue;
      const changed = bytes.slice();
      changed[range.offset + 8]! ^= 0x10;
      const broken = await openExt4Map(memorySource(changed));
      expect(await broken.verifyMetadata!({ offset, length: 1024 }), `changed ${what}`).not.toBe(
        true,
      );
    }
    const data = owned.find(({ owners }) => owners[0]!.what === "data")!;
    expect(await map.verifyMetadata!({ offset: data.offset, length: 1024 })).toBeUndefined();
  });

  test("an unknown incompatible feature makes every owner and extent unknown, and names it", async () => {
    const bytes = sampleImage(scratch, ["-t", "ext4", "-b", "1024", "-O", "^metadata_csum"]);
    bytes[1024 + 0x63]! |= 0x40;
    const map = await openExt4Map(memorySource(bytes));
    const owned = await map.owners([{ offset: 0, length: map.size }]);
    expect(owned).toMatchObject([
      {
        offset: 0,
        length: map.size,
        owners: [{ kind: "unknown", why: expect.stringContaining("FEATURE_I30") }],
      },
    ]);
    expect(await map.extents(2)).toMatchObject([
      { kind: "unknown", why: expect.stringContaining("FEATURE_I30") },
    ]);
    expect(await map.lookup("/docs")).toBeUndefined();
  });
});
