/** demo-tree: a real tree on this machine, of a size that a demonstration can afford. */
import { lstatSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { packageRoot } from "../package-root.ts";

/** Trees that many machines have, best first; the last one is there wherever this package was installed. */
const CANDIDATES = [
  "/usr/share/perl",
  "/usr/lib/git-core",
  "/usr/share/doc",
  "/usr/lib/python3",
  "/usr/share/zoneinfo",
  join(packageRoot(), "node_modules/@types/node"),
  join(packageRoot(), "dist"),
];

/** What a tree must be for the demonstration: enough files to spread damage over, small enough to be quick. */
const LIMITS = { filesMin: 40, bytesMin: 512 * 1024, bytesMax: 48 * 1024 * 1024, filesMax: 6000 };

/** A tree, measured. */
export interface DemoTree {
  readonly path: string;
  readonly files: number;
  readonly bytes: number;
}

/** The first tree within the limits; `undefined` where this machine has none. */
export function findTree(candidates: readonly string[] = CANDIDATES): DemoTree | undefined {
  for (const path of candidates) {
    const tree = measure(path);
    if (tree !== undefined && tree.files >= LIMITS.filesMin && tree.bytes >= LIMITS.bytesMin)
      return tree;
  }
  return undefined;
}

/** Counts a tree; `undefined` where it is not there, not readable, or over the limits. */
function measure(path: string): DemoTree | undefined {
  let files = 0;
  let bytes = 0;
  const folders = [path];
  try {
    for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
      for (const entry of readdirSync(folder, { withFileTypes: true })) {
        const name = join(folder, entry.name);
        if (entry.isDirectory()) folders.push(name);
        if (!entry.isFile()) continue;
        files += 1;
        bytes += lstatSync(name).size;
        if (bytes > LIMITS.bytesMax || files > LIMITS.filesMax) return undefined;
      }
    }
  } catch {
    return undefined;
  }
  return { path, files, bytes };
}
