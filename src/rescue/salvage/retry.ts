/** retry: what is bad by itself once more, a unit at a time, every pass in the other direction; what a list names comes last. */
import { difference, intersection, RangeSet, type ByteRange } from "../../base/index.ts";
import type { Prober } from "./prober.ts";
import type { SalvageWork } from "./salvage-work.ts";
import { pieces, piecesBackward, wanted } from "./wanted.ts";

/** What is tried again, and how often. */
export interface RetryOptions {
  /** Passes. */
  readonly times: number;
  /** What a list named before anything was read. */
  readonly listed: RangeSet;
  /** Whether that is tried as well: never where a failed read stops the machine. */
  readonly triesListed: boolean;
}

/** Reads bad units of the areas again. */
export async function retry(
  work: SalvageWork,
  prober: Prober,
  options: RetryOptions,
): Promise<void> {
  const { times, listed, triesListed } = options;
  for (let pass = 0; pass < times; pass += 1) {
    const isBackward = pass % 2 === 0;
    for (const area of work.areas) {
      const all = RangeSet.from(wanted(work, "-", area));
      await tryAll(prober, { ranges: [...difference(all, listed)], isBackward });
      if (!triesListed) continue;
      await tryAll(prober, { ranges: [...intersection(all, listed)], isBackward });
    }
  }
}

async function tryAll(
  prober: Prober,
  { ranges, isBackward }: { readonly ranges: readonly ByteRange[]; readonly isBackward: boolean },
): Promise<void> {
  for (const range of isBackward ? ranges.toReversed() : ranges)
    for (const unit of isBackward ? piecesBackward(range, prober.unit) : pieces(range, prober.unit))
      if (!prober.slow.intersects(unit.offset, unit.length)) await prober.try(unit);
  await prober.settle();
}
