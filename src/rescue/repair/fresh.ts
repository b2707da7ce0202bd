/**
 * Fresh: whether a target still is what a plan knew. Anything that changed refuses the plan as a whole, before the first write: what moved an
 * owner may have moved them all.
 */
import { endOf, StorageError } from "../../base/index.ts";
import { readOrMissing } from "../../donor/index.ts";
import { findDamage, isMissing, type Damage } from "../damage.ts";
import { sumSteps, type Plan, type PlannedVolume, type PlanStep } from "../plan/plan-file.ts";
import { sha256 } from "../plan/planner.ts";
import type { Target, Volume } from "../target.ts";

/** What is looked at. */
export interface FreshOptions {
  /** The steps that will be done; of a repair that goes on, those that are left. @default all */
  readonly steps?: readonly PlanStep[];
  /** Whether a repair by this very plan was at work since: the generation may have grown, and what was poisoned may be lost. @default false */
  readonly begun?: boolean;
}

/**
 * Refuses a plan whose target is not what it was.
 *
 * @throws {StorageError} ESTALE, with the first thing that changed
 */
export async function checkFresh(
  plan: Plan,
  target: Target,
  options: FreshOptions = {},
): Promise<void> {
  const { steps = plan.steps, begun = false } = options;
  const stale = (why: string): never => {
    const message = `Refused plan for "${target.path}": ${why}: make a new plan`;
    throw new StorageError("ESTALE", message, { path: target.path, syscall: "apply" });
  };
  const device = whatChangedOfDevice(plan, target, begun);
  if (device !== undefined) stale(device);
  for (const [index, planned] of plan.target.volumes.entries()) {
    const fromFiles = steps.some(
      ({ owner, donor }) => owner.volume === index && donor?.from === "file",
    );
    const changed = whatChangedOfVolume(planned, target.volumes[index], fromFiles);
    if (changed !== undefined)
      stale(`${planned.name === "" ? "its file system" : planned.name} ${changed}`);
  }
  for (const step of steps) {
    const changed = await whatChangedAround(target, step, begun);
    if (changed !== undefined) stale(changed);
  }
  const owners = whatChangedOfOwners(steps, await findDamage(target));
  if (owners !== undefined) stale(owners);
}

/**
 * Refuses a target that cannot be written to, before anything is written down or done.
 *
 * @throws {StorageError} EACCES
 */
export function checkWritable(target: Target): void {
  if (!target.device.capabilities.readOnly) return;
  throw new StorageError("EACCES", `Cannot heal "${target.path}": it is open for reading`, {
    path: target.path,
    syscall: "write",
  });
}

/**
 * Refuses a plan that somebody made before, where something is bad that it has no step for: what it says of the target is not true any more.
 *
 * @throws {StorageError} ESTALE
 */
export function checkWhole(plan: Plan, target: Target): void {
  const { poisoned, lost } = target.device.poison.totals();
  const { bad } = sumSteps(plan.steps);
  if (poisoned + lost === bad) return;
  throw new StorageError(
    "ESTALE",
    `Refused plan for "${target.path}": ${poisoned + lost} bytes are bad, and the plan knows ${bad}: make a new plan`,
    { path: target.path, syscall: "apply" },
  );
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

function whatChangedOfDevice(plan: Plan, target: Target, begun: boolean): string | undefined {
  const { size, identity } = target.device;
  if (size !== plan.target.size)
    return `it was made for ${plan.target.size} bytes, and here are ${size}`;
  // A plain image has no UUID until something about it must be remembered.
  if (plan.target.uuid !== null && identity.uuid !== plan.target.uuid)
    return "it was made for another device";
  const grown = identity.generation - plan.target.generation;
  if (begun ? grown < 0 : grown !== 0) return "the device was written to since";
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

async function whatChangedAround(
  target: Target,
  step: PlanStep,
  begun: boolean,
): Promise<string | undefined> {
  const states = [...target.device.poison.states(step)];
  const isPlanned = begun
    ? states.every(({ state }) => state === step.state || state === "lost")
    : states.length === 1 && states[0]?.state === step.state;
  if (!isPlanned) return `bytes ${step.offset} to ${endOf(step)} are no longer ${step.state}`;
  const { before, after } = step.neighbours ?? {};
  if (!begun) {
    const unseen = await whatIsUnseen(target, step);
    if (unseen !== undefined) return unseen;
  }
  for (const neighbour of [before, after]) {
    if (neighbour === undefined) continue;
    if (endOf(neighbour) > target.device.size) return "a neighbour lies past the end";
    const bytes = new Uint8Array(neighbour.length);
    const { missing } = await readOrMissing(target.device, bytes, neighbour.offset);
    if (missing.length > 0) return `bytes beside ${step.offset} have gone bad since`;
    if (sha256(bytes) !== neighbour.sha256) return `bytes beside ${step.offset} have changed since`;
  }
  return undefined;
}

/** A side of a step that can be read, and that the plan knows no hash of: it was bad, or somebody took the hash away. */
async function whatIsUnseen(target: Target, step: PlanStep): Promise<string | undefined> {
  if (step.action !== "write" && step.action !== "zero") return undefined;
  const { before, after } = step.neighbours ?? {};
  const end = endOf(step);
  const sides: number[] = [];
  if (step.offset > 0 && (before === undefined || endOf(before) !== step.offset))
    sides.push(step.offset - 1);
  if (end < target.device.size && after?.offset !== end) sides.push(end);
  for (const offset of sides) {
    const { missing } = await readOrMissing(target.device, new Uint8Array(1), offset);
    if (missing.length === 0) return `the plan knows nothing of the clean byte at ${offset}`;
  }
  return undefined;
}
