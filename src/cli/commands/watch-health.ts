/**
 * watch-health: `ndctl monitor` beside a watch: its lines of JSON on the health of memory modules, kept until the next round takes them.
 *
 * It knows no bad blocks (those are lists), but spare blocks, temperature, health state and unclean shutdowns, which often come before them. Where ndctl is not
 * there, or has no module to monitor, it ends, and that is said once.
 */
import { spawn, type ChildProcess } from "node:child_process";

/** Lines that wait at most; then the oldest go. */
const WAITING_MAX = 1000;
const LINE_MAX = 64 * 1024;

/** A running monitor. */
export class HealthMonitor {
  readonly #child: ChildProcess;
  readonly #waiting: unknown[] = [];
  #rest = "";
  #isClosed = false;

  /**
   * Starts it.
   *
   * @param words the program and its words
   * @param warn called once where it ends by itself
   */
  constructor(
    warn: (message: string) => void,
    words: readonly [string, ...string[]] = ["ndctl", "monitor"],
  ) {
    const [name, ...rest] = words;
    this.#child = spawn(name, rest, { stdio: ["ignore", "pipe", "pipe"], detached: true });
    let said = "";
    this.#child.stderr?.on("data", (piece: Buffer) => {
      said = (said + piece.toString("utf8")).slice(-1024);
    });
    this.#child.stdout?.on("data", (piece: Buffer) => this.#take(piece.toString("utf8")));
    const ended = (why: string): void => {
      if (this.#isClosed) return;
      this.#isClosed = true;
      warn(`${words.join(" ")} gives no events: ${why}`);
    };
    this.#child.on("error", (error) => ended(error.message));
    this.#child.on("close", (status) =>
      ended(said.trim().split("\n").at(-1) || `it ended with ${status ?? "a signal"}`),
    );
  }

  /** Events since the last call. */
  take(): readonly unknown[] {
    return this.#waiting.splice(0);
  }

  /** Ends it. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#child.kill("SIGTERM");
    this.#child.stdout?.destroy();
    this.#child.stderr?.destroy();
    this.#child.unref();
  }

  #take(text: string): void {
    const lines = (this.#rest + text).split("\n");
    this.#rest = (lines.pop() ?? "").slice(0, LINE_MAX);
    for (const line of lines) {
      if (!line.trimStart().startsWith("{")) continue;
      try {
        this.#waiting.push(JSON.parse(line));
      } catch {
        // a line of another kind
      }
      if (this.#waiting.length > WAITING_MAX) this.#waiting.shift();
    }
  }
}
