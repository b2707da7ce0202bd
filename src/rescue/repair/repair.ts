/**
 * Repair: plan and apply, and the figures of both. Every byte that was bad before is told once: repaired, zeroed, failed, refused,
 * unavailable or left; and the four states are told before and after (R7).
 */
import { StorageError } from "../../base/index.ts";
import type { Donor } from "../../donor/index.ts";
import type { PoisonTotals } from "../../poison/index.ts";
import { applyPlan, type ApplyOptions, type StepJournal } from "./apply.ts";
import type { StepResult } from "./apply-batch.ts";
import { checkWhole } from "./fresh.ts";
import { Journal } from "./journal.ts";
import type { RepairLog } from "./repair-log.ts";
import { settledSteps, type InterruptedRepair } from "./resume.ts";
import { findDamage, missingBytes } from "../damage.ts";
import { describeTarget } from "../describe-target.ts";
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

/** What a repair works with. */
export interface RepairParts {
  /** Open for writing. */
  readonly target: Target;
  /** Of a plan, or of a repair that goes on: in the order of its donors. */
  readonly donors: readonly Donor[];
  /** What to do. @default a plan made here */
  readonly plan?: Plan;
  /** Where every step is written down. @default nowhere */
  readonly log?: RepairLog;
  /** A repair of this target that was interrupted, to go on with: what `findInterrupted` found in the log. */
  readonly interrupted?: InterruptedRepair;
}

/** How a repair is made. */
export interface RepairOptions extends PlanOptions, ApplyOptions {
  /** Path of the digest that was given: for the log, so that an interrupted repair can ask for it again. */
  readonly digest?: string;
}

/**
 * Repairs a target that is open for writing.
 *
 * Healed metadata tells the owners of what was unknown before: an inode table, a directory. So a repair that makes its own
 * plan makes another one after such a round, until nothing more comes. A plan that is given is applied, and nothing else. Each plan that writes
 * anything is a run in the log.
 *
 * @throws {StorageError} ESTALE where the plan is out of date: nothing was written; ENOSPC and others of the log: nothing since was written
 */
export async function repair(on: RepairParts, options: RepairOptions = {}): Promise<Repair> {
  if (on.plan !== undefined) checkWhole(on.plan, on.target);
  const { interrupted } = on;
  const given = on.plan !== undefined || interrupted?.request.given === true;
  const first = interrupted === undefined ? undefined : await resumeRound(on, interrupted, options);
  const rounds: Round[] = first === undefined ? [] : [first];
  const before = first?.plan.totals ?? on.target.device.poison.totals();
  let target = on.target;
  if (first !== undefined) target = await describedAgain(target);
  while (mayGoOn(rounds, given)) {
    const plan = on.plan ?? (await makePlan(target, on.donors, options));
    rounds.push(await newRound({ ...on, target }, { plan, given }, options));
    target = await describedAgain(target);
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

/** The same target as it is after a round. */
async function describedAgain(target: Target): Promise<Target> {
  return target.live?.again?.() ?? (await describeTarget(target.device, { path: target.path }));
}

/** Whether another round is worth it: a first one always, later ones only where owners were told, and never beside a plan that was given. */
function mayGoOn(rounds: readonly Round[], given: boolean): boolean {
  const last = rounds.at(-1);
  if (last === undefined) return true;
  return !given && rounds.length < MOST_ROUNDS && toldMore(last.plan, last.results);
}

/** One plan made or given, applied, and written down. */
async function newRound(
  on: RepairParts,
  what: { readonly plan: Plan; readonly given: boolean },
  options: RepairOptions,
): Promise<Round> {
  const { plan, given } = what;
  const request = {
    donors: plan.donors.map(({ name }) => name),
    free: options.free ?? false,
    ...(options.digest === undefined ? {} : { digest: options.digest }),
    given,
  };
  let journal: Journal | undefined;
  const begin = async (): Promise<StepJournal | undefined> => {
    if (on.log !== undefined)
      journal = await Journal.beginRepair(on.log, on.target, { plan, request });
    return journal === undefined ? undefined : journalOf(journal, plan);
  };
  const { results, moved } = await applyPlan(plan, on, { ...options, begin });
  journal?.end("complete");
  return { plan, results, moved };
}

/** What is left of an interrupted round; `undefined` where its plan no longer holds, and another one may be made. */
async function resumeRound(
  on: RepairParts,
  interrupted: InterruptedRepair,
  options: RepairOptions,
): Promise<Round | undefined> {
  const { logged, plan } = interrupted;
  const journal = on.log && new Journal(on.log, on.target, logged.begun.run);
  try {
    if (plan === undefined) throw planGone(on.target, logged.begun.run);
    const settled = await settledSteps(plan, logged, on.target);
    const begin = (): Promise<StepJournal | undefined> => {
      journal?.resume();
      return Promise.resolve(journal && journalOf(journal, plan));
    };
    const { results, moved } = await applyPlan(plan, on, { ...options, begin, settled });
    journal?.end("complete");
    return { plan, results, moved };
  } catch (error) {
    const isStale = error instanceof StorageError && error.code === "ESTALE";
    if (!isStale || interrupted.request.given) throw error;
    journal?.end("stale");
    return undefined;
  }
}

function planGone(target: Target, run: number): StorageError {
  return new StorageError(
    "ESTALE",
    `Refused to go on with run ${run} of "${target.path}": the plan beside its log is another one: make a new plan`,
    { path: target.path, syscall: "resume" },
  );
}

function journalOf(journal: Journal, plan: Plan): StepJournal {
  return {
    before: (steps) => journal.before(steps, plan.donors),
    after: (results) => journal.after(results),
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
