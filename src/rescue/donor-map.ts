/**
 * DonorMap: what a partial copy has: only what its ddrescue map calls finished (`+`) counts, because everywhere else it holds zeros or old bytes that
 * look like data (R1).
 *
 * A map is found beside the copy where nobody names one: that of a salvage (`NAME.map` with `NAME.map.theriac`), or a file under one of ddrescue's usual
 * names that begins as ddrescue begins them. A map takes bytes away and never gives any, so finding one can only make a donor more careful.
 *
 * A target is asked for its map, too, but only for one that says itself that this file is its output: ddrescue's may as well lie beside its source, of which nothing is bad.
 */
import { basename, extname, resolve } from "node:path";
import { RangeSet, StorageError } from "../base/index.ts";
import { nodeFiles } from "../os/index.ts";
import { parseMapfile, sidecarPath, type StateRange } from "../poison/index.ts";
import { readText } from "./durable-text.ts";
import { identityPath, readIdentity } from "./salvage/salvage-identity.ts";

/** Longest map that is read: some ten million blocks. */
const LARGEST = 512 * 1024 * 1024;

/** How ddrescue's maps begin; its older versions called them logs. */
const HEAD = /^# (?:Mapfile|Rescue Logfile)\. Created by /;

/**
 * The parts of a copy that are no data.
 *
 * @param map of a copy that is not whole
 * @param size bytes of the copy
 * @throws {StorageError} ENOENT; EBADMSG where it is no map, or one of another size
 */
export function holesOfCopy(map: string, size: number): readonly StateRange[] {
  const text = readText(nodeFiles, map, LARGEST);
  const done = new RangeSet();
  for (const { offset, length, state } of parseMapfile(text, { size, name: `map "${map}"` })
    .ranges) {
    if (state === "clean") done.add(offset, length);
  }
  const holes = done.gaps(0, size);
  return Array.from(holes, ({ offset, length }) => ({ offset, length, state: "poisoned" }));
}

/** The map that lies beside a copy; `undefined`: none. */
export function mapBeside(copy: string): string | undefined {
  const own = `${copy}.map`;
  if (isFile(own) && isFile(identityPath(own))) return own;
  const stem = copy.slice(0, copy.length - extname(copy).length);
  for (const base of [copy, stem]) {
    for (const ending of [".map", ".mapfile", ".log"]) {
      const path = `${base}${ending}`;
      if (path !== copy && isFile(path) && HEAD.test(beginningOf(path))) return path;
    }
  }
  return undefined;
}

/** What the map of a salvage says of its output. */
export interface OutputHoles {
  readonly ranges: readonly StateRange[];
  /** Where it is from, for people. */
  readonly note: string;
}

/**
 * The parts of the output of a salvage that never came, by the map beside it; `undefined` where it lacks none, has a list of its own, or is no output.
 *
 * @throws {StorageError} EBADMSG where map or identity are none, or of another size
 */
export function holesOfOutput(path: string): OutputHoles | undefined {
  const map = `${path}.map`;
  if (!isFile(path) || !isFile(map) || !isFile(identityPath(map))) return undefined;
  if (nodeFiles.info(sidecarPath(nodeFiles.real?.(path) ?? path)) !== undefined) return undefined;
  if (!isOutputOf(path, readIdentity(nodeFiles, map).output)) return undefined;
  const ranges = holesOfCopy(map, nodeFiles.info(path)?.size ?? 0);
  if (ranges.length === 0) return undefined;
  const bytes = ranges.reduce((sum, { length }) => sum + length, 0);
  const note = `By its map "${map}", ${bytes} bytes of it never came: they count as poisoned (move the map away where something else has restored them)`;
  return { ranges, note };
}

/** Whether it is the output that a salvage began, or that one was moved here. */
function isOutputOf(path: string, begun: string | undefined): boolean {
  if (begun === undefined) return false;
  const isMoved = basename(begun) === basename(path) && nodeFiles.info(begun) === undefined;
  return isMoved || begun === resolve(path);
}

function isFile(path: string): boolean {
  return nodeFiles.info(path)?.kind === "file";
}

function beginningOf(path: string): string {
  try {
    const file = nodeFiles.open(path);
    const bytes = new Uint8Array(64);
    const count = file.readSync(bytes, 0);
    file.close();
    return new TextDecoder("latin1").decode(bytes.subarray(0, count));
  } catch (error) {
    if (error instanceof StorageError) return "";
    throw error;
  }
}
