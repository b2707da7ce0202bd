/**
 * Fresh: whether a target still is what a plan knew. Anything that changed refuses the plan as a whole, before the first write: what moved an
 * owner may have moved them all.
 */
import { endOf, StorageError } from "../../base/index.ts";
import { readOrMissing } from "../../donor/index.ts";
import { findDamage, isMissing, type Damage } from "../damage.ts";
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
  const owners = whatChangedOfOwners(plan.steps, await findDamage(target));
  if (owners !== undefined) stale(owners);
}

/** A plan may have been edited: zeros only where nothing is missing, a donor's bytes only for the owner that the plan names. */
function whatChangedOfOwners(
  steps: readonly PlanStep[],
  damages: readonly Damage[],
): string | undefined {
  let first = 0;
  for (const step of steps) {
    if (step.action !== "write" && step.action !== "zero") continue;
    while (first < damages.length && endOf(damages[first] as Damage) <= step.offset) first += 1;
    for (let at = first; at < damages.length; at += 1) {
      const damage = damages[at] as Damage;
      if (damage.offset >= endOf(step)) break;
      const owner = damage.owners[0];
      const right =
        step.action === "zero"
          ? !isMissing(damage)
          : owner?.kind === step.owner.kind && owner.inode === step.owner.inode;
      if (!right)
        return `bytes ${step.offset} to ${endOf(step)} do not belong to what the plan says (${step.owner.what})`;
    }
  }
  return undefined;
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
