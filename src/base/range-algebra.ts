/**
 * Set algebra on range sets: merges of two walks, so they cost the ranges of both sets, however far apart they are.
 * The sets given stay as they are; the result shares nothing with them.
 */
import { RangeSet } from "./range-set.ts";

/** The bytes that are in either set. */
export function union(one: RangeSet, other: RangeSet): RangeSet {
  const result = new RangeSet();
  const left = one.cursor();
  const right = other.cursor();
  let inLeft = left.next();
  let inRight = right.next();
  while (inLeft || inRight) {
    if (inLeft && (!inRight || left.start <= right.start)) {
      result.add(left.start, left.end - left.start);
      inLeft = left.next();
    } else {
      result.add(right.start, right.end - right.start);
      inRight = right.next();
    }
  }
  return result;
}

/** The bytes that are in both sets. */
export function intersection(one: RangeSet, other: RangeSet): RangeSet {
  const result = new RangeSet();
  const left = one.cursor();
  const right = other.cursor();
  let more = left.next() && right.next();
  while (more) {
    const start = Math.max(left.start, right.start);
    const end = Math.min(left.end, right.end);
    if (start < end) result.add(start, end - start);
    more = left.end < right.end ? left.next() : right.next();
  }
  return result;
}

/** The bytes of `one` that are not in `other`. */
export function difference(one: RangeSet, other: RangeSet): RangeSet {
  const result = new RangeSet();
  const left = one.cursor();
  const right = other.cursor();
  let inRight = right.next();
  while (left.next()) {
    let at = left.start;
    while (inRight && right.start < left.end) {
      if (right.start > at) result.add(at, right.start - at);
      at = Math.max(at, right.end);
      if (right.end > left.end) break;
      inRight = right.next();
    }
    if (at < left.end) result.add(at, left.end - at);
  }
  return result;
}
