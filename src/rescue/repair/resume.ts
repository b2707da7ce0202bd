/**
 * Resume: what is left of a repair that was interrupted: by a crash, a signal, a full disk.
 *
 * Nothing is redone blindly. What the log says was done is not done again; what it does not know the end of is looked at: bytes that hold
 * what was planned are done, bytes that are still bad are left to do. Anything else means that somebody was at work in between: then the plan is
 * out of date, and a person's plan is refused, while a repair that made its own makes another.
 */
import { createHash } from "node:crypto";
import { StorageError } from "../../base/index.ts";
import { readOrMissing } from "../../donor/index.ts";
import { readText } from "../durable-text.ts";
import { LARGEST_PLAN, parsePlan, type Plan, type PlanStep } from "../plan/plan-file.ts";
import { sha256 } from "../plan/planner.ts";
import type { Target } from "../target.ts";
import type { StepResult } from "./apply-batch.ts";
import type { DoneRecord, RunRecord } from "./log-record.ts";
import { readRun, type LoggedRun } from "./read-log.ts";
import type { RepairLog } from "./repair-log.ts";

/** A repair that did not come to its end. */
export interface InterruptedRepair {
  readonly logged: LoggedRun;
  readonly request: NonNullable<RunRecord["repair"]>;
  /** The plan that it was at; `undefined` where it is not there any more, or is another one. */
  readonly plan: Plan | undefined;
}

/**
 * The repair that was interrupted, if the last thing that the log knows is one.
 *
 * @throws {StorageError} whatever the file of the log says
 */
export async function findInterrupted(log: RepairLog): Promise<InterruptedRepair | undefined> {
  const logged = await readRun(log.files, log.path, "last");
  const request = logged?.begun.repair;
  if (logged === undefined || request === undefined || logged.end !== undefined) return undefined;
  return { logged, request, plan: await planOf(log, request.plan) };
}

async function planOf(log: RepairLog, hash: string): Promise<Plan | undefined> {
  try {
    const text = readText(log.files, log.planPath, LARGEST_PLAN);
    if (createHash("sha256").update(text).digest("hex") !== hash) return undefined;
    return await parsePlan(text, log.planPath);
  } catch (error) {
    if (error instanceof StorageError && (error.code === "ENOENT" || error.code === "EBADMSG"))
      return undefined;
    throw error;
  }
}

/**
 * The steps of an interrupted repair that are settled, each with its result.
 *
 * @throws {StorageError} ESTALE where something else was at work there since
 */
export async function settledSteps(
  plan: Plan,
  logged: LoggedRun,
  target: Target,
): Promise<ReadonlyMap<number, StepResult>> {
  const settled = new Map<number, StepResult>();
  for (const step of plan.steps) {
    if (step.action !== "write" && step.action !== "zero") continue;
    const result = await resultOf(step, logged.done.get(step.id), target);
    if (result !== undefined) settled.set(step.id, result);
  }
  return settled;
}

async function resultOf(
  step: PlanStep,
  done: DoneRecord | undefined,
  target: Target,
): Promise<StepResult | undefined> {
  const bytes = new Uint8Array(step.length);
  const { missing } = await readOrMissing(target.device, bytes, step.offset);
  const bad = missing.reduce((sum, { length }) => sum + length, 0);
  if (bad === 0 && sha256(bytes) === step.sha256)
    return { id: step.id, outcome: "healed", healed: step.length };
  const isAsLogged = done === undefined ? bad === step.length : bad === step.length - done.healed;
  if (!isAsLogged || bad === 0) {
    const range = `bytes ${step.offset} to ${step.offset + step.length}`;
    throw new StorageError(
      "ESTALE",
      `Refused to go on with the repair of "${target.path}": ${range} are not as it left them: make a new plan`,
      { path: target.path, syscall: "resume" },
    );
  }
  if (done === undefined || done.outcome === "undone") return undefined;
  const { outcome, healed, reason } = done;
  return { id: step.id, outcome, healed, ...(reason === undefined ? {} : { reason }) };
}
