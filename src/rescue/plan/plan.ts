/**
 * Plan: for every bad byte of a target what will be done with it, from which donor, and how much is known of that donor.
 *
 * Every bad byte is in exactly one step, also where nothing can be done; so the sums by action add up to what is bad (R7).
 * Reading evidence may touch poison that nobody knew of. Then the list has grown, and the plan is made again.
 */
import {
  ProgressMeter,
  RangeSet,
  roundDown,
  roundUp,
  type ByteRange,
  type ProgressListener,
} from "../../base/index.ts";
import { readOrMissing, type Donor, type FileDigest } from "../../donor/index.ts";
import { findDamage, type Damage } from "../damage.ts";
import { planFile, type DamagedFile, type Leftover } from "./plan-files.ts";
import { sumSteps, type Neighbour, type Plan, type PlanStep, type Trust } from "./plan-file.ts";
import { planRaw } from "./plan-raw.ts";
import { planTwins } from "./plan-twins.ts";
import { leave, sha256, zero, type Draft, type Planner } from "./planner.ts";
import type { Target } from "../target.ts";

/** How a plan is made. */
export interface PlanOptions {
  /** The least grade that is written. @default "consistent" */
  readonly trust?: Trust;
  /** Whether free space and unwritten extents are healed with zeros as well. @default false */
  readonly free?: boolean;
  /** Asked for the digests of damaged files, by path. @default none */
  readonly digests?: (paths: ReadonlySet<string>) => Promise<ReadonlyMap<string, FileDigest>>;
  /** Told how far it is: bytes that have a step, of those that are bad; at most ten times a second. */
  readonly onProgress?: ProgressListener;
  /** Called between steps; throws to end the work. */
  readonly checkpoint?: () => Promise<void>;
}

/** Clean bytes beside a step whose hash the plan keeps. */
const NEIGHBOUR = 512;
/** Plans made anew at most because reading found more poison. */
const ROUNDS = 8;

/**
 * Makes a plan. Writes nothing.
 *
 * @throws {StorageError} if the target or a donor itself fails
 */
export async function makePlan(
  target: Target,
  donors: readonly Donor[],
  options: PlanOptions = {},
): Promise<Plan> {
  for (let round = 1; ; round += 1) {
    const before = target.device.poison.totals();
    const steps = await planOnce(target, donors, options);
    const after = target.device.poison.totals();
    const settled =
      before.poisoned === after.poisoned &&
      before.lost === after.lost &&
      sumSteps(steps).bad === after.poisoned + after.lost;
    if (settled || round === ROUNDS)
      return document(target, donors, { steps, trust: options.trust ?? "consistent" });
  }
}

function document(
  target: Target,
  donors: readonly Donor[],
  made: { steps: readonly PlanStep[]; trust: Trust },
): Plan {
  const { device } = target;
  return {
    schema: "theriac.plan/1",
    target: {
      path: target.path,
      size: device.size,
      uuid: device.identity.uuid ?? null,
      generation: device.identity.generation,
      volumes: target.volumes.map(({ name, offset, length, map }) => ({
        name,
        offset,
        length,
        filesystem: map?.filesystem ?? null,
        uuid: map?.uuid ?? null,
        generation: map?.generation ?? null,
      })),
    },
    donors: donors.map(({ name, kind }) => ({ name, kind })),
    trust: made.trust,
    totals: device.poison.totals(),
    sums: sumSteps(made.steps),
    steps: made.steps,
  };
}

async function planOnce(
  target: Target,
  donors: readonly Donor[],
  options: PlanOptions,
): Promise<readonly PlanStep[]> {
  const damages = await findDamage(target);
  const meter = new ProgressMeter(options.onProgress);
  const paths = new Set(
    damages.flatMap((damage) =>
      damage.owners[0]?.kind === "file" ? (damage.owners[0].paths ?? []) : [],
    ),
  );
  const planner: Planner = {
    target,
    donors,
    trust: options.trust ?? "consistent",
    free: options.free ?? false,
    digests:
      options.digests === undefined || paths.size === 0
        ? new Map<string, FileDigest>()
        : await options.digests(paths),
    checkpoint: options.checkpoint ?? (() => Promise.resolve()),
    drafts: [],
  };
  const told = { phase: "planning", total: damages.reduce((sum, { length }) => sum + length, 0) };
  let done = 0;
  let seen = 0;
  const report = (): void => {
    for (; seen < planner.drafts.length; seen += 1) done += planner.drafts[seen]?.length ?? 0;
    meter.report({ ...told, done });
  };
  const sorted = sortOut(planner, await planTwins(planner, damages));
  for (const file of sorted.files.values()) {
    report();
    for (const rest of await planFile(planner, file)) addRaw(sorted.raw, rest);
  }
  for (const raw of sorted.raw.values()) {
    report();
    await planRaw(planner, raw);
  }
  report();
  const { clearUnit } = target.device.capabilities;
  const drafts = completeUnits(planner.drafts, clearUnit).toSorted(
    (one, other) => one.offset - other.offset,
  );
  const steps: PlanStep[] = [];
  for (const draft of drafts) {
    await planner.checkpoint();
    steps.push({ id: steps.length + 1, ...draft, ...(await neighbours(target, draft)) });
  }
  return steps;
}

/** What needs whom: files of donors, raw images, or nobody. */
interface Sorted {
  readonly files: Map<string, DamagedFile & { damages: Damage[] }>;
  readonly raw: Map<number, Leftover[]>;
}

