/**
 * Command: what one verb is. A file in commands/ exports one `CommandModule`; command-list.ts names it in one line.
 *
 *     export const example: CommandModule<{ unit: number }> = {
 *       configure(command) {
 *         command.argument("<image>", "a raw image").option("--unit <size>", "...", sizeArgument, 512);
 *       },
 *       async run(context, { args: [image], options }) {
 *         return { exitCode: 0, document: { schema: "theriac.example/1" }, text: () => "done\n" };
 *       },
 *     };
 *
 * A command prints nothing itself: it returns its document and its text, and the frame prints one of them. So
 * `--json` is exactly one document, whatever happens. Failures are thrown; failure.ts gives them their exit codes.
 */
import type { Command } from "commander";
import type { Progress } from "./progress.ts";
import type { Style } from "./style.ts";

/**
 * How a command ends (design, "Errors"): 0 all is well, 1 data is still missing, 2 wrong usage, 3 could not do it,
 * 4 refused to do it.
 */
export type ExitCode = 0 | 1 | 2 | 3 | 4;

/** What `--json` prints. Values may be iterables: they are printed as arrays, item by item; a bigint prints as text. */
export interface JsonDocument {
  /** Name and version of its shape: "theriac.survey/1". */
  readonly schema: string;
  readonly [key: string]: unknown;
}

/** What a command did. */
export interface CommandResult {
  readonly exitCode: ExitCode;
  /** For `--json`. */
  readonly document: JsonDocument;
  /** For people: called only where it is printed. Pieces are printed as they come; none gets a newline added. */
  text(): string | Iterable<string> | AsyncIterable<string>;
}

/** What a command gets from the command line. */
export interface CommandInput<Options> {
  /** Positional arguments in order; a variadic one is a `string[]`, an optional one that is absent is "". */
  readonly args: readonly string[];
  /** Values of the variadic positional argument, where the command has one; else empty. */
  readonly rest: readonly string[];
  readonly options: Options;
}

/** The world around a running command. */
export interface CommandContext {
  /** Whether the document will be printed, not the text. */
  readonly json: boolean;
  /** Colours for stdout: plain functions that return their text unchanged where colour is off. */
  readonly style: Style;
  /** Columns for text, from 60 to 120; 80 where stdout is no terminal. */
  readonly columns: number;
  readonly progress: Progress;
  /** Aborted by SIGINT or SIGTERM, with the error to throw as its reason. */
  readonly signal: AbortSignal;
  /**
   * Lets signals in and throws where one came: call it between steps, as often as you like (it waits at most once in 50 ms).
   * The frame closes nothing: what is open is closed by the command's own `finally`.
   */
  checkpoint(): Promise<void>;
  /** One line to stderr, as `theriac: warning: ...`; control characters are made visible. */
  warn(message: string): void;
  /** Text to stderr as it is, for people, where stdout is another program's text. */
  tell(text: string): void;
}

/** One verb. */
export interface CommandModule<Options = unknown> {
  /** Adds arguments and options; `--json`, `--progress` and the description are added by the frame. */
  configure(command: Command): void;
  /** Does it. Throws `StorageError`, `TypeError` or `RangeError`; see failure.ts for what each becomes. */
  run(context: CommandContext, input: CommandInput<Options>): Promise<CommandResult>;
}
