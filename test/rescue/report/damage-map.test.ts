/** The map of a report: every byte once, whatever the size and the list. */
import { expect, test } from "vitest";
import { createPrng, RangeSet } from "../../../src/base/index.ts";
import { PoisonList } from "../../../src/poison/index.ts";
import {
  badBytesOf,
  damageMap,
  MOST_CELLS,
  ownerOfCell,
  worstOf,
} from "../../../src/rescue/report/damage-map.ts";

const seed = Number(process.env["SEED"] ?? Date.now() % 2 ** 31);
console.log(`SEED=${seed}`);

test("R7: damageMap() of random lists adds up to the totals of the list", () => {
  const prng = createPrng(seed);
  for (let turn = 0; turn < 50; turn += 1) {
    const size = 1 + prng.below(2 ** (10 + prng.below(30)));
    const poison = new PoisonList(size);
    const repaired = new RangeSet();
    for (let count = prng.below(60); count > 0; count -= 1) {
      const offset = prng.below(size);
      const length = 1 + prng.below(Math.max(1, size - offset));
      poison.mark({ offset, length }, prng.pick(["clean", "poisoned", "lost", "unread"] as const));
      if (prng.chance(0.3)) repaired.add(offset, length);
    }
    const { cells, cellBytes } = damageMap({ poison, damage: [], repaired });
    expect(cells.length).toBeLessThanOrEqual(MOST_CELLS);
    expect(cells.reduce((sum, { length }) => sum + length, 0)).toBe(size);
    const of = (state: keyof (typeof cells)[number]["states"]): number =>
      cells.reduce((sum, { states }) => sum + states[state], 0);
    const totals = poison.totals();
    expect(of("clean") + of("repaired")).toBe(totals.clean);
    expect([of("unread"), of("poisoned"), of("lost")]).toEqual([
      totals.unread,
      totals.poisoned,
      totals.lost,
    ]);
    expect(cells.every(({ offset }, index) => offset === index * cellBytes)).toBe(true);
  }
});

test("damageMap() of terabytes shows one bad sector, in one cell", () => {
  const size = 20 * 2 ** 40;
  const poison = new PoisonList(size);
  poison.mark({ offset: 2 ** 43 + 512, length: 512 }, "poisoned");
  const { cells } = damageMap({ poison, damage: [], repaired: new RangeSet() });
  const bad = cells.filter((cell) => badBytesOf(cell) > 0);
  expect(bad.length).toBe(1);
  expect(bad.map(worstOf)).toEqual(["poisoned"]);
});

test("damageMap() gives each cell the owners of its own share of a range, and the first paths", () => {
  const poison = new PoisonList(512 * 2048 * 2);
  poison.mark({ offset: 512, length: 1024 }, "lost");
  const owner = { kind: "file", what: "data", ranges: [], why: "", paths: ["/a"] } as const;
  const damage = [{ offset: 512, length: 1024, state: "lost", owners: [owner] } as const];
  const { cells } = damageMap({ poison, damage, repaired: new RangeSet() });
  expect(cells.slice(0, 3).map(({ owners }) => owners)).toEqual([{ file: 512 }, { file: 512 }, {}]);
  expect(cells.slice(0, 3).map(ownerOfCell)).toEqual(["file", "file", undefined]);
  expect(cells[1]?.paths).toEqual(["/a"]);
});

test("damageMap() takes no clean byte for repaired because one beside it was", () => {
  const poison = new PoisonList(2 ** 24);
  poison.mark({ offset: 0, length: 2 ** 24 }, "clean");
  poison.mark({ offset: 512, length: 512 }, "poisoned");
  const repaired = RangeSet.from([{ offset: 512, length: 512 }]);
  const [cell] = damageMap({ poison, damage: [], repaired }).cells;
  expect(cell?.states).toMatchObject({ repaired: 0, poisoned: 512 });
});

test("damageMap() of nothing has no cells", () => {
  const poison = new PoisonList(0);
  expect(damageMap({ poison, damage: [], repaired: new RangeSet() }).cells).toEqual([]);
});
