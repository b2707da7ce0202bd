/** mounted-map: owners of a live file's bytes by made-up extents, and what may not be written. */
import { describe, expect, test } from "vitest";
import { inFile, MountedMap, onDevice, type MountedPlace } from "../../../src/fs/index.ts";
import type { FileExtent } from "../../../src/os/index.ts";

const PAGE = 4096;
const PLACE = {
  path: "/mnt/x/docs/book",
  inside: "/docs/book",
  mount: { number: "1:1", root: "/", folder: "/mnt/x", type: "ext4", source: "", options: [] },
} as unknown as MountedPlace;

function extent(
  offset: number,
  physical: number,
  more: Partial<FileExtent> & { length: number },
): FileExtent {
  return { offset, physical, isUnwritten: false, flaw: undefined, ...more };
}

const EXTENTS = [
  extent(0, 100 * PAGE, { length: 2 * PAGE }),
  extent(2 * PAGE, 50 * PAGE, { length: PAGE, flaw: "shared" }),
  extent(4 * PAGE, 60 * PAGE, { length: PAGE, isUnwritten: true }),
  extent(5 * PAGE, 70 * PAGE, { length: PAGE }),
];

function map(extents: readonly FileExtent[] = EXTENTS, refusal?: string): MountedMap {
  const facts = { inode: 12, size: 5 * PAGE + 100, modifiedNs: 9n, extents };
  return new MountedMap({
    place: PLACE,
    facts,
    blockSize: PAGE,
    size: 6 * PAGE,
    refusal,
    reread: () => ({ ...facts, extents: [extent(0, 7 * PAGE, { length: 6 * PAGE })] }),
  });
}

function told(from: number, length: number): readonly unknown[] {
  return map()
    .owners([{ offset: from, length }])
    .map(({ offset, length: bytes, owners }) => [
      offset,
      bytes,
      owners[0]?.kind,
      owners[0]?.what,
      owners[0]?.refusal?.split(":")[0],
    ]);
}

describe("MountedMap", () => {
  test("owners() tells content by its path, once from the root of the file system and once from the machine's", () => {
    const [owned] = map().owners([{ offset: 0, length: 10 }]);
    expect(owned?.owners[0]).toMatchObject({
      kind: "file",
      what: "data",
      inode: 12,
      paths: ["/docs/book", "/mnt/x/docs/book"],
      ranges: [{ offset: 0, length: 10 }],
    });
    expect(owned?.owners[0]?.refusal).toBeUndefined();
  });

  test("owners() leaves no byte out, and says which may not be written and what to do instead", () => {
    expect(told(PAGE, 5 * PAGE)).toEqual([
      [PAGE, PAGE, "file", "data", undefined],
      [
        2 * PAGE,
        PAGE,
        "file",
        "data",
        "other files share its blocks (reflink), so a write would move this one to new blocks",
      ],
      [3 * PAGE, PAGE, "slack", "unwritten", undefined],
      [4 * PAGE, PAGE, "slack", "unwritten", "it is allocated and was never written"],
      [5 * PAGE, 100, "file", "data", undefined],
      [5 * PAGE + 100, PAGE - 100, "slack", "file-slack", undefined],
    ]);
  });

  test("owners() refuses all of a file that takes no writes", () => {
    const [owned] = map(EXTENTS, "it is immutable").owners([{ offset: 0, length: 10 }]);
    expect(owned?.owners[0]?.refusal).toBe("it is immutable");
  });

  test("R8: placement() changes where blocks move, though offsets in the file are what they were", () => {
    const before = map();
    const after = before.reopen();
    expect(after.placement(12)).not.toBe(before.placement(12));
    expect(map().placement(12)).toBe(before.placement(12));
    expect(after.generation).not.toBe(before.generation);
  });

  test("extents() are the file's own offsets, clipped to its size unless its end is wanted", () => {
    expect(map().extents(12, { offset: 5 * PAGE })).toEqual([
      { offset: 5 * PAGE, length: 100, kind: "data", device: 5 * PAGE },
    ]);
    expect(map().extents(12, { pastEnd: true }).at(-1)).toMatchObject({ length: PAGE });
    expect(map().extents(13)).toEqual([]);
  });
});

describe("places", () => {
  test("inFile() gives what of a device range lies in the file, in its own offsets", () => {
    expect([...inFile(EXTENTS, { offset: 101 * PAGE + 512, length: 2 * PAGE })]).toEqual([
      { offset: PAGE + 512, length: PAGE - 512 },
    ]);
    expect([...inFile(EXTENTS, { offset: 0, length: 50 * PAGE })]).toEqual([]);
  });

  test("onDevice() leaves out what has no plain place: holes and unwritten blocks", () => {
    expect([...onDevice(EXTENTS, { offset: PAGE, length: 5 * PAGE })]).toEqual([
      { offset: PAGE, length: PAGE, at: 101 * PAGE },
      { offset: 2 * PAGE, length: PAGE, at: 50 * PAGE },
      { offset: 5 * PAGE, length: PAGE, at: 70 * PAGE },
    ]);
  });
});
