/** after: what follows on an answer that may be there already: at once where it is, so that nothing comes in between. */
import { isPromise, StorageError, type MaybePromise } from "../base/index.ts";

/** Calls `step` with an answer. */
export function after<T, U>(
  value: MaybePromise<T>,
  step: (value: T) => MaybePromise<U>,
): MaybePromise<U> {
  return isPromise(value) ? value.then(step) : step(value);
}

/** Runs a call, and hands on what the world has against it: nothing where it works. Our own bugs and the caller's mistakes pass through. */
export function caught(
  call: () => MaybePromise<void>,
  note: (error: StorageError | undefined) => void,
): MaybePromise<void> {
  const failed = (error: unknown): void => {
    if (!(error instanceof StorageError)) throw error;
    note(error);
  };
  try {
    const done = call();
    if (isPromise(done)) return done.then(() => note(undefined), failed);
  } catch (error) {
    return failed(error);
  }
  note(undefined);
}
