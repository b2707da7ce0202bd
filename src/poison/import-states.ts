/** import-states: a list that somebody gave, applied under the one that we keep. */
import type { PoisonList, StateRange } from "./poison-list.ts";
import type { StateChange } from "./store-records.ts";

/**
 * What a given list changes in ours: its states, but only on bytes that are unread in ours. The list beside the image wins: a range that
 * was healed since (clean) does not come back as bad, and a bad one does not become clean because an older text says so (R4).
 * An "unread" in the given list changes nothing.
 *
 * @param list ours
 * @param parsed ranges inside the device, as the parsers of texts give them
 * @returns the changes, ascending, for `PoisonStore.mark`; nothing is applied yet
 */
export function importedChanges(list: PoisonList, parsed: Iterable<StateRange>): StateChange[] {
  const changes: StateChange[] = [];
  for (const given of parsed) {
    if (given.state === "unread") continue;
    for (const part of list.states(given)) {
      if (part.state === "unread")
        changes.push({ offset: part.offset, length: part.length, state: given.state });
    }
  }
  return changes;
}

/**
 * Applies `importedChanges` to a list in memory: an imported state only reaches bytes that are unread, so `--poison FILE` never brings back
 * a range that was repaired since. Where a store keeps the list, give it the changes instead.
 *
 * @throws {RangeError} if a range ends past the device
 */
export function importStates(list: PoisonList, parsed: Iterable<StateRange>): void {
  for (const change of importedChanges(list, parsed)) list.mark(change, change.state);
}
