/** file-extents: the buffer of a FIEMAP call as the kernel leaves it (struct fiemap, struct fiemap_extent of linux/fiemap.h). */
import { describe, expect, test } from "vitest";
import { decodeExtents } from "../../src/os/file-extents.ts";

function buffer(extents: readonly (readonly [number, number, number, number])[]): Uint8Array {
  const bytes = new Uint8Array(32 + 56 * extents.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(20, extents.length, true);
  for (const [index, [offset, physical, length, flags]] of extents.entries()) {
    const at = 32 + index * 56;
    view.setBigUint64(at, BigInt(offset), true);
    view.setBigUint64(at + 8, BigInt(physical), true);
    view.setBigUint64(at + 16, BigInt(length), true);
    view.setUint32(at + 40, flags, true);
  }
  return bytes;
}

describe("decodeExtents()", () => {
  test("takes places, and ends with the last extent", () => {
    const { extents, isLast } = decodeExtents(
      buffer([
        [0, 1_048_576, 8192, 0],
        [8192, 4096, 4096, 1],
      ]),
    );
    expect(isLast).toBe(true);
    expect(extents.map(({ offset, physical, length }) => [offset, physical, length])).toEqual([
      [0, 1_048_576, 8192],
      [8192, 4096, 4096],
    ]);
  });

  test.each([
    [0x2000, "shared"],
    [0x8, "encoded"],
    [0x88, "encoded"],
    [0x206, "inline"],
    [0x6, "delayed"],
    [0x2, "unknown"],
    [0x400, "unknown"],
    [0x1001, undefined],
  ])("calls flags 0x%s %s", (flags, flaw) => {
    expect(decodeExtents(buffer([[0, 4096, 4096, flags]])).extents[0]?.flaw).toBe(flaw);
  });

  test("calls an unwritten extent so, whatever else it is", () => {
    expect(decodeExtents(buffer([[0, 4096, 4096, 0x2801]])).extents[0]).toMatchObject({
      isUnwritten: true,
      flaw: "shared",
    });
  });
});
