/** What range-algebra promises. */
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { difference, intersection, RangeSet, union } from "../../src/base/index.ts";
import { expectSame, RangeModel } from "./range-model.ts";
import { randomSeed } from "./seed.ts";

const WINDOW = 300;
const BASE = 2 ** 53 - WINDOW;

const cellsOf = fc
  .array(fc.tuple(fc.boolean(), fc.integer({ min: 1, max: 30 })), { maxLength: 60 })
  .map((runs) => runs.flatMap(([value, length]) => Array<number>(length).fill(Number(value))));

function setOf(cells: readonly number[]): { set: RangeSet; model: RangeModel } {
  const model = new RangeModel(BASE, WINDOW);
  model.cells.set(cells.slice(0, WINDOW));
  return { set: RangeSet.from(model.runs(1)), model };
}

describe("set algebra", () => {
  test.each([
    ["union", union, (one: number, other: number) => one | other],
    ["intersection", intersection, (one: number, other: number) => one & other],
    ["difference", difference, (one: number, other: number) => one & ~other & 1],
  ])("%s() has the bytes that a bitmap has, and changes neither set", (_name, operation, cell) => {
    fc.assert(
      fc.property(cellsOf, cellsOf, (oneCells, otherCells) => {
        const one = setOf(oneCells);
        const other = setOf(otherCells);
        const want = new RangeModel(BASE, WINDOW);
        want.cells.set(one.model.cells.map((value, at) => cell(value, other.model.cells[at]!)));
        expectSame(operation(one.set, other.set), want);
        expect([...one.set]).toEqual(one.model.runs(1));
        expect([...other.set]).toEqual(other.model.runs(1));
      }),
      { seed: randomSeed(), numRuns: 300 },
    );
  });

  test("a set with itself: union() and intersection() are the set, difference() is empty", () => {
    const set = RangeSet.from([
      { offset: 5, length: 5 },
      { offset: 20, length: 1 },
    ]);
    expect([...union(set, set)]).toEqual([...set]);
    expect([...intersection(set, set)]).toEqual([...set]);
    expect(difference(set, set).size).toBe(0);
  });
});
