/**
 * LogHistory: the history of a target from the records of its log, `theriac.log/1` (docs/log.md), whoever read them: a run, its steps, what became of each.
 *
 * Only the fields that are used are named here, so that anything with these fields is a record. A step without an end was interrupted; a run without one too.
 */
import type { DoneRun, DoneStep } from "./history.ts";

/** A record, as far as a report reads it. */
export type HistoryRecord =
  | {
      readonly record: "run";
      readonly run: number;
      readonly what: string;
      readonly at: string;
      readonly repair?: { readonly donors: readonly string[] } | undefined;
    }
  | {
      readonly record: "step";
      readonly run: number;
      readonly step: number;
      readonly offset: number;
      readonly length: number;
      readonly action: string;
      readonly owner: { readonly path?: string | undefined };
      readonly donor?: string | undefined;
      readonly grade?: string | undefined;
    }
  | {
      readonly record: "done";
      readonly run: number;
      readonly step: number;
      readonly outcome: string;
      readonly healed: number;
      readonly reason?: string | undefined;
    }
  | { readonly record: "end"; readonly run: number; readonly result: string }
  | { readonly record: "resumed"; readonly run: number };

type StepOfLog = Extract<HistoryRecord, { record: "step" }>;

interface RunOfLog {
  readonly run: Extract<HistoryRecord, { record: "run" }>;
  readonly steps: Map<number, DoneStep>;
  readonly actions: Map<number, string>;
  complete: boolean;
}

/** The runs of a log, oldest first. Records of a run that has no beginning are passed over. */
export async function runsOfLog(
  records: AsyncIterable<HistoryRecord> | Iterable<HistoryRecord>,
): Promise<readonly DoneRun[]> {
  const runs = new Map<number, RunOfLog>();
  for await (const record of records) {
    if (record.record === "run") {
      const begun = { run: record, steps: new Map(), actions: new Map(), complete: false };
      runs.set(record.run, begun);
      continue;
    }
    const of = runs.get(record.run);
    if (of === undefined) continue;
    if (record.record === "step") addStep(of, record);
    else if (record.record === "done") {
      const { step, outcome, healed, reason } = record;
      const begun = of.steps.get(step);
      if (begun !== undefined) of.steps.set(step, { ...begun, outcome, healed, reason });
    } else if (record.record === "end") of.complete = record.result === "complete";
  }
  return Array.from(runs.values(), runOf);
}

function addStep(of: RunOfLog, record: StepOfLog): void {
  const { step, offset, length, action, owner, donor, grade } = record;
  of.actions.set(step, action);
  of.steps.set(step, { offset, length, outcome: "interrupted", donor, grade, path: owner.path });
}

/** What the bytes of a step are called in the sums of its run. */
function nameOf(what: string, action: string): string {
  if (what === "acknowledge") return "given up";
  if (what === "undo") return "lost again";
  return action === "zero" ? "zeroed" : "repaired";
}

function runOf({ run, steps, actions, complete }: RunOfLog): DoneRun {
  const sums: Record<string, number> = {};
  for (const [step, { healed = 0, length }] of steps) {
    const name = nameOf(run.what, actions.get(step) ?? "");
    sums[name] = (sums[name] ?? 0) + healed;
    if (healed < length) sums["failed"] = (sums["failed"] ?? 0) + length - healed;
  }
  const donors = run.repair?.donors ?? [];
  const { what, at } = run;
  return { what, at, complete, donors, sums, steps: outcomesOf(what, [...steps.values()]) };
}

/** Of an acknowledgement "healed" means zeros that stand for what was given up. */
function outcomesOf(what: string, steps: readonly DoneStep[]): readonly DoneStep[] {
  if (what !== "acknowledge") return steps;
  return Array.from(steps, (step) =>
    step.outcome === "healed" ? Object.assign({}, step, { outcome: "given-up" }) : step,
  );
}
