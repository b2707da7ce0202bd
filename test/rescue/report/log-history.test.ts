/** The history of a target from its log. */
import { expect, test } from "vitest";
import { runsOfLog, type HistoryRecord } from "../../../src/rescue/index.ts";

const at = "2026-11-28T13:00:00.000Z";

function step(run: number, number: number, more: object = {}): HistoryRecord {
  const owner = { path: "/x" };
  const place = { offset: number * 512, length: 512, action: "write", owner };
  return { record: "step", run, step: number, ...place, ...more };
}

test("runsOfLog() adds up what became of each step, and tells what was interrupted", async () => {
  const runs = await runsOfLog([
    { record: "run", run: 1, what: "repair", at, repair: { donors: ["backup"] } },
    step(1, 1, { grade: "proven", donor: "backup" }),
    { record: "done", run: 1, step: 1, outcome: "healed", healed: 512 },
    step(1, 2, { action: "zero" }),
    { record: "done", run: 1, step: 2, outcome: "healed", healed: 512 },
    step(1, 3),
    { record: "done", run: 1, step: 3, outcome: "failed", healed: 0, reason: "no" },
    { record: "end", run: 1, result: "complete" },
    { record: "run", run: 2, what: "repair", at },
    step(2, 1),
  ]);
  expect(runs).toMatchObject([
    {
      complete: true,
      donors: ["backup"],
      sums: { repaired: 512, zeroed: 512, failed: 512 },
      steps: [
        { outcome: "healed", grade: "proven", donor: "backup", path: "/x" },
        { outcome: "healed" },
        { outcome: "failed", reason: "no" },
      ],
    },
    { complete: false, sums: { repaired: 0, failed: 512 }, steps: [{ outcome: "interrupted" }] },
  ]);
});

test("runsOfLog() never calls repaired what was given up or undone", async () => {
  const runs = await runsOfLog([
    { record: "run", run: 1, what: "acknowledge", at },
    step(1, 1, { action: "zero" }),
    { record: "done", run: 1, step: 1, outcome: "healed", healed: 512 },
    { record: "end", run: 1, result: "complete" },
    { record: "run", run: 2, what: "undo", at },
    step(2, 1, { action: "lost" }),
    { record: "done", run: 2, step: 1, outcome: "undone", healed: 512 },
    { record: "end", run: 2, result: "complete" },
  ]);
  expect(runs.map(({ sums }) => sums)).toEqual([{ "given up": 512 }, { "lost again": 512 }]);
  expect(runs.map(({ steps }) => steps[0]?.outcome)).toEqual(["given-up", "undone"]);
});

test("runsOfLog() passes over records of a run that has no beginning", async () => {
  expect(
    await runsOfLog([
      { record: "done", run: 9, step: 1, outcome: "healed", healed: 5 },
      { record: "resumed", run: 9 },
    ]),
  ).toEqual([]);
});
