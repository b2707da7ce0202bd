/** Call queue: runs the calls of a map one after the other, because its reads share one buffer. */

/** One map's calls. */
export class CallQueue {
  #last: Promise<unknown> = Promise.resolve();

  /** Runs a call when all before it are done, whether they failed or not. */
  run<T>(call: () => Promise<T>): Promise<T> {
    const result = this.#last.then(call, call);
    this.#last = result.catch(() => undefined);
    return result;
  }
}
