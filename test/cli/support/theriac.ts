/** Runs the built program as a user does; test/support/build.ts has built it. */
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach } from "vitest";

const ROOT = join(import.meta.dirname, "../../..");
/** The program. */
export const MAIN: string = join(ROOT, "dist/cli/main.js");

/** How a run ended. */
export interface Run {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** What a run is given. */
export interface RunOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** Text for standard input. */
  readonly input?: string;
  /** Called with what came on stderr so far, whenever more comes. */
  readonly onStderr?: (text: string, kill: (signal: NodeJS.Signals) => void) => void;
  /** A file descriptor for stdout instead of a pipe. */
  readonly stdout?: number;
}

/** Runs `theriac ARGS`. */
export function theriac(args: readonly string[], options: RunOptions = {}): Promise<Run> {
  return new Promise((resolve, reject) => {
    const { NO_COLOR: _noColor, FORCE_COLOR: _forceColor, ...env } = process.env;
    const child = spawn(process.execPath, [MAIN, ...args], {
      env: { ...env, ...options.env },
      stdio: ["pipe", options.stdout ?? "pipe", "pipe"],
    });
    let stdout = "";
    let stderr = "";
    child.stdout?.setEncoding("utf8").on("data", (text: string) => (stdout += text));
    child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      stderr += text;
      options.onStderr?.(stderr, (signal) => child.kill(signal));
    });
    child.stdin?.on("error", () => undefined);
    child.stdin?.end(options.input ?? "");
    child.on("error", reject);
    child.on("close", (code, signal) => resolve({ code, signal, stdout, stderr }));
  });
}

/** A run with `--json`: its one document. Fails where stdout is not exactly one. */
export async function theriacJson(
  args: readonly string[],
  options: RunOptions = {},
): Promise<{ readonly code: number | null; readonly document: Record<string, unknown> }> {
  const { code, stdout } = await theriac([...args, "--json"], options);
  return { code, document: JSON.parse(stdout) as Record<string, unknown> };
}

/** A folder for the images of one test file, and a fresh image of 1 MiB for each test. */
export interface Workplace {
  readonly folder: string;
  readonly image: string;
}

/** Makes the workplace; call it once at the top of a test file. Its fields are valid inside tests. */
export function useWorkplace(): Workplace {
  const place = { folder: "", image: "" };
  let count = 0;
  beforeAll(() => {
    place.folder = mkdtempSync(join(tmpdir(), "theriac-cli-"));
  });
  beforeEach(async () => {
    count += 1;
    place.image = join(place.folder, `image-${count}`);
    await theriac(["create", place.image, "--size", "1M"]);
  });
  afterAll(() => rmSync(place.folder, { recursive: true, force: true }));
  return place;
}

/** The line of R7. */
export const R7: RegExp =
  /^total (\d+) = clean (\d+) \+ unread (\d+) \+ poisoned (\d+) \+ lost (\d+)$/m;
