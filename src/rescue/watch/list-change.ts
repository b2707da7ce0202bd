/** list-change: what two lists of the same target, one after the other, say of what happened between them. */
import { difference, intersection, RangeSet, union } from "../../base/index.ts";
import type { PoisonView } from "../../poison/index.ts";

/** What is bad of a target. */
export interface BadSets {
  readonly poisoned: RangeSet;
  readonly lost: RangeSet;
}

/** Nothing. */
export function noneBad(): BadSets {
  return { poisoned: new RangeSet(), lost: new RangeSet() };
}

/** A copy of a list's bad ranges. */
export function badOf(view: PoisonView): BadSets {
  const sets = noneBad();
  for (const { offset, length, state } of view.bad({ offset: 0, length: view.size }))
    if (state !== "unread") sets[state].add(offset, length);
  return sets;
}

/** Several lists as one: what any calls lost is lost. */
export function joined(lists: Iterable<BadSets>): BadSets {
  let { poisoned, lost } = noneBad();
  for (const list of lists) {
    poisoned = union(poisoned, list.poisoned);
    lost = union(lost, list.lost);
  }
  return { poisoned: difference(poisoned, lost), lost };
}

/** What happened between two lists. */
export interface ListChange {
  /** Bad now and not before, in their states now. */
  readonly appeared: BadSets;
  /** Bad before and not now, in their states before. */
  readonly healed: BadSets;
  /** Bad in both, in another state now: `poisoned` was lost, `lost` was poisoned. */
  readonly changed: BadSets;
}

/** Compares. @returns `undefined` where nothing happened */
export function changeBetween(before: BadSets, after: BadSets): ListChange | undefined {
  const wasBad = union(before.poisoned, before.lost);
  const isBad = union(after.poisoned, after.lost);
  const change = {
    appeared: {
      poisoned: difference(after.poisoned, wasBad),
      lost: difference(after.lost, wasBad),
    },
    healed: {
      poisoned: difference(before.poisoned, isBad),
      lost: difference(before.lost, isBad),
    },
    changed: {
      poisoned: intersection(after.poisoned, before.lost),
      lost: intersection(after.lost, before.poisoned),
    },
  };
  return Object.values(change).every(isEmpty) ? undefined : change;
}

/** Whether nothing is in it. */
export function isEmpty({ poisoned, lost }: BadSets): boolean {
  return poisoned.size === 0 && lost.size === 0;
}

/** Bytes in it. */
export function bytesOf({ poisoned, lost }: BadSets): number {
  return poisoned.byteLength + lost.byteLength;
}
