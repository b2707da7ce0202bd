/**
 * Repair: plan and apply, and the figures of both. Every byte that was bad before is told once: repaired, zeroed, failed, refused,
 * unavailable or left; and the four states are told before and after (R7).
 */
import type { Donor } from "../../donor/index.ts";
import type { PoisonTotals } from "../../poison/index.ts";
import { applyPlan, type ApplyOptions, type StepResult } from "./apply.ts";
import { findDamage, missingBytes } from "../damage.ts";
import { describeTarget } from "../open-target.ts";
import { makePlan, type PlanOptions } from "../plan/plan.ts";
import type { Plan, PlanStep } from "../plan/plan-file.ts";
import type { Target } from "../target.ts";

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

/** Rounds at most: each must have healed metadata, so it ends much earlier. */
const MOST_ROUNDS = 16;

/**
 * Repairs a target that is open for writing.
 *
 * Healed metadata tells the owners of what was unknown before: an inode table, a directory. So a repair that makes its own
 * plan makes another one after such a round, until nothing more comes. A plan that is given is applied, and nothing else.
 *
 * @param on `plan`: what to do; made here where it is absent
 * @throws {StorageError} ESTALE where the plan is out of date: nothing was written
 */
export async function repair(
  on: { readonly target: Target; readonly donors: readonly Donor[]; readonly plan?: Plan },
  options: PlanOptions & ApplyOptions = {},
): Promise<Repair> {
  const before = on.target.device.poison.totals();
  const rounds: Round[] = [];
  let target = on.target;
  for (;;) {
    const plan = on.plan ?? (await makePlan(target, on.donors, options));
    const { results, moved } = await applyPlan(plan, { target, donors: on.donors }, options);
    rounds.push({ plan, results, moved });
    target = await describeTarget(target.device, { path: target.path });
    if (on.plan !== undefined || !toldMore(plan, results) || rounds.length === MOST_ROUNDS) break;
  }
  const { plan } = rounds.at(-1) as Round;
  return {
    schema: "theriac.repair/1",
    target: target.path,
    donors: plan.donors,
    trust: plan.trust,
    before,
    totals: target.device.poison.totals(),
    sums: sumRounds(rounds),
    missing: missingBytes(await findDamage(target)),
    moved: rounds.flatMap(({ moved }) => moved),
    steps: stepsOf(rounds),
  };
}

interface Round {
  readonly plan: Plan;
  readonly results: readonly StepResult[];
  readonly moved: readonly string[];
}

/** Whether something was healed that may tell owners. */
function toldMore(plan: Plan, results: readonly StepResult[]): boolean {
  return plan.steps.some(
    ({ owner, action }, index) =>
      action === "write" &&
      (owner.kind === "metadata" || owner.kind === "directory") &&
      (results[index]?.healed ?? 0) > 0,
  );
}

/** What earlier rounds healed, and everything of the last one: what they did not heal is in its plan again. */
function sumRounds(rounds: readonly Round[]): RepairSums {
  const sums = { bad: 0, repaired: 0, zeroed: 0, failed: 0, refused: 0, unavailable: 0, left: 0 };
  for (const [index, { plan, results }] of rounds.entries()) {
    const last = index === rounds.length - 1;
    for (const [at, step] of plan.steps.entries()) {
      const healed = results[at]?.healed ?? 0;
      if (step.action === "write") sums.repaired += healed;
      else if (step.action === "zero") sums.zeroed += healed;
      else if (last) sums[step.action] += step.length;
      if (last && (step.action === "write" || step.action === "zero"))
        sums.failed += step.length - healed;
      sums.bad += last ? step.length : healed;
    }
  }
  return sums;
}

function stepsOf(rounds: readonly Round[]): readonly RepairedStep[] {
  const steps: RepairedStep[] = [];
  for (const [index, { plan, results }] of rounds.entries()) {
    for (const [at, step] of plan.steps.entries()) {
      const result = results[at];
      if (index < rounds.length - 1 && (result?.healed ?? 0) === 0) continue;
      const failure = result?.reason === undefined ? {} : { failure: result.reason };
      steps.push({
        ...step,
        outcome: result?.outcome ?? "skipped",
        healed: result?.healed ?? 0,
        ...failure,
      });
    }
  }
  return steps
    .sort((one, other) => one.offset - other.offset)
    .map((step, index) => Object.assign(step, { id: index + 1 }));
}

/**
 * The exit code of a repair (docs/plan.md): 0 nothing is missing, 1 data is still missing, 4 data is missing, nothing was
 * healed, and all that stood in the way is a refusal of ours.
 */
export function repairExitCode(result: Pick<Repair, "missing" | "sums">): 0 | 1 | 4 {
  if (result.missing === 0) return 0;
  const { repaired, zeroed, failed, refused, unavailable } = result.sums;
  return refused > 0 && repaired + zeroed + failed + unavailable === 0 ? 4 : 1;
}
