/** checkApart: writes of one batch share no byte. Leaves refuse overlaps too, but something may have changed by then. */
import { endOf } from "../base/index.ts";
import type { HealWrite } from "../device/index.ts";

/** @throws {RangeError} if two writes overlap */
export function checkApart(writes: readonly HealWrite[]): void {
  const sorted = writes
    .map(({ offset, data }) => ({ offset, length: data.length }))
    .sort((one, other) => one.offset - other.offset);
  for (const [index, range] of sorted.entries()) {
    const next = sorted[index + 1];
    if (next !== undefined && next.offset < endOf(range))
      throw new RangeError(
        `Cannot heal: want writes that do not overlap: got two at offset ${next.offset}`,
      );
  }
}
