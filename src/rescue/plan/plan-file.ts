/**
 * PlanFile: `theriac.plan/1`, a file that says exactly what a repair will do; the only thing a repair ever applies.
 *
 * It holds no data, only where data comes from and its SHA-256, so a donor that changes after planning is refused, and a
 * plan of any size is small. It names the target by everything that changes when the target does: device UUID and
 * generation, file system UUID and generation, the state of each range, and hashes of the clean bytes beside it.
 */
import { StorageError, toStorageError, type ByteRange } from "../../base/index.ts";
import type { Grade } from "../../donor/index.ts";
import type { OwnerKind, OwnerWhat } from "../../fs/index.ts";
import { nodeFiles } from "../../os/index.ts";
import type { PoisonTotals } from "../../poison/index.ts";
import { readText } from "../durable-text.ts";

/** What is trusted: the least grade that is written. "anything" is for file data only, and is recorded. */
export type Trust = "proven" | "consistent" | "anything";

/**
 * What is done with a range. "write": a donor's bytes; "zero": zeros, because it is slack or free; "refused": donors have it
 * but must not be used, or a rule forbids it; "unavailable": no donor has it; "left": free, nothing is missing, nobody asked.
 */
export type PlanAction = "write" | "zero" | "refused" | "unavailable" | "left";

/** A run of clean bytes beside a step, as it was when the plan was made. */
export interface Neighbour extends ByteRange {
  readonly sha256: string;
}

/** Whose bytes a step heals. */
export interface StepOwner {
  readonly kind: OwnerKind;
  readonly what: OwnerWhat;
  /** Index in the target's volumes; absent outside all of them. */
  readonly volume?: number | undefined;
  readonly inode?: number | undefined;
  /** The first of its paths. */
  readonly path?: string | undefined;
  /** First byte in the file; of file data. */
  readonly fileOffset?: number | undefined;
  /** Other files that share the range, by path or inode, at most 64: the step heals it for them as well. */
  readonly sharers?: readonly string[] | undefined;
}

/** Where a step's bytes come from. */
export interface StepDonor {
  /** Index in the plan's donors. */
  readonly index: number;
  /**
   * "file": bytes of the file `path` from `offset`; "volume": bytes of the volume with the target's UUID from `offset`; "twin": bytes of a leg of the
   * target's mirror, at the same place.
   */
  readonly from: "file" | "volume" | "twin";
  readonly path?: string | undefined;
  readonly offset: number;
}

/** One range and what is done with it. Offsets are bytes of the target. */
export interface PlanStep extends ByteRange {
  readonly id: number;
  readonly state: "poisoned" | "lost";
  readonly action: PlanAction;
  readonly owner: StepOwner;
  /** Of "write". */
  readonly donor?: StepDonor | undefined;
  /** Of "write": what is known of the bytes. "refused" where trust "anything" took them all the same. */
  readonly grade?: Grade | undefined;
  /** Of "write" and "zero": of the bytes that will stand there. */
  readonly sha256?: string | undefined;
  readonly neighbours?:
    | { readonly before?: Neighbour | undefined; readonly after?: Neighbour | undefined }
    | undefined;
  /** A sentence for people. */
  readonly reason: string;
}

/** A volume of the target as it was when the plan was made. */
export interface PlannedVolume {
  readonly name: string;
  readonly offset: number;
  readonly length: number;
  readonly filesystem: string | null;
  readonly uuid: string | null;
  readonly generation: string | null;
}

/** Bytes by action; they add up to `bad`. */
export type PlanSums = Readonly<Record<PlanAction | "bad", number>>;

/** The document `theriac.plan/1`. */
export interface Plan {
  readonly schema: "theriac.plan/1";
  readonly target: {
    readonly path: string;
    readonly size: number;
    readonly uuid: string | null;
    readonly generation: number;
    readonly volumes: readonly PlannedVolume[];
  };
  readonly donors: readonly { readonly name: string; readonly kind: "directory" | "image" }[];
  readonly trust: Trust;
  readonly totals: PoisonTotals;
  readonly sums: PlanSums;
  /** Ascending by offset; every bad byte of the target is in exactly one. */
  readonly steps: readonly PlanStep[];
}

/** Largest plan that is read: a million steps need less. */
export const LARGEST_PLAN: number = 400 * 1024 * 1024;

/** A plan as the text of its file, in pieces, one step a line. */
export function* planText(plan: Plan): Generator<string> {
  const { steps, ...head } = plan;
  yield `${JSON.stringify(head).slice(0, -1)},"steps":[`;
  for (const [index, step] of steps.entries())
    yield `${index === 0 ? "" : ","}\n${JSON.stringify(step)}`;
  yield "\n]}\n";
}

/**
 * Reads a plan file.
 *
 * @throws {StorageError} ENOENT, EACCES, or EBADMSG if it is no plan, with the first thing that is wrong
 */
export async function readPlan(path: string): Promise<Plan> {
  let text = "";
  try {
    text = readText(nodeFiles, path, LARGEST_PLAN);
  } catch (error) {
    throw toStorageError(error, { path, syscall: "read" });
  }
  return await parsePlan(text, path);
}

/**
 * A plan from the text of its file.
 *
 * @param path what messages call it
 * @throws {StorageError} EBADMSG if it is no plan, with the first thing that is wrong
 */
export async function parsePlan(text: string, path: string): Promise<Plan> {
  const fail = (why: string, cause?: unknown): never => {
    throw new StorageError("EBADMSG", `Cannot read plan "${path}": ${why}`, { path, cause });
  };
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    fail(`it is no JSON: ${(error as Error).message}`, error);
  }
  const { planSchema } = await import("./plan-schema.ts");
  const parsed = planSchema.safeParse(value);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    const where = issue?.path.join(".") ?? "";
    return fail(`${where === "" ? "" : `${where}: `}${issue?.message ?? "wrong shape"}`);
  }
  checkSteps(parsed.data, path);
  return parsed.data;
}

/** What a shape cannot say: steps ascend, stay apart and inside, and name donors that are there. */
function checkSteps(plan: Plan, path: string): void {
  let end = 0;
  const ids = new Set<number>();
  for (const step of plan.steps) {
    const fail = (why: string): never => {
      throw new StorageError("EBADMSG", `Cannot read plan "${path}": step ${step.id} ${why}`, {
        path,
      });
    };
    if (ids.has(step.id)) fail("is there twice");
    ids.add(step.id);
    if (step.offset < end)
      fail(`begins at ${step.offset}, before the end of the one above it at ${end}`);
    end = step.offset + step.length;
    if (end > plan.target.size)
      fail(`ends at ${end}, past the end of the target at ${plan.target.size}`);
    if (
      step.action === "write" &&
      (step.donor === undefined || step.donor.index >= plan.donors.length)
    )
      fail("names no donor of the plan");
    if ((step.action === "write" || step.action === "zero") && step.sha256 === undefined)
      fail("has no sha256 of its bytes");
    if (step.length > MOST_STEP_BYTES && step.sha256 !== undefined)
      fail(`has ${step.length} bytes, and ${MOST_STEP_BYTES} are the most`);
  }
}

/** Bytes of one step at most: what is read, hashed and written at once. */
export const MOST_STEP_BYTES: number = 1024 * 1024;

/** Bytes by action. */
export function sumSteps(steps: readonly PlanStep[]): PlanSums {
  const sums = { bad: 0, write: 0, zero: 0, refused: 0, unavailable: 0, left: 0 };
  for (const step of steps) {
    sums[step.action] += step.length;
    sums.bad += step.length;
  }
  return sums;
}
