/** Scratch: images made by mke2fs in a directory of their own, and sources to open them with. */
import { execFileSync, spawnSync } from "node:child_process";
import {
  closeSync,
  fstatSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { BadRange } from "../../../src/base/index.ts";
import type { BlockSource } from "../../../src/fs/block-reader.ts";

/** Whether a program can be started. */
export function hasProgram(name: string): boolean {
  return spawnSync(name, ["-V"], { stdio: "ignore" }).error === undefined;
}

/** Output of a program, both streams; exit codes up to `most` are no error. */
export function run(program: string, args: readonly string[], most = 0): string {
  const result = spawnSync(program, args, {
    encoding: "utf8",
    maxBuffer: 256 * 1024 * 1024,
    env: { ...process.env, LC_ALL: "C" },
  });
  if (result.error !== undefined) throw result.error;
  if ((result.status ?? 99) > most)
    throw new Error(
      `${program} ${args.join(" ")} ended with ${result.status}: ${result.stdout}${result.stderr}`,
    );
  return result.stdout + result.stderr;
}

/** A directory that is removed by `dispose`. */
export class Scratch {
  readonly directory: string = mkdtempSync(join(tmpdir(), "theriac-scratch-"));

  path(name: string): string {
    return join(this.directory, name);
  }

  /** A sparse file of `size` bytes with a file system made by mke2fs. */
  image(name: string, size: number, args: readonly string[]): string {
    const path = this.path(name);
    writeFileSync(path, "");
    truncateSync(path, size);
    execFileSync("mke2fs", ["-q", "-F", ...args, path], {
      stdio: "pipe",
      env: { ...process.env, LC_ALL: "C" },
    });
    return path;
  }

  dispose(): void {
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** Bytes in memory as a source; ranges of `bad` are missing. */
export function memorySource(bytes: Uint8Array, bad: readonly BadRange[] = []): BlockSource {
  return {
    size: bytes.length,
    read(into, offset) {
      into.set(bytes.subarray(offset, offset + into.length));
      const end = offset + into.length;
      const missing = bad.flatMap((range) => {
        const start = Math.max(range.offset, offset);
        const stop = Math.min(range.offset + range.length, end);
        return start < stop ? [{ offset: start, length: stop - start, state: range.state }] : [];
      });
      // What is missing is not data: fill it with garbage, so that a reader that uses it is caught.
      for (const hole of missing)
        into.fill(0xa5, hole.offset - offset, hole.offset - offset + hole.length);
      return { missing };
    },
  };
}

/** The same source, answering later. */
export function later(source: BlockSource): BlockSource {
  return { size: source.size, read: async (into, offset) => source.read(into, offset) };
}

/** A file as a source, with bad ranges. */
export function fileSource(
  path: string,
  bad: readonly BadRange[] = [],
): BlockSource & { close(): void } {
  const descriptor = openSync(path, "r");
  const source = memorySource(new Uint8Array(0), []);
  const size = fstatSync(descriptor).size;
  return {
    ...source,
    size,
    read(into, offset) {
      readSync(descriptor, into, 0, into.length, offset);
      const end = offset + into.length;
      const missing: BadRange[] = [];
      for (const range of bad) {
        const start = Math.max(range.offset, offset);
        const stop = Math.min(range.offset + range.length, end);
        if (start < stop) missing.push({ offset: start, length: stop - start, state: range.state });
      }
      for (const hole of missing)
        into.fill(0xa5, hole.offset - offset, hole.offset - offset + hole.length);
      return { missing };
    },
    close: () => closeSync(descriptor),
  };
}

/** A file whole, in memory. */
export function load(path: string): Uint8Array {
  return new Uint8Array(readFileSync(path));
}

/** A poisoned range. */
export function poisoned(offset: number, length: number): BadRange {
  return { offset, length, state: "poisoned" };
}
