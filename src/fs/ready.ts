/** Ready: goes on with an answer at once where it is there, later where it is a promise, so that hot paths never wait for nothing. */
import { isPromise, type MaybePromise } from "../base/index.ts";

/** `use(value)`, now or when `value` arrives. */
export function whenReady<T, U>(
  value: MaybePromise<T>,
  use: (value: T) => MaybePromise<U>,
): MaybePromise<U> {
  return isPromise(value) ? value.then((ready) => use(ready)) : use(value);
}
