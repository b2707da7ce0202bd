/** Programs: the other programs that interop tests compare with; a test skips, with the reason, where one is missing. */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import type { TestContext } from "vitest";

/** Where administrators' programs are, which a user's PATH leaves out. */
const FOLDERS = [
  ...(process.env["PATH"] ?? "").split(delimiter),
  "/usr/sbin",
  "/sbin",
  "/usr/local/sbin",
];

/** A program that has not ended by then hangs. */
const RUN_LIMIT_MS = 120_000;

/** Where a program is, or `undefined`. */
export function findProgram(name: string): string | undefined {
  return FOLDERS.filter((folder) => folder !== "")
    .map((folder) => join(folder, name))
    .find((path) => existsSync(path));
}

/** Skips the test, with the reason, unless every program is here. Call it first in the test. */
export function requirePrograms(context: TestContext, ...names: readonly string[]): void {
  const missing = names.filter((name) => findProgram(name) === undefined);
  if (missing.length > 0) context.skip(`needs ${missing.join(", ")}`);
}

/** How a program is run. */
export interface RunOptions {
  /** Text for its standard input. */
  readonly input?: string;
  readonly environment?: Readonly<Record<string, string>>;
  /** Exit codes that count as success. @default [0] */
  readonly accept?: readonly number[];
}

/**
 * Runs a program to its end.
 *
 * @returns standard output, each byte one character (latin1), so that names that are no UTF-8 survive
 * @throws {Error} with the end of both outputs, if it ends with a code that is not accepted
 */
export function run(program: string, args: readonly string[], options: RunOptions = {}): string {
  const path = findProgram(program) ?? program;
  const result = spawnSync(path, args, {
    encoding: "latin1",
    maxBuffer: 1024 ** 3,
    timeout: RUN_LIMIT_MS,
    env: {
      ...process.env,
      LC_ALL: "C",
      TZ: "UTC",
      DEBUGFS_PAGER: "__none__",
      ...options.environment,
    },
    ...(options.input === undefined ? {} : { input: options.input }),
  });
  if (result.error !== undefined) throw result.error;
  if (!(options.accept ?? [0]).includes(result.status ?? -1)) {
    throw new Error(
      `${program} ${args.join(" ")} ended with ${result.status}:\n${result.stdout.slice(-500)}\n${result.stderr.slice(-1000)}`,
    );
  }
  return result.stdout;
}
