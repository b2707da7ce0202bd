/** Linux' table of bad sectors: vectors that its own code gave, its sysfs texts, and random steps beside an array of sectors. */
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { StorageError } from "../../src/base/index.ts";
import { BADBLOCKS_LIMIT, BadblocksTable } from "../../src/poison/index.ts";
import { randomSeed } from "../base/seed.ts";

/** A table after `set`s, acked unless said. */
function tableOf(...ranges: readonly (readonly [number, number, boolean?])[]): BadblocksTable {
  const table = new BadblocksTable();
  for (const [start, sectors, acked = true] of ranges) table.set(start, sectors, { acked });
  return table;
}

/** A table of so many single sectors, none touching another. */
function isolated(count: number): BadblocksTable {
  const table = new BadblocksTable();
  for (let index = 0; index < count; index += 1) table.set(index * 10, 1);
  return table;
}

describe("vectors of the kernel's own code", () => {
  test("set() joins what touches and overlaps, clear() cuts and splits", () => {
    const table = tableOf([10, 5], [15, 5]);
    expect(table.show()).toBe("10 10\n");
    table.set(12, 2);
    table.set(5, 5);
    expect(table.show()).toBe("5 15\n");
    table.set(0, 30);
    expect(table.show()).toBe("0 30\n");
    const whole = { start: 0, sectors: 30, acked: true };
    expect(table.check(29, 5)).toEqual({ answer: 1, first: whole });
    expect(table.check(30, 5)).toEqual({ answer: 0, first: undefined });
    expect(table.clear(10, 5)).toBe(true);
    expect(table.show()).toBe("0 10\n15 15\n");
    table.clear(0, 3);
    table.clear(25, 10);
    expect(table.show()).toBe("3 7\n15 10\n");
  });

  test("set() splits at 512 sectors", () => {
    const table = tableOf([0, 1000]);
    expect(table.show()).toBe("0 512\n512 488\n");
    table.clear(100, 600);
    expect(table.show()).toBe("0 100\n700 300\n");
  });

  test("set() over several records gives the exact union", () => {
    expect(tableOf([32, 1], [34, 1], [36, 1], [32, 12]).show()).toBe("32 12\n");
  });

  test("set() puts acked sectors over unacked ones", () => {
    const table = tableOf([10, 10, false], [13, 2, true]);
    expect(table.show()).toBe("10 3\n13 2\n15 5\n");
    expect(table.show({ unacked: true })).toBe("10 3\n15 5\n");
    expect([table.check(10, 1).answer, table.check(13, 1).answer]).toEqual([-1, 1]);
  });

  test("set() never puts unacked sectors over acked ones", () => {
    const table = tableOf([10, 10, true], [5, 20, false]);
    expect(table.show()).toBe("5 5\n10 10\n20 5\n");
    expect(table.show({ unacked: true })).toBe("5 5\n20 5\n");
  });

  test("set() of 600 isolated ranges takes 512, and then not even one that is there", () => {
    const table = new BadblocksTable();
    const answers = Array.from({ length: 600 }, (_, index) => table.set(index * 10, 1));
    expect(answers.indexOf(false)).toBe(BADBLOCKS_LIMIT);
    expect(answers.lastIndexOf(true)).toBe(BADBLOCKS_LIMIT - 1);
    expect(table.set(0, 1)).toBe(false);
  });

  test("clear() in the middle of a record of a full table changes nothing, from its start it works", () => {
    const table = isolated(511);
    table.set(6000, 100);
    const before = table.show();
    expect(table.clear(6050, 5)).toBe(false);
    expect(table.show()).toBe(before);
    expect(table.clear(6000, 50)).toBe(true);
    expect(table.check(6000, 50).answer).toBe(0);
    expect(table.check(6050, 50).answer).toBe(1);
  });
});

test("set() and clear() of nothing are refused", () => {
  const table = tableOf([5, 5]);
  expect([table.set(5, 0), table.clear(5, 0)]).toEqual([false, false]);
  expect(table.clear(100, 5)).toBe(true);
});

test("set() that fails has recorded its head", () => {
  const table = isolated(511);
  expect(table.set(6000, 600)).toBe(false);
  expect([table.check(6000, 512).answer, table.check(6512, 88).answer]).toEqual([1, 0]);
});

test("set() refuses to ack the middle of an unacked record where two more find no room", () => {
  const table = isolated(510);
  table.set(6000, 10, { acked: false });
  expect(table.set(6003, 2)).toBe(false);
  expect(table.check(6003, 2).answer).toBe(-1);
  expect(table.set(6000, 2)).toBe(true);
});

test("ackAll() does nothing while changes are not written, then acks and joins", () => {
  const table = tableOf([0, 5], [5, 5, false]);
  table.ackAll();
  expect(table.show({ unacked: true })).toBe("5 5\n");
  expect(table.changed).toBe(true);
  table.forgetChanged();
  table.ackAll();
  expect(table.show()).toBe("0 10\n");
  expect(table.check(0, 10).answer).toBe(1);
});

test("show() ends after 4095 bytes, in the middle of a line", () => {
  const table = new BadblocksTable();
  for (let index = 0; index < 512; index += 1) table.set(1e12 + index * 2, 1);
  const text = table.show();
  // Lines of 16 bytes: 256 of them, the last one without its newline.
  expect([text.length, text.split("\n").length, text.endsWith("510 1")]).toEqual([4095, 256, true]);
});

