/**
 * policy-cheap: large reads, and what fails is halved until single units are known: for memory and NVMe, where a failed read costs no more than another.
 *
 * Where a range failed and its first half came whole, the second half must hold what is bad: it is not read as a whole again.
 */
import { endOf, roundDown, type ByteRange } from "../../base/index.ts";
import type { Prober } from "./prober.ts";
import type { SalvageWork } from "./salvage-work.ts";
import { pieces, wanted } from "./wanted.ts";

/** Reads everything of an area that is neither finished nor bad by itself. */
export async function copyCheap(
  work: SalvageWork,
  prober: Prober,
  area: Iterable<ByteRange>,
): Promise<void> {
  for (const status of ["?", "*", "/"] as const)
    for (const range of wanted(work, status, area))
      for (const piece of pieces(range, prober.largest)) await bisect({ work, prober }, piece);
  await prober.settle();
}

interface Reading {
  readonly work: SalvageWork;
  readonly prober: Prober;
}

/**
 * Reads a range, by halves where it fails.
 *
 * @returns whether all of it came
 */
async function bisect(reading: Reading, range: ByteRange, isBad = false): Promise<boolean> {
  const { work, prober } = reading;
  if (!isBad || range.length <= prober.unit) {
    const answer = await prober.try(range);
    if (answer === "data") return true;
    if (answer === "slow") return false;
    if (range.length <= prober.unit) {
      work.map.setUnfinished(range, "-");
      return false;
    }
  }
  const middle = middleOf(range, prober.unit);
  const first = { offset: range.offset, length: middle - range.offset };
  const second = { offset: middle, length: endOf(range) - middle };
  const came = await bisect(reading, first);
  // Where a read hung in the first half, the zone around it is left alone.
  if (prober.slow.intersects(second.offset, second.length)) return false;
  const rest = await bisect(reading, second, came);
  return came && rest;
}

/** A border of units in the middle, inside the range. */
function middleOf(range: ByteRange, unit: number): number {
  const half = roundDown(range.offset + range.length / 2, unit);
  return half > range.offset ? half : roundDown(range.offset, unit) + unit;
}
