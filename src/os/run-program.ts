/**
 * runProgram: another program, run once: its words as they are, no shell, with limits on its time and on what it prints.
 *
 * What can go wrong: it is not installed; it hangs, perhaps in the kernel, where not even SIGKILL reaches it; it prints without end; it reads nothing of its
 * input. None of these throws: each is an answer, and no answer takes longer than the limit.
 */
import { spawn, type ChildProcess } from "node:child_process";

/** How a program is run. */
export interface RunProgramOptions {
  /** Milliseconds after which it is killed and given up. @default 30,000 */
  readonly timeoutMs?: number;
  /** Bytes of its output that are kept at most; one that prints more is killed. @default 64 MiB */
  readonly outputMax?: number;
  /** What it reads. @default nothing */
  readonly input?: string;
  /** Variables beside those of this process. @default none */
  readonly environment?: Readonly<Record<string, string>>;
  /** Kills it when aborted. @default never */
  readonly signal?: AbortSignal;
}

/** What came of it. */
export interface ProgramAnswer {
  /**
   * "ended": it ran, `status` says how; "missing": there is no such program, or it may not be run; "hung": it was killed at its limit of time; "flood": it printed
   * more than was wanted; "aborted": the caller's signal ended it.
   */
  readonly kind: "ended" | "missing" | "hung" | "flood" | "aborted";
  /** Exit code; 128 and the number of the signal where one ended it; -1 where it did not end. */
  readonly status: number;
  readonly stdout: Buffer;
  /** Its last 4096 characters. */
  readonly stderr: string;
}

/** Runs programs: the machine's, or what a test puts in their place. */
export type ProgramRunner = (
  words: readonly [string, ...string[]],
  options?: RunProgramOptions,
) => Promise<ProgramAnswer>;

const TIMEOUT_MS = 30_000;
const OUTPUT_MAX = 64 * 1024 * 1024;
const STDERR_CHARACTERS = 4096;
const SIGNAL_NUMBERS: Readonly<Record<string, number>> = {
  SIGHUP: 1,
  SIGINT: 2,
  SIGQUIT: 3,
  SIGABRT: 6,
  SIGKILL: 9,
  SIGSEGV: 11,
  SIGPIPE: 13,
  SIGTERM: 15,
};

/** Runs a program to its end, or to a limit. Never rejects. */
export const runProgram: ProgramRunner = ([name, ...words], options = {}) => {
  const { input, environment = {} } = options;
  return new Promise((resolve) => {
    let child: ChildProcess;
    try {
      child = spawn(name, words, {
        stdio: [input === undefined ? "ignore" : "pipe", "pipe", "pipe"],
        env: { ...process.env, ...environment },
        // a group of its own: what it started is ended with it, and a key pressed at our terminal is ours alone
        detached: true,
      });
    } catch (error) {
      // words that no program can be given: too long, or with a NUL
      const stderr = (error as Error).message;
      return resolve({ kind: "missing", status: -1, stdout: Buffer.alloc(0), stderr });
    }
    // a program that reads nothing is none of our failures
    child.stdin?.on("error", () => {});
    child.stdin?.end(input);
    new Running(child, options, resolve).begin();
  });
};

/** One program that is running. */
class Running {
  readonly #child: ChildProcess;
  readonly #options: RunProgramOptions;
  readonly #resolve: (answer: ProgramAnswer) => void;
  readonly #pieces: Buffer[] = [];
  readonly #onAbort = (): void => this.#giveUp("aborted");
  #bytes = 0;
  #stderr = "";
  #timer: NodeJS.Timeout | undefined;

  constructor(
    child: ChildProcess,
    options: RunProgramOptions,
    resolve: (answer: ProgramAnswer) => void,
  ) {
    this.#child = child;
    this.#options = options;
    this.#resolve = resolve;
  }

  begin(): void {
    const { signal, timeoutMs = TIMEOUT_MS } = this.#options;
    const child = this.#child;
    child.on("error", (error) => {
      this.#stderr = error.message;
      this.#end("missing", -1);
    });
    child.on("close", (code, name) =>
      this.#end("ended", code ?? 128 + (SIGNAL_NUMBERS[name ?? ""] ?? 0)),
    );
    child.stdout?.on("data", (piece: Buffer) => this.#take(piece));
    child.stderr?.on("data", (piece: Buffer) => {
      this.#stderr = (this.#stderr + piece.toString("utf8")).slice(-STDERR_CHARACTERS);
    });
    this.#timer = setTimeout(() => this.#giveUp("hung"), timeoutMs);
    if (signal?.aborted === true) this.#giveUp("aborted");
    else signal?.addEventListener("abort", this.#onAbort, { once: true });
  }

  #take(piece: Buffer): void {
    this.#bytes += piece.length;
    if (this.#bytes > (this.#options.outputMax ?? OUTPUT_MAX)) this.#giveUp("flood");
    else this.#pieces.push(piece);
  }

  /** Kills it with all that it started, and waits for nothing: it may be stuck where no signal reaches. */
  #giveUp(kind: "hung" | "flood" | "aborted"): void {
    const { pid } = this.#child;
    try {
      if (pid !== undefined) process.kill(-pid, "SIGKILL");
    } catch {
      // it ended at this moment
    }
    this.#child.stdout?.destroy();
    this.#child.stderr?.destroy();
    this.#child.stdin?.destroy();
    this.#child.unref();
    this.#end(kind, -1);
  }

  #end(kind: ProgramAnswer["kind"], status: number): void {
    clearTimeout(this.#timer);
    this.#options.signal?.removeEventListener("abort", this.#onAbort);
    this.#resolve({
      kind,
      status,
      stdout: Buffer.concat(this.#pieces),
      stderr: this.#stderr,
    });
  }
}
