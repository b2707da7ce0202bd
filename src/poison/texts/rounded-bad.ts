/** rounded-bad: the poisoned and lost ranges of a list in the units of a text, rounded outwards: a text may say too much, never too little. */
import { alignOut, endOf, type ByteRange } from "../../base/index.ts";
import type { PoisonView } from "../poison-list.ts";

/** Poisoned and lost ranges, as whole units, ascending, touching ones merged. The last may end behind the device. */
export function* roundedBad(view: PoisonView, unit: number): Generator<ByteRange> {
  let last: ByteRange | undefined;
  for (const part of view.bad({ offset: 0, length: view.size })) {
    const next = alignOut(part, unit);
    if (last !== undefined && next.offset <= endOf(last)) {
      last = { offset: last.offset, length: Math.max(endOf(last), endOf(next)) - last.offset };
    } else {
      if (last !== undefined) yield last;
      last = next;
    }
  }
  if (last !== undefined) yield last;
}
