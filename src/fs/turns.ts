/** Turns: lets the rest of the program run now and then. Reads of this thread never wait, so timers and signals would. */

/** Milliseconds after which others get their turn. */
const TURN_MS = 50;

/** One long loop's turns. */
export class Turns {
  #last = performance.now();

  /** Waits for the event loop where the loop has run for 50 ms; call it between steps. */
  async take(): Promise<void> {
    if (performance.now() - this.#last < TURN_MS) return;
    await new Promise((resolve) => setImmediate(resolve));
    this.#last = performance.now();
  }
}
