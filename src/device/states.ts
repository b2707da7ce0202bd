/** states: small words over a list's ranges: which parts are good, and ranges put into a state. */
import type { ByteRange } from "../base/index.ts";
import type { PoisonState, PoisonView, StateRange } from "../poison/index.ts";

/** Ranges, all put into one state. */
export function inState(
  ranges: Iterable<ByteRange>,
  state: PoisonState,
): (ByteRange & { readonly state: PoisonState })[] {
  return Array.from(ranges, ({ offset, length }) => ({ offset, length, state }));
}

/** Whether a state is one whose bytes cannot be had. */
export function isBad(state: PoisonState): state is "poisoned" | "lost" {
  return state === "poisoned" || state === "lost";
}

/** The parts of a range that the list does not call bad. */
export function goodParts(view: PoisonView, range: ByteRange): StateRange[] {
  return Array.from(view.states(range)).filter((part) => !isBad(part.state));
}

/** Whether any byte of a range is bad; an empty list is not looked into (R6). */
export function anyBad(view: PoisonView, range: ByteRange): boolean {
  if (view.empty) return false;
  const first = view.bad(range)[Symbol.iterator]().next();
  return first.done !== true;
}
