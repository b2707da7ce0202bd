/**
 * Repair: plan and apply, and the figures of both. Every byte that was bad before is told once: repaired, zeroed, failed, refused,
 * unavailable or left; and the four states are told before and after (R7).
 */
import type { Donor } from "../donor/index.ts";
import type { PoisonTotals } from "../poison/index.ts";
import { applyPlan, type ApplyOptions, type StepResult } from "./apply.ts";
import { findDamage, missingBytes } from "./damage.ts";
import { makePlan, type PlanOptions } from "./plan.ts";
import type { Plan, PlanStep } from "./plan-file.ts";
import type { Target } from "./target.ts";

/** Bytes by what became of them; together `bad`. */
export interface RepairSums {
  /** Bad before. */
  readonly bad: number;
  /** Now hold a donor's bytes. */
  readonly repaired: number;
  /** Now hold zeros: slack, or free space on request. */
  readonly zeroed: number;
  /** Were to be healed, and are not: the device refused, or the donor changed. */
  readonly failed: number;
  readonly refused: number;
  readonly unavailable: number;
  readonly left: number;
}

/** One step with its result. */
export type RepairedStep = PlanStep &
  Pick<StepResult, "outcome" | "healed"> & { readonly failure?: string };

/** The document `theriac.repair/1`. */
export interface Repair {
  readonly schema: "theriac.repair/1";
  readonly target: string;
  readonly donors: Plan["donors"];
  readonly trust: Plan["trust"];
  readonly before: PoisonTotals;
  readonly totals: PoisonTotals;
  readonly sums: RepairSums;
  /** Bytes of data that are missing after it. */
  readonly missing: number;
  /** Files whose extents changed: "volume:inode". Always empty, unless someone else writes to the target (R8). */
  readonly moved: readonly string[];
  readonly steps: readonly RepairedStep[];
}

/**
 * Repairs a target that is open for writing.
 *
 * @param plan what to do; made here where it is absent
 * @throws {StorageError} ESTALE where the plan is out of date: nothing was written
 */
export async function repair(
  on: { readonly target: Target; readonly donors: readonly Donor[]; readonly plan?: Plan },
  options: PlanOptions & ApplyOptions = {},
): Promise<Repair> {
  const plan = on.plan ?? (await makePlan(on.target, on.donors, options));
  const before = on.target.device.poison.totals();
  const { results, moved } = await applyPlan(plan, on, options);
  const after = await findDamage(on.target);
  return {
    schema: "theriac.repair/1",
    target: on.target.path,
    donors: plan.donors,
    trust: plan.trust,
    before,
    totals: on.target.device.poison.totals(),
    sums: sumResults(plan, results),
    missing: missingBytes(after),
    moved,
    steps: plan.steps.map((step, index) => {
      const result = results[index];
      const failure = result?.reason === undefined ? {} : { failure: result.reason };
      return {
        ...step,
        outcome: result?.outcome ?? "skipped",
        healed: result?.healed ?? 0,
        ...failure,
      };
    }),
  };
}

function sumResults(plan: Plan, results: readonly StepResult[]): RepairSums {
  const sums = {
    bad: plan.sums.bad,
    repaired: 0,
    zeroed: 0,
    failed: 0,
    refused: plan.sums.refused,
    unavailable: plan.sums.unavailable,
    left: plan.sums.left,
  };
  for (const [index, step] of plan.steps.entries()) {
    if (step.action !== "write" && step.action !== "zero") continue;
    const healed = results[index]?.healed ?? 0;
    sums[step.action === "write" ? "repaired" : "zeroed"] += healed;
    sums.failed += step.length - healed;
  }
  return sums;
}

/**
 * The exit code of a repair (docs/plan.md): 0 nothing is missing, 1 data is still missing, 4 data is missing, nothing was
 * healed, and all that stood in the way is a refusal of ours.
 */
export function repairExitCode(result: Pick<Repair, "missing" | "sums">): 0 | 1 | 4 {
  if (result.missing === 0) return 0;
  const { repaired, zeroed, failed, refused } = result.sums;
  return refused > 0 && repaired + zeroed + failed === 0 ? 4 : 1;
}
