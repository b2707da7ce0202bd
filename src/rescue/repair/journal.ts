/** Journal: what one run tells the log: that it begins, each step before and after, and its end. */
import type { StepResult } from "./apply-batch.ts";
import { checkWritable } from "./fresh.ts";
import type { LogRecord, RunRecord, StepRecord } from "./log-record.ts";
import type { RepairLog } from "./repair-log.ts";
import type { Plan, PlanStep } from "../plan/plan-file.ts";
import type { Target } from "../target.ts";

/** How a repair was asked for: what a resumed one goes on with. */
export interface RepairRequest {
  /** Names of donors, as given. */
  readonly donors: readonly string[];
  readonly free: boolean;
  /** Path of a digest that was given. */
  readonly digest?: string | undefined;
  /** Whether the plan was given too. */
  readonly given: boolean;
}

/** What differs between kinds of runs. */
type RunPart = Pick<RunRecord, "what" | "steps" | "repair" | "why" | "undoes">;

/** The journal of one run. */
export class Journal {
  readonly #log: RepairLog;
  readonly #target: Target;
  readonly run: number;

  constructor(log: RepairLog, target: Target, run: number) {
    this.#log = log;
    this.#target = target;
    this.run = run;
  }

  /** The journal of a new run, which has begun on return, durably. */
  static async begin(log: RepairLog, target: Target, part: RunPart): Promise<Journal> {
    checkWritable(target);
    const { device } = target;
    const journal = new Journal(log, target, await log.nextRun());
    log.append([
      {
        record: "run",
        schema: "theriac.log/1",
        run: journal.run,
        at: now(),
        target: {
          path: target.path,
          size: device.size,
          uuid: device.identity.uuid ?? null,
          generation: device.identity.generation,
        },
        totals: device.poison.totals(),
        ...part,
      },
    ]);
    return journal;
  }

  /** The same of a repair: its plan is beside the log first. */
  static async beginRepair(
    log: RepairLog,
    target: Target,
    repair: { readonly plan: Plan; readonly request: RepairRequest },
  ): Promise<Journal> {
    checkWritable(target);
    const { plan, request } = repair;
    const hash = log.keepPlan(plan);
    const steps = plan.steps.filter(({ action }) => action === "write" || action === "zero").length;
    return await Journal.begin(log, target, {
      what: "repair",
      steps,
      repair: { ...request, trust: plan.trust, plan: hash },
    });
  }

  /** Notes that an interrupted run goes on. */
  resume(): void {
    const { device } = this.#target;
    const { generation } = device.identity;
    this.#append([
      { record: "resumed", run: this.run, at: now(), generation, totals: device.poison.totals() },
    ]);
  }

  /** Notes steps that are about to be done. */
  before(steps: readonly PlanStep[], donors: readonly { readonly name: string }[]): void {
    this.#append(steps.map((step) => recordOf(this.run, step, donors)));
  }

  /** Notes steps that are about to be undone, with where their bytes are kept. */
  beforeUndo(steps: readonly StepRecord[]): void {
    this.#append(steps.map((step) => ({ ...step, run: this.run })));
  }

  /** Notes what became of steps. */
  after(results: readonly StepResult[]): void {
    this.#append(
      results.map(({ id, ...result }) => ({ record: "done", run: this.run, step: id, ...result })),
    );
  }

  /** Notes that steps are undone: their bytes are lost, durably. */
  afterUndo(steps: readonly StepRecord[]): void {
    this.#append(
      steps.map(({ step, length: healed }) => ({
        record: "done",
        run: this.run,
        step,
        outcome: "undone",
        healed,
      })),
    );
  }

  /** Notes the end. */
  end(result: "complete" | "stale"): void {
    const totals = this.#target.device.poison.totals();
    this.#append([{ record: "end", run: this.run, at: now(), result, totals }]);
  }

  #append(records: readonly LogRecord[]): void {
    if (records.length > 0) this.#log.append(records);
  }
}

function recordOf(
  run: number,
  step: PlanStep,
  donors: readonly { readonly name: string }[],
): StepRecord {
  const donor = step.donor === undefined ? undefined : donors[step.donor.index]?.name;
  return {
    record: "step",
    run,
    step: step.id,
    offset: step.offset,
    length: step.length,
    action: step.action === "write" ? "write" : "zero",
    was: step.state,
    owner: step.owner,
    ...(donor === undefined ? {} : { donor }),
    ...(step.grade === undefined ? {} : { grade: step.grade }),
    sha256: step.sha256 ?? "",
  };
}

function now(): string {
  return new Date().toISOString();
}
