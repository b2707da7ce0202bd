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
import { cleanPieces, readOrMissing, type Donor, type DonorFile } from "../../donor/index.ts";
import { batches, type Batch } from "./batch.ts";
import { checkFresh } from "./fresh.ts";
import { extentHashes, touchedInodes } from "./extents-check.ts";
import type { Plan, PlanStep } from "../plan/plan-file.ts";
import { sha256 } from "../plan/planner.ts";
import type { Target } from "../target.ts";

/** What became of a step. "skipped": the plan did nothing with it. */
export type StepOutcome = "healed" | "partly-healed" | "failed" | "donor-changed" | "skipped";

/** The result of one step. */
export interface StepResult {
  readonly id: number;
  readonly outcome: StepOutcome;
  /** Bytes that hold their right data now. */
  readonly healed: number;
  /** Why it is not healed. */
  readonly reason?: string;
}

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
  /** Called after every batch with bytes done and wanted. */
  readonly onProgress?: (done: number, total: number) => void;
  /** Called for every step that wrote or tried to. */
  readonly onStep?: (step: PlanStep, result: StepResult) => void;
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
  options: ApplyOptions = {},
): Promise<Applied> {
  await checkFresh(plan, on.target);
  const inodes = touchedInodes(plan.steps);
  const before = await extentHashes(on.target, inodes);
  const results = new Map<number, StepResult>();
  const work = plan.steps.filter(({ action }) => action === "write" || action === "zero");
  const total = work.reduce((sum, { length }) => sum + length, 0);
  const source = new StepSource(on.donors);
  let done = 0;
  try {
    for (const batch of batches(work, on.target.device.capabilities.clearUnit)) {
      await options.checkpoint?.();
      for (const [step, result] of await applyBatch(on.target, source, batch)) {
        results.set(step.id, result);
        options.onStep?.(step, result);
        done += step.length;
      }
      options.onProgress?.(done, total);
    }
  } finally {
    await source.close();
  }
  await on.target.device.flush();
  const after = await extentHashes(on.target, inodes, { reopen: true });
  const moved = [...before].filter(([key, hash]) => after.get(key) !== hash).map(([key]) => key);
  return {
    results: plan.steps.map(
      (step) => results.get(step.id) ?? { id: step.id, outcome: "skipped", healed: 0 },
    ),
    moved,
  };
}

/** Gives the bytes of steps, and keeps the last file open, because steps of a file follow each other. */
class StepSource {
  readonly #donors: readonly Donor[];
  #open: { key: string; file: DonorFile } | undefined;

  constructor(donors: readonly Donor[]) {
    this.#donors = donors;
  }

  /** The bytes, or why the donor no longer has those that the plan knew. */
  async bytes(step: PlanStep, uuid: string | undefined): Promise<Uint8Array | string> {
    const bytes = new Uint8Array(step.length);
    if (step.action === "write") {
      const trouble = await this.#fill(bytes, step, uuid);
      if (trouble !== undefined) return trouble;
    }
    return sha256(bytes) === step.sha256
      ? bytes
      : "the donor's bytes are not those that were planned";
  }

