/** joined: ranges with states, put in order and joined where they touch and are of one state. */
import type { ByteRange } from "../base/index.ts";

/** A range in some state. */
type InState<S> = ByteRange & { readonly state: S };

/** Joins ascending ranges as they come. */
export function* joined<S extends string>(ranges: Iterable<InState<S>>): Generator<InState<S>> {
  let state: S | undefined;
  let offset = 0;
  let end = 0;
  for (const range of ranges) {
    if (state !== range.state || end !== range.offset) {
      if (state !== undefined) yield { offset, length: end - offset, state };
      ({ state, offset } = range);
    }
    end = range.offset + range.length;
  }
  if (state !== undefined) yield { offset, length: end - offset, state };
}

/** Sorts ranges that share no byte, and joins them. */
export function sortedRanges<S extends string>(ranges: readonly InState<S>[]): InState<S>[] {
  return [...joined([...ranges].sort((one, other) => one.offset - other.offset))];
}
