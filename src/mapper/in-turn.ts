/** in-turn: steps one after the other, on this thread as long as each answers at once. */
import { isPromise, type MaybePromise } from "../base/index.ts";

/** Runs `step` for each item in turn; the first failure ends it. */
export function inTurn<T>(
  items: readonly T[],
  step: (item: T) => MaybePromise<void>,
): MaybePromise<void> {
  for (let index = 0; index < items.length; index += 1) {
    const result = step(items[index] as T);
    if (isPromise(result)) return rest(result, items.slice(index + 1), step);
  }
}

async function rest<T>(
  first: Promise<void>,
  items: readonly T[],
  step: (item: T) => MaybePromise<void>,
): Promise<void> {
  await first;
  for (const item of items) await step(item);
}
