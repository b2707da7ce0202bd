/**
 * Fresh: whether a target still is what a plan knew. Anything that changed refuses the plan as a whole, before the first write: what moved an
 * owner may have moved them all.
 */
import { StorageError } from "../../base/index.ts";
import { readOrMissing } from "../../donor/index.ts";
import type { Plan, PlannedVolume, PlanStep } from "../plan/plan-file.ts";
import { sha256 } from "../plan/planner.ts";
import type { Target, Volume } from "../target.ts";

/**
 * Refuses a plan whose target is not what it was.
 *
 * @throws {StorageError} ESTALE, with the first thing that changed
 */
export async function checkFresh(plan: Plan, target: Target): Promise<void> {
  const stale = (why: string): never => {
    const message = `Refused plan for "${target.path}": ${why}: make a new plan`;
    throw new StorageError("ESTALE", message, { path: target.path, syscall: "apply" });
  };
  const device = whatChangedOfDevice(plan, target);
  if (device !== undefined) stale(device);
  for (const [index, planned] of plan.target.volumes.entries()) {
    const fromFiles = plan.steps.some(
      ({ owner, donor }) => owner.volume === index && donor?.from === "file",
    );
    const changed = whatChangedOfVolume(planned, target.volumes[index], fromFiles);
    if (changed !== undefined)
      stale(`${planned.name === "" ? "its file system" : planned.name} ${changed}`);
  }
  for (const step of plan.steps) {
    const changed = await whatChangedAround(target, step);
    if (changed !== undefined) stale(changed);
  }
}

function whatChangedOfDevice(plan: Plan, target: Target): string | undefined {
  const { size, identity } = target.device;
  if (size !== plan.target.size)
    return `it was made for ${plan.target.size} bytes, and here are ${size}`;
  // A plain image has no UUID until something about it must be remembered.
  if (plan.target.uuid !== null && identity.uuid !== plan.target.uuid)
    return "it was made for another device";
  if (identity.generation !== plan.target.generation) return "the device was written to since";
  if (target.volumes.length !== plan.target.volumes.length) return "it has other partitions now";
  return undefined;
}

function whatChangedOfVolume(
  planned: PlannedVolume,
  volume: Volume | undefined,
  fromFiles: boolean,
): string | undefined {
  if (volume?.offset !== planned.offset || volume.length !== planned.length)
    return "lies elsewhere now";
  const { map } = volume;
  if ((map?.uuid ?? null) !== planned.uuid) return "is another one now";
  if ((map?.generation ?? null) !== planned.generation) return "was mounted or written since";
  return fromFiles && map?.journal.pending === true ? "has a journal with changes now" : undefined;
}

async function whatChangedAround(target: Target, step: PlanStep): Promise<string | undefined> {
  const states = [...target.device.poison.states(step)];
  if (states.length !== 1 || states[0]?.state !== step.state) {
    return `bytes ${step.offset} to ${step.offset + step.length} are no longer ${step.state}`;
  }
  for (const neighbour of [step.neighbours?.before, step.neighbours?.after]) {
    if (neighbour === undefined) continue;
    if (neighbour.offset + neighbour.length > target.device.size)
      return "a neighbour lies past the end";
    const bytes = new Uint8Array(neighbour.length);
    const { missing } = await readOrMissing(target.device, bytes, neighbour.offset);
    if (missing.length > 0) return `bytes beside ${step.offset} have gone bad since`;
    if (sha256(bytes) !== neighbour.sha256) return `bytes beside ${step.offset} have changed since`;
  }
  return undefined;
}
