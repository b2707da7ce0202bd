/** nbd-served: a served image for clients that others wrote: the built program, on a socket of its own. */
import { spawn, spawnSync, type ChildProcess, type SpawnSyncReturns } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createPrng } from "../../../src/base/index.ts";

/** The built program. */
export const MAIN: string = join(import.meta.dirname, "../../../dist/cli/main.js");

/** A folder with an image, its bytes, and what runs on it. */
export interface ServedImage {
  readonly folder: string;
  readonly image: string;
  readonly socket: string;
  /** URI of the image's export. */
  readonly uri: string;
  readonly bytes: Buffer;
  /** Runs a command of ours. */
  theriac(...args: readonly string[]): SpawnSyncReturns<string>;
  /** Serves until `stop`. */
  serve(...args: readonly string[]): Promise<void>;
  stop(): Promise<number | null>;
  remove(): Promise<void>;
}

/** Makes a simulated image of random bytes. */
export function makeServed(size: number, name = "e"): ServedImage {
  const folder = mkdtempSync(join(tmpdir(), "theriac-nbd-"));
  const image = join(folder, name);
  const socket = join(folder, "s");
  const bytes = Buffer.from(createPrng(7).bytes(size));
  writeFileSync(image, bytes);
  let child: ChildProcess | undefined;
  let ended: Promise<number | null> | undefined;
  const theriac = (...args: readonly string[]): SpawnSyncReturns<string> =>
    spawnSync(process.execPath, [MAIN, ...args], { encoding: "utf8", cwd: folder });
  const made = theriac(
    "create",
    image,
    "--adopt",
    "--poison-unit",
    "512",
    "--clear-unit",
    "512",
    "--clear",
    "overwrite",
  );
  if (made.status !== 0) throw new Error(made.stderr);
  const stop = async (): Promise<number | null> => {
    child?.kill("SIGTERM");
    const code = (await ended) ?? null;
    child = undefined;
    return code;
  };
  return {
    folder,
    image,
    socket,
    uri: `nbd+unix:///${name}?socket=${socket}`,
    bytes,
    theriac,
    stop,
    async serve(...args) {
      const running = spawn(
        process.execPath,
        [MAIN, "serve", image, "--listen", `unix:${socket}`, ...args],
        { stdio: ["ignore", "pipe", "inherit"] },
      );
      child = running;
      ended = new Promise((resolve) => running.on("close", resolve));
      await new Promise<void>((resolve, reject) => {
        running.stdout.once("data", () => resolve());
        running.once("close", () => reject(new Error("The server did not begin")));
      });
    },
    async remove() {
      await stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Runs a client. @returns its exit status and what it said on both streams */
export function client(
  command: string,
  ...args: readonly string[]
): { status: number | null; out: string } {
  // Python of the system first: libnbd's module is there.
  const PATH = `/usr/bin:${process.env["PATH"] ?? ""}`;
  const run = spawnSync(command, args, {
    encoding: "utf8",
    env: { ...process.env, PATH },
    timeout: 120_000,
  });
  return { status: run.status, out: `${run.stdout ?? ""}${run.stderr ?? ""}` };
}

/** Which of some programs are missing. */
export function missingPrograms(...names: readonly string[]): string[] {
  return names.filter((name) => spawnSync(name, ["--version"]).error !== undefined);
}
