/** after(): a step that follows an answer, on this thread where the answer is here already. */
import { isPromise, type MaybePromise } from "../../../base/index.ts";

/** Goes on with a value, now or when it comes. */
export function after<T, U>(
  value: MaybePromise<T>,
  next: (value: T) => MaybePromise<U>,
): MaybePromise<U> {
  return isPromise(value) ? later(value, next) : next(value);
}

async function later<T, U>(value: Promise<T>, next: (value: T) => MaybePromise<U>): Promise<U> {
  return await next(await value);
}

/** Goes on when a call failed in a way that `rescue` knows; it throws what it does not know. */
export function rescued<T>(
  call: () => MaybePromise<T>,
  rescue: (error: unknown) => MaybePromise<T>,
): MaybePromise<T> {
  try {
    const answer = call();
    return isPromise(answer) ? answer.catch(rescue) : answer;
  } catch (error) {
    return rescue(error);
  }
}

/** Repeats a step until it answers `false`. */
export function whileTrue(step: () => MaybePromise<boolean>): MaybePromise<void> {
  for (;;) {
    const answer = step();
    if (isPromise(answer)) return answer.then((more) => (more ? whileTrue(step) : undefined));
    if (!answer) return undefined;
  }
}