function addRaw(raw: Map<number, Leftover[]>, damage: Leftover): void {
  const key = damage.volume ?? -1;
  const list = raw.get(key) ?? [];
  raw.set(key, list);
  list.push(damage);
}

function sortOut(planner: Planner, damages: readonly Damage[]): Sorted {
  const sorted: Sorted = { files: new Map(), raw: new Map() };
  for (const damage of damages) {
    const owner = damage.owners[0];
    const refusal = refusalOf(planner, damage);
    if (refusal !== undefined) leave(planner, damage, { action: "refused", reason: refusal });
    else if (damage.owners.every(({ kind }) => kind === "slack" || kind === "free"))
      planUnused(planner, damage);
    else if (owner?.what === "data" && owner.inode !== undefined && damage.volume !== undefined) {
      const key = `${damage.volume}:${owner.inode}`;
      const file = sorted.files.get(key) ?? { volume: damage.volume, owner, damages: [] };
      sorted.files.set(key, file);
      file.damages.push(damage);
    } else addRaw(sorted.raw, damage);
  }
  return sorted;
}

/** Why nothing may be done with a range at all. */
function refusalOf(planner: Planner, damage: Damage): string | undefined {
  const map = damage.volume === undefined ? undefined : planner.target.volumes[damage.volume]?.map;
  if (map?.journal.pending === true) {
    return `the journal still holds changes, so an owner may have moved (${map.journal.message}): mount and unmount the file system, or run ${map.checker}, then repair`;
  }
  const refusal = damage.owners.find((owner) => owner.refusal !== undefined)?.refusal;
  if (refusal !== undefined) return refusal;
  const inodes = new Set(
    damage.owners
      .filter(({ kind }) => kind !== "slack" && kind !== "free")
      .map(({ inode }) => inode),
  );
  const shared = damage.owners.every((owner) => owner.shared === true);
  if (inodes.size > 1 && !shared)
    return `several owners claim it (inodes ${[...inodes].join(", ")}): run ${map?.checker ?? "its checker"} first`;
  if (damage.volume === undefined && damage.owners.some(({ kind }) => kind === "metadata"))
    return "a partition table is not repaired: write it with the tool that made it";
  return undefined;
}

/** Slack gets zeros; free space and unwritten extents when asked: nothing is missing there. */
function planUnused(planner: Planner, damage: Damage): void {
  const { kind, what } = damage.owners[0] ?? {};
  const onRequest = kind === "free" || what === "unwritten";
  if (!onRequest) zero(planner, damage, "slack: no file's content, zeros are right");
  else if (planner.free) zero(planner, damage, "not in use: zeros, as --free asks");
  else
    leave(planner, damage, {
      action: "left",
      reason: "not in use: nothing is missing here; --free heals it with zeros",
    });
}

/**
 * What is left alone in the same clear unit as something that is written gets zeros too: the unit is cleared as a whole, and
 * a rest without data would make the write fail on a disk, or the rest lost on a simulated device.
 */
function completeUnits(drafts: readonly Draft[], unit: number): readonly Draft[] {
  const written = new RangeSet();
  for (const { action, offset, length } of drafts) {
    if (action !== "write" && action !== "zero") continue;
    const start = roundDown(offset, unit);
    written.add(start, roundUp(offset + length, unit) - start);
  }
  return drafts.flatMap((draft) => {
    if (draft.action !== "left" || !written.intersects(draft.offset, draft.length)) return [draft];
    return [...splitBy(draft, written)];
  });
}

function* splitBy(draft: Draft, written: RangeSet): Generator<Draft> {
  const reason = "not in use, but in the same clear unit as a range that is healed: zeros";
  for (const { offset, length } of written.within(draft.offset, draft.length)) {
    yield {
      ...draft,
      offset,
      length,
      action: "zero",
      sha256: sha256(new Uint8Array(length)),
      reason,
    };
  }
  for (const { offset, length } of written.gaps(draft.offset, draft.length))
    yield { ...draft, offset, length };
}

/** Hashes of the clean bytes that touch a step. */
async function neighbours(target: Target, draft: Draft): Promise<Pick<PlanStep, "neighbours">> {
  if (draft.action !== "write" && draft.action !== "zero") return {};
  const start = Math.max(0, draft.offset - NEIGHBOUR);
  const end = draft.offset + draft.length;
  const before = await neighbour(target, { offset: start, length: draft.offset - start }, "end");
  const after = await neighbour(
    target,
    { offset: end, length: Math.min(NEIGHBOUR, target.device.size - end) },
    "start",
  );
  if (before === undefined && after === undefined) return {};
  return {
    neighbours: {
      ...(before === undefined ? {} : { before }),
      ...(after === undefined ? {} : { after }),
    },
  };
}

/** The clean run of a range that touches its end or its start. */
async function neighbour(
  target: Target,
  range: ByteRange,
  touching: "start" | "end",
): Promise<Neighbour | undefined> {
  if (range.length === 0) return undefined;
  const bytes = new Uint8Array(range.length);
  const { missing } = await readOrMissing(target.device, bytes, range.offset);
  const clean = [...RangeSet.from(missing).gaps(range.offset, range.length)];
  const run =
    touching === "end"
      ? clean.findLast((part) => part.offset + part.length === range.offset + range.length)
      : clean.find((part) => part.offset === range.offset);
  if (run === undefined) return undefined;
  return {
    ...run,
    sha256: sha256(
      bytes.subarray(run.offset - range.offset, run.offset - range.offset + run.length),
    ),
  };
}
