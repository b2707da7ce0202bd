/** MaybePromise: an answer that is here already where it can be, because a promise costs more than a small read. */

/** A value now or later. Callers `await` it, or test with `isPromise` on a hot path. */
export type MaybePromise<T> = T | Promise<T>;

/** Whether the answer is still on its way. */
export function isPromise<T>(value: MaybePromise<T>): value is Promise<T> {
  if (value instanceof Promise) return true;
  // A promise of another realm or library is one too: taken for the answer, it would pass as data.
  return typeof (value as { then?: unknown } | null | undefined)?.then === "function";
}
