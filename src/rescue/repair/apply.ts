/**
 * Apply: does what a plan says, and nothing else.
 *
 * What can go wrong in the world: the target was mounted or written since the plan was made, a donor changed, a clear is refused or
 * stops half-way, a medium answers well and keeps its poison, the sidecar's disk fills, the machine stops between any two
 * writes. What is promised:
 *
 * - the whole plan is checked before the first write; one thing that changed refuses all of it (exit 4)
 * - every write goes through the device's heal, so clear and data are one step (R3); a batch is bounded in bytes and steps
 * - only bytes whose SHA-256 the plan holds are written; a donor that changed costs its own steps alone
 * - every healed range is read back past the intent and compared; what is not right is still bad or lost afterwards (R5)
 * - no extent moves (R8): the maps of all touched files are compared before and after
 */
import { endOf, ProgressMeter, type ByteRange, type ProgressListener } from "../../base/index.ts";
import type { Donor } from "../../donor/index.ts";
import { applyBatch, StepSource, type StepResult } from "./apply-batch.ts";
import { batches } from "./batch.ts";
import { checkFresh } from "./fresh.ts";
import { extentHashes, touchedInodes } from "./extents-check.ts";
import type { Plan, PlanStep } from "../plan/plan-file.ts";
import type { Target } from "../target.ts";

/** What an application did. */
export interface Applied {
  /** One for each step of the plan, in its order. */
  readonly results: readonly StepResult[];
  /** Inodes whose extents are not what they were: never, unless someone else writes (R8). */
  readonly moved: readonly string[];
}

/** How a plan is applied. */
export interface ApplyOptions {
  /** Called between batches; throws to end the work: what is done is done whole. */
  readonly checkpoint?: () => Promise<void>;
  /** Steps that are written down and healed at once at most. @default 256 */
  readonly batchSteps?: number;
  /** Told how far it is, in bytes of the steps that write: phase, rate, remaining time, current zone; at most ten times a second. */
  readonly onProgress?: ProgressListener;
  /** Called for every step that wrote or tried to. */
  readonly onStep?: (step: PlanStep, result: StepResult) => void;
}

/** Whoever writes down what is done. Every call is durable on return, or throws, which ends the work. */
export interface StepJournal {
  /** Steps that are about to be done: nothing of them has been touched. */
  before(steps: readonly PlanStep[]): void;
  /** What became of them, which is durable. */
  after(results: readonly StepResult[]): void;
}

/** How a plan is applied inside a repair. */
export interface ApplyParts extends ApplyOptions {
  /** Called once everything was checked and before anything is written, where there is something to write. @default no log is kept */
  readonly begin?: () => Promise<StepJournal | undefined>;
  /** Of a repair that goes on: the steps that are settled, by number. @default none; the plan is fresh */
  readonly settled?: ReadonlyMap<number, StepResult>;
}

/**
 * Applies a plan to a target that is open for writing.
 *
 * @param donors in the order of the plan's donors
 * @throws {StorageError} ESTALE where the target is not as the plan knew it: nothing was written
 */
export async function applyPlan(
  plan: Plan,
  on: { readonly target: Target; readonly donors: readonly Donor[] },
  options: ApplyParts = {},
): Promise<Applied> {
  const { settled } = options;
  const results = new Map(settled);
  const open = plan.steps.filter(({ id }) => !results.has(id));
  await checkFresh(plan, on.target, { steps: open, begun: settled !== undefined });
  const inodes = touchedInodes(plan.steps);
  const before = await extentHashes(on.target, inodes);
  const work = open.filter(({ action }) => action === "write" || action === "zero");
  await doSteps(work, on, { ...options, note: (result) => results.set(result.id, result) });
  const after = await extentHashes(on.target, inodes, { reopen: true });
  const moved = [...before].filter(([key, hash]) => after.get(key) !== hash).map(([key]) => key);
  return {
    results: plan.steps.map(
      (step) => results.get(step.id) ?? { id: step.id, outcome: "skipped", healed: 0 },
    ),
    moved,
  };
}

/** Heals steps batch by batch; all of it is durable on return. @param how `note`: takes each result */
export async function doSteps(
  work: readonly PlanStep[],
  on: { readonly target: Target; readonly donors: readonly Donor[] },
  how: ApplyParts & { readonly note: (result: StepResult) => void },
): Promise<void> {
  const total = work.reduce((sum, { length }) => sum + length, 0);
  const journal = total === 0 ? undefined : await how.begin?.();
  const source = new StepSource(on.donors);
  const meter = new ProgressMeter(how.onProgress);
  const told = { phase: "healing", total };
  let done = 0;
  try {
    const { clearUnit } = on.target.device.capabilities;
    for (const batch of batches(work, clearUnit, how.batchSteps)) {
      await how.checkpoint?.();
      const steps = batch.flat();
      meter.report({ ...told, done, zone: zoneOf(steps) });
      journal?.before(steps);
      const results = await applyBatch(on.target, source, batch);
      // What was read back may have been put on the list: the log must not say more than the list does.
      await on.target.device.flush();
      journal?.after(results.map(([, result]) => result));
      for (const [step, result] of results) {
        how.note(result);
        how.onStep?.(step, result);
        done += step.length;
      }
    }
  } finally {
    await source.close();
  }
  await on.target.device.flush();
  if (total > 0) meter.report({ ...told, done });
}

/** From the first byte of ascending steps to the last. */
function zoneOf(steps: readonly PlanStep[]): ByteRange {
  const [first, last] = [steps[0], steps.at(-1)];
  const offset = first?.offset ?? 0;
  return { offset, length: last === undefined ? 0 : endOf(last) - offset };
}
