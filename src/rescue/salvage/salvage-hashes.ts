/**
 * SalvageHashes: SHA-256 of every run that was written into an output, in `MAP.hashes` beside the map, a line each: offset, length, hash.
 *
 * Lines are appended and synced before the map names their bytes; what a crash tore off is no line, and a later line of a run counts. They tell an output that was changed or
 * replaced from the one that was salvaged, without the source.
 */
import { createHash } from "node:crypto";
import { StorageError, type ByteRange } from "../../base/index.ts";
import type { HostFile, HostFiles } from "../../os/index.ts";
import { readText } from "../durable-text.ts";
import type { CopyMap } from "./copy-map.ts";

/** Longest text that is read: some five million runs. */
const LARGEST = 512 * 1024 * 1024;
/** Runs that are compared when a salvage goes on. */
const CHECKED = 32;

/** Name of the hashes beside a map. */
export function hashesPath(map: string): string {
  return `${map}.hashes`;
}

/** Appends hashes of one salvage. */
export class SalvageHashes {
  readonly #files: HostFiles;
  readonly #path: string;
  #lines: string[] = [];

  /** @param map path of the map */
  constructor(files: HostFiles, map: string) {
    this.#files = files;
    this.#path = hashesPath(map);
  }

  /** Hashes what was written. */
  add(bytes: Uint8Array, offset: number): void {
    this.#lines.push(`${offset} ${bytes.length} ${sha256(bytes)}\n`);
  }

  /** Appends what was hashed; durable on return. */
  save(): void {
    if (this.#lines.length === 0) return;
    const isNew = this.#files.info(this.#path) === undefined;
    const file = this.#files.open(this.#path, { access: isNew ? "create" : "write" });
    try {
      // A line that a crash tore off must not swallow the next one.
      file.writeSync(Buffer.from(`\n${this.#lines.join("")}`), file.size());
      file.sync();
    } finally {
      file.close();
    }
    if (isNew) this.#files.syncDirectoryOf(this.#path);
    this.#lines = [];
  }
}

/** A run with the hash that it had. */
export interface HashedRun extends ByteRange {
  readonly sha256: string;
}

/** The hashes beside a map of runs that it calls finished, ascending; none where there are none. @throws {StorageError} EBADMSG where there are too many */
export function readHashes(files: HostFiles, path: string, map: CopyMap): readonly HashedRun[] {
  const name = hashesPath(path);
  if (files.info(name) === undefined) return [];
  const runs = new Map<string, HashedRun>();
  for (const line of readText(files, name, LARGEST).split("\n")) {
    const match = /^(\d{1,16}) (\d{1,10}) ([0-9a-f]{64})$/.exec(line);
    if (match === null) continue;
    const [, offset, length, hash = ""] = match;
    const run = { offset: Number(offset), length: Number(length), sha256: hash };
    if (run.offset + run.length > map.size || map.unfinished(run).length > 0) continue;
    runs.delete(`${offset} ${length}`);
    runs.set(`${offset} ${length}`, run);
  }
  return [...runs.values()].sort((one, other) => one.offset - other.offset);
}

/**
 * Compares some runs of an output, spread over all of it, with the hashes that were kept of them.
 *
 * @throws {StorageError} ESTALE where one differs
 */
export function checkHashes(output: HostFile, runs: readonly HashedRun[], map: string): void {
  const step = Math.max(1, Math.floor(runs.length / CHECKED));
  for (let index = 0; index < runs.length; index += step) {
    const run = runs[index];
    if (run === undefined || holds(output, run)) continue;
    throw new StorageError(
      "ESTALE",
      `Refused output "${output.path}": bytes ${run.offset} to ${run.offset + run.length} are not those that map "${map}" was written for`,
      { path: output.path },
    );
  }
}

/** Whether a file holds a run as it was hashed. */
export function holds(file: HostFile, { offset, length, sha256: wanted }: HashedRun): boolean {
  const bytes = new Uint8Array(length);
  return file.readSync(bytes, offset) === length && sha256(bytes) === wanted;
}

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
