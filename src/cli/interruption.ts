/** Interruption: SIGINT and SIGTERM end a command between two steps, so that its own `finally` blocks drop its locks. */
import { InterruptedError } from "./failure.ts";

/** Signals as a thing that a command can ask. */
export interface Interruption {
  /** Aborted by the first signal; its reason is the `InterruptedError`. */
  readonly signal: AbortSignal;
  /** Lets signals in, at most once in 50 ms, then throws where one came. */
  checkpoint(): Promise<void>;
  /** Stops listening. */
  end(): void;
}

/** A loop of small synchronous steps never lets the event loop run, and signals wait there: this often it is let run. */
const BREATH_MS = 50;

/**
 * Listens for SIGINT and SIGTERM. The second signal ends the process at once: a person who presses the key twice
 * means it, and everything durable is safe against a crash anyway (R3).
 */
export function listenForSignals(): Interruption {
  const controller = new AbortController();
  let breathedMs = performance.now();
  const onSignal = (signal: NodeJS.Signals): void => {
    if (controller.signal.aborted) process.exit(signal === "SIGINT" ? 130 : 143);
    controller.abort(new InterruptedError(signal === "SIGINT" ? "SIGINT" : "SIGTERM"));
  };
  process.on("SIGINT", onSignal);
  process.on("SIGTERM", onSignal);
  return {
    signal: controller.signal,
    async checkpoint() {
      const now = performance.now();
      if (now - breathedMs >= BREATH_MS) {
        breathedMs = now;
        await new Promise((resolve) => setImmediate(resolve));
      }
      controller.signal.throwIfAborted();
    },
    end() {
      process.off("SIGINT", onSignal);
      process.off("SIGTERM", onSignal);
    },
  };
}
