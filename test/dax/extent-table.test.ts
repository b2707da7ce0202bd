/** ExtentTable: look-ups beside a plain walk, joined neighbours, and what is no table. */
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ExtentTable, type ExtentKind, type FileExtent } from "../../src/dax/index.ts";
import { randomSeed } from "../base/seed.ts";

const KINDS: readonly ExtentKind[] = ["data", "hole", "unwritten", "inline", "unknown"];

/** Extents one behind the other, from 0 on. */
const tables = fc
  .array(
    fc.record({
      kind: fc.constantFrom(...KINDS),
      length: fc.integer({ min: 1, max: 6 }),
      device: fc.integer({ min: 0, max: 20 }),
    }),
    { maxLength: 12 },
  )
  .map((parts) => {
    let offset = 0;
    return parts.map(({ kind, length, device }): FileExtent => {
      const place = kind === "hole" || kind === "unknown" ? {} : { device };
      const extent = { offset, length, kind, ...place };
      offset += length;
      return extent;
    });
  });

describe("ExtentTable", () => {
  test("find() names the extent of every byte, in any order, as a plain walk does", () => {
    const order = fc.array(fc.integer({ min: -1, max: 80 }), { maxLength: 40 });
    fc.assert(
      fc.property(tables, order, (extents, offsets) => {
        const table = new ExtentTable(extents);
        for (const offset of offsets) {
          const wanted = extents.find(
            (extent) => extent.offset <= offset && offset < extent.offset + extent.length,
          );
          const index = table.find(offset);
          expect(index >= 0).toBe(wanted !== undefined);
          if (wanted === undefined) continue;
          expect(table.kind(index)).toBe(wanted.kind);
          expect(table.start(index)).toBeLessThanOrEqual(wanted.offset);
          expect(table.stop(index)).toBeGreaterThanOrEqual(wanted.offset + wanted.length);
          if (wanted.device !== undefined)
            expect(table.deviceOf(index, offset)).toBe(wanted.device + offset - wanted.offset);
        }
      }),
      { seed: randomSeed() },
    );
  });

  test("joins what lies one behind the other on the device, and nothing else", () => {
    const table = new ExtentTable([
      { offset: 0, length: 10, kind: "data", device: 100 },
      { offset: 10, length: 10, kind: "data", device: 110 },
      { offset: 20, length: 10, kind: "unwritten", device: 120 },
      { offset: 30, length: 10, kind: "data", device: 130 },
      { offset: 40, length: 10, kind: "data", device: 130 },
      { offset: 50, length: 5, kind: "hole" },
      { offset: 55, length: 5, kind: "hole" },
    ]);
    const starts = [0, 19, 20, 30, 40, 50, 59].map((offset) => table.start(table.find(offset)));
    expect(starts).toEqual([0, 0, 20, 30, 40, 50, 50]);
    expect(table.end).toBe(60);
  });

  test("holds offsets past 2^32", () => {
    const table = new ExtentTable([
      { offset: 0, length: 2 ** 45, kind: "hole" },
      { offset: 2 ** 45, length: 10, kind: "data", device: 2 ** 44 },
    ]);
    expect(table.deviceOf(table.find(2 ** 45 + 3), 2 ** 45 + 3)).toBe(2 ** 44 + 3);
    expect(table.find(2 ** 45 + 10)).toBe(-1);
  });

  test("of an empty file finds nothing", () => {
    const table = new ExtentTable([]);
    expect([table.end, table.find(0)]).toEqual([0, -1]);
  });

  test.each([
    [[{ offset: 1, length: 1, kind: "hole" }]],
    [[{ offset: 0, length: 0, kind: "hole" }]],
    [
      [
        { offset: 0, length: 2, kind: "hole" },
        { offset: 3, length: 2, kind: "hole" },
      ],
    ],
  ] as const)("is not made of %j", (extents) => {
    expect(() => new ExtentTable(extents)).toThrow(/extents follow each other/);
  });
});
