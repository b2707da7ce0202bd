/** OneAtATime: changes of a device one after the other, each on this thread where the one before is done and it ends at once. */
import { isPromise, type MaybePromise } from "../base/index.ts";

/** A queue of changes. */
export class OneAtATime {
  #tail: Promise<void> | undefined;
  #waiting = 0;

  /** Ends, and never fails, when all changes so far are done; `undefined` where none waits. */
  get busy(): Promise<void> | undefined {
    return this.#tail;
  }

  /** Runs a change when those before it are done, whether they failed or not. */
  run<T>(change: () => MaybePromise<T>): MaybePromise<T> {
    const result = this.#tail === undefined ? change() : this.#tail.then(change);
    if (!isPromise(result)) return result;
    this.#waiting += 1;
    this.#tail = this.#settle(result);
    return result;
  }

  async #settle(result: Promise<unknown>): Promise<void> {
    await Promise.allSettled([result]);
    this.#waiting -= 1;
    if (this.#waiting === 0) this.#tail = undefined;
  }
}
