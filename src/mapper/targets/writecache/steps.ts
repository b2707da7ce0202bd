/** steps: a call that may fail in a way that is known, and steps that are repeated: on this thread as long as each answers at once. */
import { isPromise, type MaybePromise } from "../../../base/index.ts";

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
