/**
 * Failure: what an error becomes: an exit code, a line for people, and a document for programs.
 *
 * | thrown | exit |
 * |---|---|
 * | commander's own errors, `TypeError`, `RangeError`: the caller's mistake | 2 |
 * | `StorageError`: the world's failure | 1, 3 or 4 by `ERROR_CODES` |
 * | `InterruptedError`: SIGINT, SIGTERM | 130, 143 |
 * | everything else, an `AssertionError` above all: a bug of ours, said loudly with its stack | 70 |
 */
import { CommanderError } from "commander";
import { ERROR_CODES, MediaError, StorageError, toStorageError } from "../base/index.ts";
import { isMediaFailure } from "../os/index.ts";
import type { JsonDocument } from "./command.ts";
import { printable } from "./style.ts";

/** Exit code of a bug of ours: EX_SOFTWARE of sysexits.h. */
export const EXIT_BUG = 70;

/** A signal that ended a command between two steps. */
export class InterruptedError extends Error {
  override readonly name = "InterruptedError";
  readonly signal: "SIGINT" | "SIGTERM";

  constructor(signal: "SIGINT" | "SIGTERM") {
    super(`Ended by ${signal}: what was done so far is kept`);
    this.signal = signal;
  }
}

/** What is printed of a failure, and how the process ends. */
export interface Failure {
  readonly exitCode: number;
  /** For `--json`. */
  readonly document: JsonDocument;
  /** For people, with newlines, without colour. */
  readonly text: string;
}

/** Bad ranges that a document names at most; `rangeCount` says how many there are. */
const RANGES_MAX = 1000;

/** Messages of the JavaScript engine itself: a `TypeError` with one of them is our bug, not the caller's mistake. */
const ENGINE_MESSAGE =
  /^Cannot (?:read|set) propert|is not (?:a function|iterable|defined|a constructor)|^(?:Invalid array length|Invalid string length|Invalid count value|Maximum call stack|Array buffer allocation|Cannot (?:convert|mix|destructure|access|perform|assign))/;

/** Sorts a thrown value into its exit code, document and text. */
export function describeFailure(thrown: unknown): Failure {
  const error = thrown instanceof Error ? toKnownError(thrown) : new Error(String(thrown));
  if (error instanceof CommanderError) return usage(error.message.replace(/^error: /, ""));
  if (error instanceof InterruptedError) {
    const exitCode = error.signal === "SIGINT" ? 130 : 143;
    return failure(exitCode, "INTERRUPTED", error.message);
  }
  if (error instanceof StorageError) return storage(error);
  const ours = ENGINE_MESSAGE.test(error.message);
  if ((error instanceof TypeError || error instanceof RangeError) && !ours) {
    return usage(error.message);
  }
  return bug(error);
}

/** Errors of Node's own file calls become `StorageError`s; its complaints about arguments stay what they are. */
function toKnownError(error: Error): Error {
  const code = (error as NodeJS.ErrnoException).code;
  return code !== undefined && /^E[A-Z0-9]+$/.test(code) && !code.startsWith("ERR_")
    ? toStorageError(error)
    : error;
}

function failure(exitCode: number, code: string, message: string): Failure {
  return {
    exitCode,
    document: { schema: "theriac.error/1", code, message, exitCode },
    text: `${printable(message)}\n`,
  };
}

function usage(message: string): Failure {
  const { exitCode, document, text } = failure(2, "USAGE", message);
  return { exitCode, document, text: `${text}Run theriac --help, or theriac help COMMAND\n` };
}

/** 1 says that data is missing. A code outside our table (EINVAL, EMFILE) became EIO, but tells nothing of data. */
function exitCodeOf(error: StorageError): number {
  const below = (error.cause as NodeJS.ErrnoException | undefined)?.code;
  const foreign = error.code === "EIO" && below !== undefined && !isMediaFailure(error);
  return foreign ? 3 : ERROR_CODES[error.code].exitCode;
}

function storage(error: StorageError): Failure {
  const { document, text, exitCode } = failure(exitCodeOf(error), error.code, error.message);
  const { syscall, path } = error;
  if (!(error instanceof MediaError)) {
    return { exitCode, text, document: { ...document, syscall, path } };
  }
  const { device, ranges } = error;
  const media = { device, rangeCount: ranges.length, ranges: ranges.slice(0, RANGES_MAX) };
  return { exitCode, text, document: { ...document, syscall, path, ...media } };
}

function bug(error: Error): Failure {
  const { document } = failure(EXIT_BUG, "BUG", error.message);
  const stack = (error.stack ?? String(error)).split("\n").map(printable).join("\n");
  return {
    exitCode: EXIT_BUG,
    document: { ...document, name: error.name, stack },
    text: `This is a bug of Theriac. Please report it with these lines:\n${stack}\n`,
  };
}
