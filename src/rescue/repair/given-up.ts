/** GivenUp: what a log says was acknowledged as given up, so that its zeros are never taken for the original. */
import { RangeSet, type ByteRange } from "../../base/index.ts";
import type { Target } from "../target.ts";
import type { StepRecord } from "./log-record.ts";
import { readLog } from "./read-log.ts";
import type { RepairLog } from "./repair-log.ts";

/** A range that was given up, as the log has it. */
export interface GivenUp extends ByteRange {
  readonly run: number;
  /** ISO 8601, UTC. */
  readonly at: string;
  readonly why?: string | undefined;
  readonly owner: StepRecord["owner"];
}

/**
 * What a log says was given up, and no later run healed or undid; what of it is bad again stands on the list, and not here. Ascending, apart;
 * empty where there is no log. A step whose end the log does not know counts: its zeros may stand there.
 */
export async function givenUp(target: Target, log: RepairLog): Promise<readonly GivenUp[]> {
  const ranges = new RangeSet();
  const runs = new Map<number, { at: string; why?: string | undefined }>();
  const open = new Map<string, StepRecord>();
  const given: GivenUp[] = [];
  for await (const record of readLog(log.files, log.path)) {
    if (record.record === "run" && record.what === "acknowledge") {
      const { at, why } = record;
      runs.set(record.run, { at, ...(why === undefined ? {} : { why }) });
    } else if (record.record === "step") {
      open.set(`${record.run}.${record.step}`, record);
      const run = runs.get(record.run);
      if (run === undefined) continue;
      const { offset, length, owner } = record;
      given.push({ offset, length, owner, run: record.run, ...run });
      ranges.add(offset, length);
    } else if (record.record === "done") {
      const key = `${record.run}.${record.step}`;
      const step = open.get(key);
      open.delete(key);
      if (step !== undefined && runs.has(record.run) === (record.healed === 0))
        ranges.delete(step.offset, step.length);
    }
  }
  const all = { offset: 0, length: target.device.size };
  if (given.length > 0)
    for (const { offset, length } of target.device.poison.bad(all)) ranges.delete(offset, length);
  return claim(given, ranges).sort((one, other) => one.offset - other.offset);
}

/** Each range with the last run that gave it up. */
function claim(given: readonly GivenUp[], ranges: RangeSet): GivenUp[] {
  return given.toReversed().flatMap((one) => {
    const parts = [...ranges.within(one.offset, one.length)];
    for (const { offset, length } of parts) ranges.delete(offset, length);
    return parts.map((part) => Object.assign({}, one, part, { owner: ownerAt(one, part) }));
  });
}

/** The owner, with its place in the file where it begins later. */
function ownerAt(one: GivenUp, part: ByteRange): GivenUp["owner"] {
  const { fileOffset } = one.owner;
  return fileOffset === undefined
    ? one.owner
    : { ...one.owner, fileOffset: fileOffset + part.offset - one.offset };
}
