/** plan-file: plans from anybody: read whole or refused with where and why; one that was edited by hand does what it says, or nothing. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import * as fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { StorageError } from "../../../src/base/index.ts";
import { openDirectoryDonor, type Donor } from "../../../src/donor/index.ts";
import {
  makePlan,
  parsePlan,
  planText,
  readPlan,
  repair,
  type Plan,
  type PlanStep,
} from "../../../src/rescue/index.ts";
import { randomSeed } from "../../base/seed.ts";
import {
  memoryTarget,
  placeOf,
  removeTemporary,
  temporary,
  treeImage,
  writeTree,
  type MemoryTarget,
} from "../support/tree.ts";

const seed = randomSeed();
const pristine = treeImage();
let donors: readonly Donor[] = [];
beforeAll(() => {
  const root = temporary();
  writeTree(root);
  donors = [openDirectoryDonor(root)];
});
afterAll(removeTemporary);

async function planned(): Promise<{ target: MemoryTarget; plan: Plan }> {
  const target = await memoryTarget(treeImage());
  for (const offset of [40_960, 90_112, 262_144])
    target.device.inject({
      offset: await placeOf(target.map, "/docs/big.bin", offset),
      length: 512,
    });
  return { target, plan: await makePlan(target, donors) };
}

/** What is wrong with what a plan that was changed did, if anything: it healed with the original, or was refused. */
async function troubleWith(text: string): Promise<string | undefined> {
  const { target } = await planned();
  try {
    await repair({ target, donors, plan: await parsePlan(text, "plan") });
  } catch (error) {
    if (!(error instanceof StorageError)) throw error;
    if (error.code !== "EBADMSG" && error.code !== "ESTALE") return error.message;
  }
  const bytes = new Uint8Array(target.device.size);
  const { missing } = await target.device.read(bytes, 0, "recovery");
  for (const { offset, length } of missing)
    bytes.set(pristine.subarray(offset, offset + length), offset);
  return Buffer.compare(bytes, pristine) === 0 ? undefined : "a byte is not the original";
}

describe("parsePlan()", () => {
  test("gives back what planText() wrote", async () => {
    const { plan } = await planned();
    const text = [...planText(plan)].join("");
    expect(await parsePlan(text, "plan")).toEqual(JSON.parse(JSON.stringify(plan)));
  });

  test("refuses arbitrary bytes, naming the file", async () => {
    const name = join(temporary(), "plan");
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 500 }), async (bytes) => {
        writeFileSync(name, bytes);
        const error: unknown = await readPlan(name).catch((thrown: unknown) => thrown);
        expect(error).toMatchObject({ code: "EBADMSG", path: name });
        expect((error as Error).message).toContain(name);
      }),
      { seed, numRuns: 300 },
    );
  }, 300_000);

  test("refuses or does rightly a plan with any of its values replaced by another", async () => {
    const { plan } = await planned();
    const whole = JSON.stringify(plan);
    const values = [...whole.matchAll(/:("[^"]*"|\d+|null|\[|\{)/g)].map(
      ({ index, 1: value = "" }) => ({ from: index + 1, value }),
    );
    const others = [
      "0",
      "-1",
      "1e300",
      "512",
      '""',
      '"zero"',
      '"lost"',
      "null",
      "[]",
      "{}",
      "true",
    ];
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...values.filter(({ value }) => value !== "[" && value !== "{")),
        fc.constantFrom(...others),
        async ({ from, value }, other) => {
          const text = whole.slice(0, from) + other + whole.slice(from + value.length);
          expect(
            await troubleWith(text),
            `${whole.slice(from - 30, from)} ${other}`,
          ).toBeUndefined();
        },
      ),
      { seed, numRuns: 60 },
    );
  }, 300_000);
});

describe("repair() by a plan that was edited", () => {
  async function edited(change: (step: PlanStep) => PlanStep | undefined): Promise<{
    target: MemoryTarget;
    run: () => Promise<unknown>;
  }> {
    const { target, plan } = await planned();
    const [first, ...rest] = plan.steps;
    const changed = first === undefined ? undefined : change(first);
    const steps = changed === undefined ? rest : [changed, ...rest];
    return { target, run: () => repair({ target, donors, plan: { ...plan, steps } }) };
  }

  test("leaves alone what it says is left, and heals the rest", async () => {
    const { target, run } = await edited(({ donor: _d, grade: _g, sha256: _s, ...step }) => ({
      ...step,
      action: "left",
    }));
    await run();
    expect(target.device.poison.totals().poisoned).toBe(512);
  });

  test.each<[string, (step: PlanStep) => PlanStep | undefined]>([
    ["names no neighbours", ({ neighbours: _n, ...step }) => step],
    ["names other neighbours", (step) => ({ ...step, neighbours: neighbourOf(step, "f") })],
    ["has a step less", () => undefined],
    ["has a step that is shorter", (step) => ({ ...step, length: 256 })],
    ["has a step over clean bytes", (step) => ({ ...step, offset: step.offset - 512 })],
  ])("is refused where it %s, and nothing was written", async (_, change) => {
    const { target, run } = await edited(change);
    const before = Uint8Array.from(target.bytes);
    await expect(run()).rejects.toThrow(expect.objectContaining({ code: "ESTALE" }));
    expect(Buffer.compare(target.bytes, before)).toBe(0);
  });

  test("writes no other bytes of a donor than it has a hash of", async () => {
    const { target, run } = await edited((step) => ({
      ...step,
      donor: { ...step.donor, index: 0, from: "file", offset: 0 },
    }));
    expect(await run()).toMatchObject({ sums: { repaired: 1024, failed: 512 } });
    expect(target.device.poison.totals().poisoned).toBe(512);
  });
});

function neighbourOf(step: PlanStep, digit: string): PlanStep["neighbours"] {
  return { before: { offset: step.offset - 512, length: 512, sha256: digit.repeat(64) } };
}
