/** NameTable: paths from names, also of trees that are none. */
import { expect, test } from "vitest";
import { NameTable } from "../../src/fs/name-table.ts";

function tableOf(
  names: readonly (readonly [child: number, parent: number, name: string])[],
): NameTable {
  const table = new NameTable(2);
  for (const [child, parent, name] of names)
    table.add({
      child,
      parent,
      bytes: Buffer.from(name),
      start: 0,
      end: name.length,
      encrypted: false,
    });
  return table;
}

test("pathsOf() joins the names up to the root", () => {
  const table = tableOf([
    [12, 2, "docs"],
    [13, 12, "report"],
    [13, 2, "also"],
  ]);
  expect(table.pathsOf(13)).toEqual(["/also", "/docs/report"]);
  expect(table.pathsOf(2)).toEqual(["/"]);
  expect(table.pathsOf(99)).toEqual([]);
});

test("pathsOf() gives no path where an ancestor has no name", () => {
  expect(tableOf([[13, 12, "report"]]).pathsOf(13)).toEqual([]);
});

test("pathsOf() of directories in a cycle ends, and keeps the ways that lead to the root", () => {
  const table = tableOf([
    [12, 2, "a"],
    [13, 12, "b"],
    [12, 13, "back"],
    [14, 13, "file"],
    [15, 12, "other"],
  ]);
  expect(table.pathsOf(15)).toContain("/a/other");
  expect(table.pathsOf(14)).toContain("/a/b/file");
  expect(table.pathsOf(12)).toContain("/a");
});

test("pathsOf() of a cycle apart from the root is empty", () => {
  const table = tableOf([
    [12, 13, "a"],
    [13, 12, "b"],
    [14, 13, "file"],
  ]);
  expect(table.pathsOf(14)).toEqual([]);
});

test("pathsOf() of a chain of a hundred thousand directories ends", () => {
  const names = Array.from({ length: 100_000 }, (_, index) => [index + 3, index + 2, "x"] as const);
  const table = tableOf(names);
  expect(table.pathsOf(1002)[0]).toBe("/x".repeat(1000));
  expect(table.pathsOf(100_002).length).toBeLessThanOrEqual(1);
});

test("pathsOf() of directories with many names each does not explode", () => {
  const names = Array.from(
    { length: 4000 },
    (_, index) => [3 + Math.floor(index / 4), 2 + Math.floor(index / 4), `name-${index}`] as const,
  );
  expect(tableOf(names).pathsOf(900).length).toBeLessThanOrEqual(64);
});

test("add() refuses a name with a slash, a NUL or nothing in it, and takes it where it is encrypted", () => {
  const table = new NameTable(2);
  const add = (name: string, encrypted = false): boolean =>
    table.add({
      child: 12,
      parent: 2,
      bytes: Buffer.from(name),
      start: 0,
      end: name.length,
      encrypted,
    });
  expect([add("a/b"), add("a\0"), add("")]).toEqual([false, false, false]);
  expect(table.pathsOf(12)).toEqual([]);
  expect([add("a.b"), add("a/b", true)]).toEqual([true, true]);
  expect(table.pathsOf(12)).toEqual(["/\\encrypted:YS9i", "/a.b"]);
});