  async #fill(
    bytes: Uint8Array,
    step: PlanStep,
    uuid: string | undefined,
  ): Promise<string | undefined> {
    const wanted = step.donor;
    const donor = this.#donors[wanted?.index ?? -1];
    if (wanted === undefined || donor === undefined) return "the donor is not there";
    if (wanted.from === "volume") {
      const volume = uuid === undefined ? undefined : await donor.volume(uuid);
      if (volume === undefined || wanted.offset + bytes.length > volume.length)
        return "the donor has no such volume any more";
      const { missing } = await readOrMissing(volume.device, bytes, volume.offset + wanted.offset);
      return missing.length === 0 ? undefined : "the donor misses bytes there now";
    }
    const file = await this.#file(donor, wanted.index, { path: wanted.path ?? "", uuid });
    if (file === undefined) return "the donor has no such file any more";
    const { missing } = await file.read(bytes, wanted.offset);
    return missing.length === 0 ? undefined : "the donor misses bytes there now";
  }

  async #file(
    donor: Donor,
    index: number,
    wanted: { path: string; uuid: string | undefined },
  ): Promise<DonorFile | undefined> {
    const key = `${index}:${wanted.uuid ?? ""}:${wanted.path}`;
    if (this.#open?.key === key) return this.#open.file;
    await this.close();
    const file = await donor.file(wanted.path, wanted.uuid);
    this.#open = file === undefined ? undefined : { key, file };
    return file;
  }

  async close(): Promise<void> {
    const open = this.#open;
    this.#open = undefined;
    await open?.file.close();
  }
}

/** Heals one batch, reads it back, and says what became of each step. */
async function applyBatch(
  target: Target,
  source: StepSource,
  batch: Batch,
): Promise<readonly (readonly [PlanStep, StepResult])[]> {
  const results = new Map<PlanStep, StepResult>();
  const writes: { step: PlanStep; data: Uint8Array; group: number }[] = [];
  for (const [group, steps] of batch.entries()) {
    for (const step of steps) {
      const uuid =
        step.owner.volume === undefined ? undefined : target.volumes[step.owner.volume]?.map?.uuid;
      const data = await source.bytes(step, uuid);
      if (typeof data === "string")
        results.set(step, { id: step.id, outcome: "donor-changed", healed: 0, reason: data });
      else writes.push({ step, data, group });
    }
  }
  const errors = await healGroups(target, writes);
  for (const { step, data, group } of writes)
    results.set(step, await readBack(target, { step, data, error: errors.get(group) }));
  return [...results];
}

/** Heals each group of touching steps as one write, so that a clear unit gets all of its bytes at once. */
async function healGroups(
  target: Target,
  writes: readonly { step: PlanStep; data: Uint8Array; group: number }[],
): Promise<ReadonlyMap<number, Error>> {
  const joined: { offset: number; group: number; parts: Uint8Array[]; end: number }[] = [];
  for (const { step, data, group } of writes) {
    const last = joined.at(-1);
    if (last !== undefined && last.group === group && last.end === step.offset) {
      last.parts.push(data);
      last.end += data.length;
    } else
      joined.push({ offset: step.offset, group, parts: [data], end: step.offset + data.length });
  }
  const outcome = await target.device.heal(
    joined.map(({ offset, parts }) => ({ offset, data: Buffer.concat(parts) })),
  );
  const errors = new Map<number, Error>();
  for (const [index, error] of outcome.entries()) {
    const group = joined[index]?.group;
    if (error !== undefined && group !== undefined) errors.set(group, error);
  }
  return errors;
}

/** What of a step is right now: not in the list, and the same bytes when read back. What the medium lied about becomes lost. */
async function readBack(
  target: Target,
  healed: { step: PlanStep; data: Uint8Array; error: Error | undefined },
): Promise<StepResult> {
  const { step, data, error } = healed;
  const bytes = new Uint8Array(step.length);
  const { missing } = await readOrMissing(target.device, bytes, step.offset);
  let good = 0;
  let lied = false;
  for (const { offset, length } of cleanPieces(step, missing)) {
    const from = offset - step.offset;
    if (
      Buffer.compare(bytes.subarray(from, from + length), data.subarray(from, from + length)) === 0
    ) {
      good += length;
    } else {
      lied = true;
      target.device.recordBad({ offset, length }, "lost");
    }
  }
  if (good === step.length) return { id: step.id, outcome: "healed", healed: good };
  const reason = lied
    ? "read back, the bytes are not those that were written"
    : (error?.message ?? "read back, it is still bad");
  return { id: step.id, outcome: good === 0 ? "failed" : "partly-healed", healed: good, reason };
}
