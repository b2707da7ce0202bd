/** Plans: their file, what makes one stale, and that a stale one writes nothing. */
import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { openDirectoryDonor } from "../../../src/donor/index.ts";
import { applyPlan, makePlan, readPlan, type Plan } from "../../../src/rescue/index.ts";
import {
  FILES,
  memoryTarget,
  placeOf,
  removeTemporary,
  temporary,
  treeImage,
  writeTree,
  type MemoryTarget,
} from "../support/tree.ts";

afterAll(removeTemporary);

function backup(change?: Parameters<typeof writeTree>[1]): string {
  const root = temporary();
  writeTree(root, change);
  return root;
}

describe("applyPlan()", () => {
  async function planned(): Promise<{
    target: MemoryTarget;
    plan: Plan;
    root: string;
    offset: number;
  }> {
    const target = await memoryTarget(treeImage());
    const offset = await placeOf(target.map, "/docs/big.bin", 40_960);
    target.device.inject({ offset, length: 512 });
    const root = backup();
    return { target, plan: await makePlan(target, [openDirectoryDonor(root)]), root, offset };
  }

  test("does what the plan says, after a round trip through its file", async () => {
    const { target, plan, root } = await planned();
    const name = join(temporary(), "plan.json");
    writeFileSync(name, JSON.stringify(plan));
    const read = await readPlan(name);
    expect(read).toEqual(JSON.parse(JSON.stringify(plan)));
    const { results } = await applyPlan(read, { target, donors: [openDirectoryDonor(root)] });
    expect(results).toEqual([{ id: 1, outcome: "healed", healed: 512 }]);
  });

  test.each([
    [
      "a range was healed since",
      ({ target, offset }: { target: MemoryTarget; offset: number }) =>
        target.device.heal([{ offset, data: new Uint8Array(512) }]),
    ],
    [
      "a range is lost now",
      ({ target, offset }: { target: MemoryTarget; offset: number }) =>
        target.device.clear({ offset, length: 512 }),
    ],
    [
      "a neighbour changed",
      ({ target, offset }: { target: MemoryTarget; offset: number }) =>
        target.device.write(new Uint8Array(512), offset + 512),
    ],
    [
      "a neighbour went bad",
      ({ target, offset }: { target: MemoryTarget; offset: number }) =>
        target.device.inject({ offset: offset - 512, length: 512 }),
    ],
  ])("refuses the whole plan where %s", async (_, change) => {
    const made = await planned();
    await Promise.resolve(change(made));
    const before = Uint8Array.from(made.target.bytes);
    await expect(
      applyPlan(made.plan, { target: made.target, donors: [openDirectoryDonor(made.root)] }),
    ).rejects.toThrow(expect.objectContaining({ code: "ESTALE" }));
    expect(Buffer.compare(before, made.target.bytes)).toBe(0);
  });

  test("refuses a plan that was edited to put zeros over data, or a donor's bytes over another owner", async () => {
    const { target, plan, root } = await planned();
    const [step] = plan.steps;
    if (step === undefined) throw new Error("no step");
    const zeros = createHash("sha256").update(new Uint8Array(512)).digest("hex");
    for (const wrong of [
      { ...step, action: "zero" as const, sha256: zeros },
      { ...step, owner: { ...step.owner, inode: 3 } },
    ]) {
      const edited = { ...plan, steps: [wrong] };
      await expect(
        applyPlan(edited, { target, donors: [openDirectoryDonor(root)] }),
      ).rejects.toThrow(expect.objectContaining({ code: "ESTALE" }));
    }
    expect(target.device.poison.totals().poisoned).toBe(512);
  });

  test("refuses a plan of another device, size or file system", async () => {
    const { target, plan, root } = await planned();
    const volume = plan.target.volumes[0];
    if (volume === undefined) throw new Error("no volume");
    const donors = [openDirectoryDonor(root)];
    for (const wrong of [
      { size: plan.target.size + 1 },
      { uuid: "other" },
      { generation: 99 },
      { volumes: [] },
      { volumes: [{ ...volume, generation: "other" }] },
      { volumes: [{ ...volume, uuid: "other" }] },
    ]) {
      const stale: Plan = { ...plan, target: { ...plan.target, ...wrong } };
      await expect(applyPlan(stale, { target, donors })).rejects.toThrow(
        expect.objectContaining({ code: "ESTALE" }),
      );
    }
  });

  test("a donor that changed since costs its own steps alone", async () => {
    const { target, root } = await planned();
    target.device.inject({
      offset: await placeOf(target.map, "/docs/archive.bin", 8192),
      length: 512,
    });
    const plan = await makePlan(target, [openDirectoryDonor(root)]);
    writeFileSync(
      join(root, "docs/big.bin"),
      Buffer.alloc(FILES.get("/docs/big.bin")?.length ?? 0),
    );
    const { results } = await applyPlan(plan, { target, donors: [openDirectoryDonor(root)] });
    expect(results.map(({ outcome }) => outcome).sort()).toEqual(["donor-changed", "healed"]);
    expect(target.device.poison.totals().poisoned).toBe(512);
  });
});

describe("readPlan()", () => {
  test.each([
    ["no JSON", "{"],
    ["another schema", '{"schema":"theriac.survey/1"}'],
    ["an array", "[]"],
    ["null", "null"],
  ])("refuses %s", async (_, text) => {
    const name = join(temporary(), "plan.json");
    writeFileSync(name, text);
    await expect(readPlan(name)).rejects.toThrow(expect.objectContaining({ code: "EBADMSG" }));
  });

  test("refuses steps that overlap, lie outside, or name no donor", async () => {
    const target = await memoryTarget(treeImage());
    target.device.inject({ offset: await placeOf(target.map, "/docs/big.bin", 0), length: 512 });
    const plan = await makePlan(target, [openDirectoryDonor(backup())]);
    const step = plan.steps[0];
    if (step === undefined) throw new Error("no step");
    const name = join(temporary(), "plan.json");
    for (const steps of [
      [step, step],
      [{ ...step, offset: plan.target.size }],
      [{ ...step, donor: { ...step.donor, index: 1 } }],
      [{ ...step, sha256: undefined }],
      [{ ...step, length: -1 }],
    ]) {
      writeFileSync(name, JSON.stringify({ ...plan, steps }));
      await expect(readPlan(name)).rejects.toThrow(expect.objectContaining({ code: "EBADMSG" }));
    }
  });
});
