/** Reports: what they say is what the survey says, the figures add up, and what was done stands beside them. */
import { afterAll, describe, expect, test } from "vitest";
import {
  findDamage,
  report,
  reportText,
  runOfDocument,
  type DoneRun,
  type Target,
} from "../../../src/rescue/index.ts";
import { memoryTarget, placeOf, removeTemporary, treeImage } from "../support/tree.ts";

afterAll(removeTemporary);

async function injured(): Promise<Awaited<ReturnType<typeof memoryTarget>>> {
  const target = await memoryTarget(treeImage());
  const { device, map } = target;
  device.inject({ offset: await placeOf(map, "/docs/big.bin", 8192), length: 1024 });
  device.inject({ offset: await placeOf(map, "/docs/big.bin", 102_400), length: 512 });
  device.inject({ offset: await placeOf(map, "/small.txt"), length: 512 });
  device.inject({ offset: device.size - 4096, length: 4096 });
  return target;
}

function whole(target: Target): { offset: number; length: number } {
  return { offset: 0, length: target.device.size };
}

describe("report()", () => {
  test("R7: names the files that miss bytes, most first, with their ranges, and everything else by class", async () => {
    const target = await injured();
    const made = await report(target);
    expect(made).toMatchObject({ schema: "theriac.report/1", size: target.device.size });
    expect(made.totals).toEqual(target.device.poison.totals());
    expect(made.files.map(({ paths, bytes }) => [paths, bytes])).toEqual([
      [["/docs/big.bin"], 1536],
      [["/docs/hard link", "/small.txt"], 512],
    ]);
    expect(made.files[0]?.ranges.map(({ offset, length }) => [offset, length])).toEqual([
      [8192, 1024],
      [102_400, 512],
    ]);
    const elsewhere = made.elsewhere.reduce((sum, { bytes }) => sum + bytes, 0);
    expect(elsewhere + 2048).toBe(made.totals.poisoned);
  });

  test("R7: the cells of the map hold every byte of the device once", async () => {
    const target = await injured();
    const made = await report(target);
    const sums = { clean: 0, repaired: 0, unread: 0, poisoned: 0, lost: 0 };
    for (const { states, length } of made.map.cells) {
      expect(Object.values(states).reduce((sum, one) => sum + one, 0)).toBe(length);
      for (const state of Object.keys(sums) as (keyof typeof sums)[]) sums[state] += states[state];
    }
    expect(sums).toMatchObject({ poisoned: made.totals.poisoned, unread: made.totals.unread });
    const owned = made.map.cells.flatMap(({ owners }) => Object.values(owners));
    expect(owned.reduce((sum, one) => sum + one, 0)).toBe(made.totals.poisoned);
  });

  test("what was healed is told only where it is clean now", async () => {
    const target = await injured();
    const [bad] = await findDamage(target);
    target.device.recordRead({ offset: 0, length: 4096 });
    const steps = [
      { offset: 0, length: 4096, outcome: "healed", healed: 4096 },
      { offset: bad?.offset ?? 0, length: bad?.length ?? 0, outcome: "healed", healed: 512 },
    ];
    const history = [{ what: "repair", sums: { repaired: 4608 }, steps }];
    const made = await report(target, { history });
    const repaired = made.map.cells.reduce((sum, { states }) => sum + states.repaired, 0);
    expect(repaired).toBe(4096);
  });

  test("what moved adds up over runs; what was left undone is of the last one", async () => {
    const run = (sums: Record<string, number>): DoneRun => ({ what: "repair", sums, steps: [] });
    const history = [run({ repaired: 10, refused: 5 }), run({ repaired: 1, refused: 2 })];
    const { moved } = await report(await injured(), { history });
    expect(moved).toEqual({ repaired: 11, refused: 2 });
  });

  test("what a kernel log reports is bad in the map too", async () => {
    const target = await memoryTarget(treeImage());
    const made = await report(target, { reported: [{ offset: 8192, length: 512 }] });
    const bad = made.map.cells.filter(({ states }) => states.poisoned > 0);
    expect(bad.map(({ states }) => states.poisoned)).toEqual([512]);
    expect(made.totals.poisoned).toBe(512);
  });

  test("an unread device is not called clean", async () => {
    const target = await memoryTarget(treeImage());
    const text = [...reportText(await report(target))].join("");
    expect(text).toContain("no data is known to be missing");
    target.device.recordRead(whole(target));
    expect([...reportText(await report(target))].join("")).toContain("no data is missing");
  });
});

describe("runOfDocument()", () => {
  test("takes the figures of a repair, with donors by name", () => {
    const step = {
      offset: 512,
      length: 1024,
      action: "write",
      outcome: "healed",
      healed: 1024,
      grade: "proven",
      donor: { index: 1 },
      owner: { path: "/x" },
      reason: "why",
    };
    const run = runOfDocument({
      schema: "theriac.repair/1",
      donors: [{ name: "a" }, { name: "b" }],
      sums: { bad: 1024, repaired: 1024, refused: 0 },
      steps: [step, { ...step, action: "refused", outcome: "skipped", failure: "no" }],
    });
    expect(run).toMatchObject({ what: "repair", sums: { repaired: 1024, refused: 0 } });
    expect(run?.steps).toMatchObject([
      { outcome: "healed", donor: "b", path: "/x", grade: "proven", reason: "why" },
      { outcome: "refused", reason: "no" },
    ]);
  });

  test("takes a salvage", () => {
    const run = runOfDocument({ schema: "theriac.salvage/1", salvaged: 100, bad: 5 });
    expect(run).toMatchObject({ what: "salvage", sums: { salvaged: 100, "not given": 5 } });
  });

  test.each([null, 7, "x", [], {}, { schema: "theriac.plan/1" }])("takes no %j", (value) => {
    expect(runOfDocument(value)).toBeUndefined();
  });

  test("is not led astray by a hostile document", () => {
    const run = runOfDocument({
      schema: "theriac.repair/1",
      sums: { repaired: -1, refused: "many", __proto__: 5 },
      donors: "x",
      steps: [{ offset: -1, length: 1e300 }, null, { offset: 0, length: 512, outcome: 7 }],
    });
    expect(run?.sums).toMatchObject({ repaired: 0, refused: 0 });
    expect(run?.steps.map(({ length }) => length)).toEqual([512]);
  });
});
