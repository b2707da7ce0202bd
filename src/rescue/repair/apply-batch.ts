/** ApplyBatch: one batch of steps: their bytes fetched and checked, healed as one, read back and compared. */
import { StorageError, type ByteRange } from "../../base/index.ts";
import type { Device } from "../../device/index.ts";
import { cleanPieces, readOrMissing, type Donor, type DonorFile } from "../../donor/index.ts";
import type { Batch } from "./batch.ts";
import type { PlanStep } from "../plan/plan-file.ts";
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

/** Gives the bytes of steps, and keeps the last file open, because steps of a file follow each other. */
export class StepSource {
  readonly #donors: readonly Donor[];
  #open: { key: string; file: DonorFile } | undefined;

  constructor(donors: readonly Donor[]) {
    this.#donors = donors;
  }

  /** The bytes, or why the donor no longer has those that the plan knew. */
  async bytes(step: PlanStep, uuid: string | undefined): Promise<Uint8Array | string> {
    const bytes = new Uint8Array(step.length);
    if (step.action === "write") {
      const trouble = await this.#tryFill(bytes, step, uuid);
      if (trouble !== undefined) return trouble;
    }
    return sha256(bytes) === step.sha256
      ? bytes
      : "the donor's bytes are not those that were planned";
  }

  /** A donor that fails, or is gone half-way, costs its own steps alone. */
  async #tryFill(
    bytes: Uint8Array,
    step: PlanStep,
    uuid: string | undefined,
  ): Promise<string | undefined> {
    try {
      return await this.#fill(bytes, step, uuid);
    } catch (error) {
      if (!(error instanceof StorageError)) throw error;
      return `the donor failed: ${error.message}`;
    }
  }

  async #fill(
    bytes: Uint8Array,
    step: PlanStep,
    uuid: string | undefined,
  ): Promise<string | undefined> {
    const wanted = step.donor;
    const donor = this.#donors[wanted?.index ?? -1];
    if (wanted === undefined || donor === undefined) return "the donor is not there";
    if (wanted.from === "twin") {
      const { twin } = donor;
      const place =
        twin === undefined
          ? undefined
          : { device: twin.device, offset: 0, length: twin.device.size };
      return await fillFrom(place, bytes, wanted.offset);
    }
    if (wanted.from === "volume") {
      const volume = uuid === undefined ? undefined : await donor.volume(uuid);
      return await fillFrom(volume, bytes, wanted.offset);
    }
    const file = await this.#file(donor, wanted.index, { path: wanted.path ?? "", uuid });
    if (file === undefined) return "the donor has no such file any more";
    const { missing } = await file.read(bytes, wanted.offset);
    return missing.length === 0 ? undefined : GONE_BAD;
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

const GONE_BAD = "the donor misses bytes there now";

/** Fills bytes from a place on a device. @returns why it cannot */
async function fillFrom(
  place: (ByteRange & { readonly device: Device }) | undefined,
  bytes: Uint8Array,
  offset: number,
): Promise<string | undefined> {
  if (place === undefined || offset + bytes.length > place.length)
    return "the donor has no such volume, or leg of the target's mirror, any more";
  const { missing } = await readOrMissing(place.device, bytes, place.offset + offset);
  return missing.length === 0 ? undefined : GONE_BAD;
}

/** Heals one batch, reads it back, and says what became of each step. */
export async function applyBatch(
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
