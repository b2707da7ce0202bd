/** Batch: steps in groups that must be written at once, and groups in batches that are bounded. */
import { roundDown, roundUp } from "../../base/index.ts";
import type { PlanStep } from "../plan/plan-file.ts";

/** Groups of steps. The steps of one group share clear units, each with the next. */
export type Batch = readonly (readonly PlanStep[])[];

/** Steps and bytes of a batch, where it is ended; a group is never divided. */
const MOST_STEPS = 256;
const MOST_BYTES = 4 * 1024 * 1024;

/** Cuts ascending steps into batches. @param most steps of a batch, where it is ended. @default 256 */
export function* batches(
  steps: readonly PlanStep[],
  clearUnit: number,
  most: number = MOST_STEPS,
): Generator<Batch> {
  let batch: PlanStep[][] = [];
  let count = 0;
  let bytes = 0;
  let covered = -1;
  for (const step of steps) {
    const joins = roundDown(step.offset, clearUnit) < covered;
    if (!joins && (count >= most || bytes >= MOST_BYTES)) {
      yield batch;
      batch = [];
      count = 0;
      bytes = 0;
    }
    const group = joins ? batch.at(-1) : undefined;
    if (group === undefined) batch.push([step]);
    else group.push(step);
    covered = roundUp(step.offset + step.length, clearUnit);
    count += 1;
    bytes += step.length;
  }
  if (batch.length > 0) yield batch;
}
