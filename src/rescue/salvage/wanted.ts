/** wanted: which ranges of a salvage a step works on, and how they are cut into reads. */
import { endOf, intersection, RangeSet, roundDown, type ByteRange } from "../../base/index.ts";
import type { MapStatus } from "../../poison/index.ts";
import type { SalvageWork } from "./salvage-work.ts";

/** Ranges of an area that have a status now, ascending. */
export function wanted(
  work: SalvageWork,
  status: MapStatus,
  area: Iterable<ByteRange>,
): readonly ByteRange[] {
  const inArea = area instanceof RangeSet ? area : RangeSet.from(area);
  return [...intersection(RangeSet.from(work.map.of(status)), inArea)];
}

/** A range cut at multiples of `step`, forward. */
export function* pieces(range: ByteRange, step: number): Generator<ByteRange> {
  for (let at = range.offset; at < endOf(range);) {
    const next = Math.min(roundDown(at, step) + step, endOf(range));
    yield { offset: at, length: next - at };
    at = next;
  }
}

/** The same from the end. */
export function* piecesBackward(range: ByteRange, step: number): Generator<ByteRange> {
  for (let end = endOf(range); end > range.offset;) {
    const start = Math.max(roundDown(end - 1, step), range.offset);
    yield { offset: start, length: end - start };
    end = start;
  }
}
