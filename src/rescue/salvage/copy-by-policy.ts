/**
 * copy-by-policy: a source read an attempt at a time, by what a failed read costs:
 *
 * - *listed*: what a list names is never touched, whatever is asked; what fails all the same is halved. For memory that stops the machine.
 * - *cheap*: what fails is halved. For memory and NVMe.
 * - *costly*: a bad place is left fast, and comes last. For disks.
 *
 * What a list names is bad without being read; with `retries` it comes last of all.
 */
import { alignOut, RangeSet, type ByteRange } from "../../base/index.ts";
import { copyCheap } from "./policy-cheap.ts";
import { copyCostly } from "./policy-costly.ts";
import { Prober, Stopped, type Attempts, type ProbeCounts, type ProberOptions } from "./prober.ts";
import { retry } from "./retry.ts";
import type { SalvageWork } from "./salvage-work.ts";

/** How failed reads are dealt with. */
export const POLICIES = ["listed", "cheap", "costly"] as const;

/** How failed reads are dealt with. */
export type Policy = (typeof POLICIES)[number];

/** What is done, and how far. */
export interface PolicyOptions extends ProberOptions {
  readonly policy: Policy;
  /** Passes over what is bad by itself. @default 0 */
  readonly retries?: number;
}

/** What came of it, beside the map. */
export interface PolicyResult {
  readonly counts: ProbeCounts;
  /** What failed once, and then came. */
  readonly transient: RangeSet;
  /** Where reads took too long. */
  readonly slow: RangeSet;
  /** Why it ended before everything was tried. */
  readonly stopped: string | undefined;
}

/** Reads all areas of a salvage. */
export async function copyByPolicy(
  work: SalvageWork,
  attempts: Attempts,
  options: PolicyOptions,
): Promise<PolicyResult> {
  const { policy, retries = 0 } = options;
  const listed = RangeSet.from(
    (await work.source.bad()).map((range) => unitsOf(range, attempts.unit, work.map.size)),
  );
  work.map.alignTo(attempts.unit);
  for (const range of listed) work.map.setUnfinished(range, "-");
  const prober = new Prober(work, attempts, options);
  const stopped = await untilStopped(prober, async () => {
    const copy = policy === "costly" ? copyCostly : copyCheap;
    for (const area of work.areas) await copy(work, prober, area);
    if (retries > 0)
      await retry(work, prober, { times: retries, listed, triesListed: policy !== "listed" });
  });
  await prober.finish();
  for (const range of work.map.of("-"))
    for (const found of listed.gaps(range.offset, range.length)) work.source.missed?.(found);
  const { transient, slow, counts } = prober;
  return { counts, transient, slow, stopped };
}

/** A unit that is bad in a part cannot be read. */
function unitsOf(range: ByteRange, unit: number, size: number): ByteRange {
  const { offset, length } = alignOut(range, unit);
  return { offset, length: Math.min(length, size - offset) };
}

/** @returns why it was stopped */
async function untilStopped(prober: Prober, act: () => Promise<void>): Promise<string | undefined> {
  try {
    await act();
    return undefined;
  } catch (error) {
    // What is being written must end before the output is closed.
    await prober.settle().catch(() => undefined);
    if (error instanceof Stopped) return error.message;
    throw error;
  }
}