describe("store() as the sysfs file", () => {
  function stored(text: string): string {
    const table = new BadblocksTable();
    try {
      return `${table.store(text)} ${table.show()}`;
    } catch (error) {
      return error instanceof StorageError ? error.code : String(error);
    }
  }

  test.each([
    ["10 5", "4 10 5\n"],
    ["10 5\n", "5 10 5\n"],
    ["  10   5\n", "9 10 5\n"],
    ["10 5\nrest", "9 10 5\n"],
    ["10\n5", "4 10 5\n"],
    ["2055 4294967299", "15 2055 3\n"],
    ["18014398509481989 1", "19 5 1\n"],
  ])("takes %j", (text, answer) => {
    expect(stored(text)).toBe(answer);
  });

  test.each([
    "",
    "10",
    "x 5",
    "10 x",
    "10 0",
    "10 -5",
    "-10 5",
    "+10 5",
    "10 5x",
    "10 5 ",
    "10,5",
    "105",
  ])("refuses %j with EINVAL", (text) => {
    expect(stored(text)).toBe("EINVAL");
  });

  test("answers ENOSPC at the 513th isolated range", () => {
    const table = isolated(BADBLOCKS_LIMIT);
    expect(() => table.store("6000 1\n")).toThrow(/ENOSPC/);
  });
});

test("BadblocksTable refuses a limit and sectors that are none", () => {
  expect(() => new BadblocksTable({ limit: 0 })).toThrow(RangeError);
  for (const [start, sectors] of [
    [-1, 1],
    [0.5, 1],
    [2 ** 53, 1],
  ] as const)
    expect(() => new BadblocksTable().set(start, sectors)).toThrow(TypeError);
});

const SPACE = 3000;

/** What a sector is: 0 clean, 1 unacked, 2 acked. */
type Sectors = Uint8Array;

/** The union that a table without limits would hold. */
function setIn(model: Sectors, range: { start: number; end: number }, acked: boolean): void {
  for (let at = range.start; at < range.end; at += 1)
    model[at] = Math.max(model[at] ?? 0, acked ? 2 : 1);
}

function sectorsOf(table: BadblocksTable): Sectors {
  const held = new Uint8Array(SPACE);
  for (const { start, sectors, acked } of table.records())
    held.fill(acked ? 2 : 1, start, start + sectors);
  return held;
}

/** Rules of the kernel's structure that hold after every call. */
function expectWellFormed(table: BadblocksTable, limit: number): void {
  const rows = [...table.records()];
  expect(rows.length).toBeLessThanOrEqual(limit);
  for (const [index, row] of rows.entries()) {
    expect(row.sectors).toBeGreaterThan(0);
    expect(row.sectors).toBeLessThanOrEqual(512);
    const before = rows[index - 1];
    if (before !== undefined) expect(before.start + before.sectors).toBeLessThanOrEqual(row.start);
  }
}

const step = fc.record({
  kind: fc.constantFrom("set", "set", "clear", "ack"),
  start: fc.nat(SPACE - 1),
  sectors: fc.oneof(fc.nat(30), fc.nat(SPACE)),
  acked: fc.boolean(),
});
type Random = { kind: string; start: number; sectors: number; acked: boolean };

/** Runs one step on a table and a model. @returns whether the table did all of it */
function run(
  table: BadblocksTable,
  model: Sectors,
  { kind, start, sectors, acked }: Random,
): boolean {
  const length = Math.min(sectors, SPACE - start);
  if (kind === "ack") {
    table.forgetChanged();
    table.ackAll();
    model.forEach((state, at) => (model[at] = state === 0 ? 0 : 2));
    return true;
  }
  if (kind === "set") setIn(model, { start, end: start + length }, acked);
  else model.fill(0, start, start + length);
  return kind === "set" ? table.set(start, length, { acked }) : table.clear(start, length);
}

test("set(), clear(), ackAll() and check() with room hold what an array of sectors holds", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const table = new BadblocksTable({ limit: 8192 });
      const model = new Uint8Array(SPACE);
      for (const one of steps) {
        run(table, model, one);
        expectWellFormed(table, 8192);
        const length = Math.min(one.sectors, SPACE - one.start);
        const asked = new Set(model.slice(one.start, one.start + length));
        const answer = asked.has(1) ? -1 : asked.has(2) ? 1 : 0;
        expect(table.check(one.start, length).answer).toBe(answer);
      }
      expect(sectorsOf(table)).toEqual(model);
    }),
    { seed: randomSeed(), numRuns: 300 },
  );
});

test("set() that succeeds in a small table holds all of it, and one that fails adds nothing that was not asked", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const table = new BadblocksTable({ limit: 6 });
      for (const one of steps) {
        const before = sectorsOf(table);
        const wanted = before.slice();
        const done = run(table, wanted, one);
        const after = sectorsOf(table);
        expectWellFormed(table, 6);
        const nothing = one.kind !== "ack" && Math.min(one.sectors, SPACE - one.start) === 0;
        if (done || nothing) expect(after).toEqual(wanted);
        else if (one.kind === "clear") expect(after).toEqual(before);
        else after.forEach((state, at) => expect([before[at], wanted[at]]).toContain(state));
      }
    }),
    { seed: randomSeed(), numRuns: 200 },
  );
});
