/** The list that a bus or firmware keeps. */
import { expect, test } from "vitest";
import { Badrange } from "../../../src/device/index.ts";
import { BadblocksTable } from "../../../src/poison/index.ts";

test("add() appends without merging; the same start takes the new length, also a shorter one", () => {
  const list = new Badrange();
  list.add({ offset: 512, length: 256 });
  list.add({ offset: 600, length: 10 });
  list.add({ offset: 512, length: 64 });
  expect(list.records).toEqual([
    { offset: 512, length: 64 },
    { offset: 600, length: 10 },
  ]);
});

test("forget() deletes, trims, and splits in the middle", () => {
  const list = new Badrange();
  for (const offset of [0, 1000, 2000, 3000]) list.add({ offset, length: 100 });
  list.forget({ offset: 50, length: 1000 });
  list.forget({ offset: 2040, length: 20 });
  list.forget({ offset: 3000, length: 100 });
  expect(list.records).toEqual([
    { offset: 0, length: 50 },
    { offset: 1050, length: 50 },
    { offset: 2000, length: 40 },
    { offset: 2060, length: 40 },
  ]);
});

test("add() past the limit is refused and notes when; clear() makes room", () => {
  let nowMs = 5;
  const clock = { now: () => nowMs, sleep: () => Promise.resolve() };
  const list = new Badrange({ limit: 1, clock });
  expect(list.add({ offset: 0, length: 1 })).toBe(true);
  expect(list.add({ offset: 9, length: 1 })).toBe(false);
  nowMs = 6;
  list.add({ offset: 9, length: 1 });
  expect(list.overflowedAtMs).toBe(5);
  list.clear();
  expect([list.overflowedAtMs, list.add({ offset: 9, length: 1 })]).toEqual([undefined, true]);
});

test("populate() rounds outward to sectors from the start of the window, acked, and only adds", () => {
  const list = new Badrange();
  list.add({ offset: 4096 + 600, length: 10 });
  list.add({ offset: 4000, length: 97 });
  list.add({ offset: 100, length: 10 });
  const table = new BadblocksTable();
  table.set(100, 1);
  expect(list.populate(table, { offset: 4096, length: 65_536 })).toBe(true);
  expect(table.show()).toBe("0 2\n100 1\n");
  expect(table.check(0, 2).answer).toBe(1);
  const full = new BadblocksTable({ limit: 1 });
  full.set(50, 1);
  expect(list.populate(full, { offset: 0, length: 65_536 })).toBe(false);
});
