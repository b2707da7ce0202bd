/** andThen: goes on with an answer, at once where it is there already. */
import { isPromise, type MaybePromise } from "../base/index.ts";

/** Calls `next` with a value that may still be on its way. */
export function andThen<T, U>(
  value: MaybePromise<T>,
  next: (value: T) => MaybePromise<U>,
): MaybePromise<U> {
  return isPromise(value) ? later(value, next) : next(value);
}

async function later<T, U>(value: Promise<T>, next: (value: T) => MaybePromise<U>): Promise<U> {
  return await next(await value);
}
