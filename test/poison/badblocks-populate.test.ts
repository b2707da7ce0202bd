/** What a driver's table holds of a list, and loses. */
import { expect, test } from "vitest";
import { PoisonList, populateBadblocks } from "../../src/poison/index.ts";

test("populateBadblocks() rounds outward to sectors and acks", () => {
  const list = new PoisonList(1_000_000);
  list.mark({ offset: 700, length: 64 }, "poisoned");
  list.mark({ offset: 1000, length: 64 }, "lost");
  list.mark({ offset: 512 * 100, length: 512 * 3 }, "poisoned");
  const { table, lost } = populateBadblocks(list);
  expect(table.show()).toBe("1 2\n100 3\n");
  expect(table.show({ unacked: true })).toBe("");
  expect(lost).toEqual([]);
});

test("populateBadblocks() tells what a full table loses, to the sector", () => {
  const list = new PoisonList(1_000_000);
  list.mark({ offset: 0, length: 1 }, "poisoned");
  list.mark({ offset: 5120, length: 512 * 600 }, "poisoned");
  list.mark({ offset: 512_000, length: 512 }, "poisoned");
  const { table, lost } = populateBadblocks(list, { limit: 2 });
  expect(table.show()).toBe("0 1\n10 512\n");
  expect(lost).toEqual([
    { offset: 522 * 512, length: 88 * 512 },
    { offset: 512_000, length: 512 },
  ]);
});
