/**
 * Acknowledge: ranges that are given up, by somebody's word, which is written down (R4).
 *
 * A bad byte reads as an error for ever, until there is data for it (R1). Who has none and wants to go on says so: the range is healed with zeros, as
 * one step like any repair, and leaves the list. Its zeros are ordinary bytes from then on, and no original: so the log keeps who gave
 * up what and why, and survey, verify and manifests go on naming it until a later run heals or undoes it.
 *
 * Only what is bad is touched, and by default only the content of files, slack and free space: zeros in a directory or an inode table are a
 * broken file system, and who wants that says so too.
 */
import { intersect, RangeSet, StorageError, type ByteRange } from "../../base/index.ts";
import { findDamage, type Damage } from "../damage.ts";
import type { PlanStep } from "../plan/plan-file.ts";
import { ownerAt, sha256, stepPieces } from "../plan/planner.ts";
import type { Target } from "../target.ts";
import type { StepResult } from "./apply-batch.ts";
import { doSteps } from "./apply.ts";
import { Journal } from "./journal.ts";
import type { RepairLog } from "./repair-log.ts";

/** What is given up. */
export interface AcknowledgeWhat {
  /** Ranges of the target; what of them is not bad is left alone. */
  readonly ranges?: readonly ByteRange[];
  /** Everything bad of the file at this path. */
  readonly path?: string | undefined;
  /** A sentence for the log. */
  readonly why?: string | undefined;
  /** Whether structures of the file system may be given up too. @default false */
  readonly metadata?: boolean;
  /** Called between batches; throws to end the work. */
  readonly checkpoint?: () => Promise<void>;
}

/** What was given up. */
export interface Acknowledged {
  readonly steps: readonly (PlanStep & StepResult)[];
  /** Bytes that are zeros now. */
  readonly bytes: number;
  /** Bytes that could not be healed: still bad (R5). */
  readonly failed: number;
}

/**
 * Gives ranges up.
 *
 * @throws {StorageError} ENOENT where no file has the path; ECANCELED where it is metadata, or nobody knows whose bytes they are, and that was not
 *   asked for: nothing was changed
 */
export async function acknowledge(
  target: Target,
  log: RepairLog,
  what: AcknowledgeWhat,
): Promise<Acknowledged> {
  const damages = chosen(await findDamage(target), what);
  if (what.path !== undefined) await checkPath(target, what.path);
  if (what.metadata !== true) checkContent(target, damages);
  const steps = stepsOf(damages);
  const results = new Map<number, StepResult>();
  const journal =
    steps.length === 0
      ? undefined
      : await Journal.begin(log, target, {
          what: "acknowledge",
          steps: steps.length,
          ...(what.why === undefined ? {} : { why: what.why }),
        });
  await doSteps(
    steps,
    { target, donors: [] },
    {
      ...(what.checkpoint === undefined ? {} : { checkpoint: what.checkpoint }),
      begin: () =>
        Promise.resolve(
          journal && {
            before: (batch) => journal.before(batch, []),
            after: (done) => journal.after(done),
          },
        ),
      note: (result) => results.set(result.id, result),
    },
  );
  journal?.end("complete");
  const done = steps.map((step) => Object.assign({}, step, results.get(step.id) as StepResult));
  const bytes = done.reduce((sum, { healed }) => sum + healed, 0);
  const wanted = done.reduce((sum, { length }) => sum + length, 0);
  return { steps: done, bytes, failed: wanted - bytes };
}

/** A part of a damage that is given up. */
type Chosen = Damage & { readonly whole: Damage };

function chosen(damages: readonly Damage[], what: AcknowledgeWhat): readonly Chosen[] {
  const ranges = RangeSet.from(what.ranges ?? []);
  return damages.flatMap((one) => {
    const damage = { ...one, whole: one };
    const isOfFile =
      what.path !== undefined &&
      damage.owners.some(
        ({ kind, paths }) => kind === "file" && (paths ?? []).includes(what.path ?? ""),
      );
    if (isOfFile) return [damage];
    return [...ranges.within(damage.offset, damage.length)].flatMap((range) => {
      const part = intersect(range, damage);
      return part === undefined ? [] : [{ ...damage, ...part }];
    });
  });
}

async function checkPath(target: Target, path: string): Promise<void> {
  for (const { map } of target.volumes) {
    if (map !== undefined && (await map.lookup(path)) !== undefined) return;
  }
  throw new StorageError(
    "ENOENT",
    `Cannot give up "${path}": no file of the target has this path`,
    {
      path,
      syscall: "acknowledge",
    },
  );
}

function checkContent(target: Target, damages: readonly Damage[]): void {
  for (const { offset, length, owners } of damages) {
    const owner = owners.find(({ kind }) => kind !== "file" && kind !== "slack" && kind !== "free");
    if (owner === undefined) continue;
    throw new StorageError(
      "ECANCELED",
      `Refused to give up bytes ${offset} to ${offset + length} of "${target.path}": they are ${owner.what}, and zeros there break the file system; --metadata does it all the same`,
      { path: target.path, syscall: "acknowledge" },
    );
  }
}

function stepsOf(damages: readonly Chosen[]): readonly PlanStep[] {
  const steps: PlanStep[] = [];
  for (const damage of damages) {
    for (const piece of stepPieces(damage))
      steps.push({
        id: steps.length + 1,
        ...piece,
        state: damage.state,
        action: "zero",
        owner: ownerAt(damage, piece.offset),
        sha256: sha256(new Uint8Array(piece.length)),
        reason: "given up",
      });
  }
  return steps;
}
