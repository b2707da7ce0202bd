/**
 * watch-commands: a command for each event, with the event on its stdin: a few at a time, each with a limit of time, none of them through a shell.
 *
 * Where all places are taken the watch waits: it looks at lists, so what happens meanwhile is told by the next look and nothing is lost. A command that fails is told,
 * and changes nothing.
 */
import { runProgram, type ProgramRunner } from "../../os/index.ts";
import type { WatchEvent } from "../../rescue/index.ts";

/** How commands are run. */
export interface EventCommandOptions {
  /** The program and its words. */
  readonly words: readonly [string, ...string[]];
  /** At once. */
  readonly jobs: number;
  /** Milliseconds that one may take. */
  readonly timeoutMs: number;
  /** Told of each that failed. */
  readonly warn: (message: string) => void;
  /** @default the machine's */
  readonly run?: ProgramRunner;
}

/** Runs commands. */
export class EventCommands {
  readonly #options: EventCommandOptions;
  readonly #running = new Set<Promise<void>>();
  /** How many ran, and how many of them failed. */
  readonly counts = { run: 0, failed: 0 };

  constructor(options: EventCommandOptions) {
    this.#options = options;
  }

  /** Starts the command of an event, as soon as there is a place. */
  async start(event: WatchEvent): Promise<void> {
    while (this.#running.size >= this.#options.jobs) await Promise.race(this.#running);
    const job: Promise<void> = this.#run(event).finally(() => this.#running.delete(job));
    this.#running.add(job);
  }

  /** Resolves when none runs: each ends within its limit. */
  async end(): Promise<void> {
    await Promise.all(this.#running);
  }

  async #run(event: WatchEvent): Promise<void> {
    const { words, timeoutMs, warn, run = runProgram } = this.#options;
    this.counts.run += 1;
    const answer = await run(words, {
      timeoutMs,
      // what it prints is its own affair; a flood of it is not ours
      outputMax: 1024 * 1024,
      input: `${JSON.stringify(event)}\n`,
      environment: {
        THERIAC_CHANGE: event.change,
        THERIAC_TARGET: event.target,
        THERIAC_NUMBER: String(event.number),
      },
    });
    if (answer.kind === "ended" && answer.status === 0) return;
    this.counts.failed += 1;
    const said = answer.stderr.trim().split("\n").at(-1) ?? "";
    const how = {
      ended: `ended with ${answer.status}`,
      missing: "could not be run",
      hung: "was killed at its limit of time",
      flood: "was killed: it printed more than 1 MiB",
      aborted: "was ended",
    }[answer.kind];
    warn(`event ${event.number}: ${words[0]} ${how}${said === "" ? "" : `: ${said}`}`);
  }
}
