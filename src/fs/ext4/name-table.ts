/**
 * Name table: names found in directories, and the paths that they make. Bytes of names are kept as they are until a path is asked for.
 *
 * A hostile tree may contain itself, or have so many names for a directory that the number of paths explodes: a directory
 * inside itself gives no path, and an inode has at most `PATHS_MAX` paths, each at most `DEPTH_MAX` deep.
 */
import { ROOT_INODE } from "./inode.ts";
import { nameToText } from "./names.ts";

/** Paths of one inode that are told. */
export const PATHS_MAX = 1000;

/** Directories in one path. */
export const DEPTH_MAX = 4096;

const PATH_LENGTH_MAX = 256 * 1024;

/** One name. */
export interface NameRecord {
  readonly child: number;
  readonly parent: number;
  readonly bytes: Uint8Array;
  readonly encrypted: boolean;
}

/** Names by child. */
export class NameTable {
  readonly #heads = new Map<number, number>();
  readonly #next: number[] = [];
  readonly #parents: number[] = [];
  readonly #starts: number[] = [];
  readonly #ends: number[] = [];
  readonly #encrypted: boolean[] = [];
  readonly #memo = new Map<number, readonly string[]>();
  #bytes = new Uint8Array(64 * 1024);
  #used = 0;

  /** Names in the table. */
  get size(): number {
    return this.#parents.length;
  }

  /** Adds a name; its bytes are copied. */
  add(name: NameRecord): void {
    const { bytes } = name;
    if (this.#used + bytes.length > this.#bytes.length) {
      const grown = new Uint8Array(this.#bytes.length * 2);
      grown.set(this.#bytes);
      this.#bytes = grown;
    }
    this.#bytes.set(bytes, this.#used);
    const index = this.#parents.length;
    this.#next.push(this.#heads.get(name.child) ?? -1);
    this.#heads.set(name.child, index);
    this.#parents.push(name.parent);
    this.#starts.push(this.#used);
    this.#used += bytes.length;
    this.#ends.push(this.#used);
    this.#encrypted.push(name.encrypted);
  }

  /** Whether an inode has a name at all. */
  has(inode: number): boolean {
    return this.#heads.has(inode);
  }

  /** Every path of an inode that leads to the root, sorted; "/" of the root itself. */
  pathsOf(inode: number): readonly string[] {
    if (inode === ROOT_INODE) return ["/"];
    const paths = new Set<string>();
    for (
      let at = this.#heads.get(inode) ?? -1;
      at >= 0 && paths.size < PATHS_MAX;
      at = this.#next[at]!
    ) {
      for (const parent of this.#directoryPaths(this.#parents[at]!)) {
        if (paths.size >= PATHS_MAX) break;
        paths.add(`${parent}/${this.#text(at)}`);
      }
    }
    return [...paths].sort();
  }

  #text(at: number): string {
    return nameToText(this.#bytes.subarray(this.#starts[at], this.#ends[at]), this.#encrypted[at]);
  }

  /** Prefixes of what is in a directory: "" of the root. Without recursion: a hostile chain may be deeper than the stack. */
  #directoryPaths(directory: number): readonly string[] {
    const known = this.#memo.get(directory);
    if (known !== undefined) return known;
    const open = new Set<number>();
    const stack = [directory];
    while (stack.length > 0) {
      const inode = stack.at(-1)!;
      const missing =
        open.has(inode) || open.size >= DEPTH_MAX ? [] : this.#unknownParents(inode, open);
      open.add(inode);
      if (missing.length > 0) stack.push(...missing);
      else {
        stack.pop();
        open.delete(inode);
        if (!this.#memo.has(inode)) this.#memo.set(inode, this.#prefixes(inode));
      }
    }
    return this.#memo.get(directory) ?? [];
  }

  #unknownParents(inode: number, open: ReadonlySet<number>): number[] {
    if (inode === ROOT_INODE) return [];
    const parents: number[] = [];
    for (
      let at = this.#heads.get(inode) ?? -1;
      at >= 0 && parents.length < PATHS_MAX;
      at = this.#next[at]!
    ) {
      const parent = this.#parents[at]!;
      if (!this.#memo.has(parent) && !open.has(parent) && parent !== inode) parents.push(parent);
    }
    return parents;
  }

  #prefixes(inode: number): readonly string[] {
    if (inode === ROOT_INODE) return [""];
    const prefixes: string[] = [];
    for (let at = this.#heads.get(inode) ?? -1; at >= 0; at = this.#next[at]!) {
      for (const parent of this.#memo.get(this.#parents[at]!) ?? []) {
        if (prefixes.length >= PATHS_MAX || parent.length > PATH_LENGTH_MAX) return prefixes;
        prefixes.push(`${parent}/${this.#text(at)}`);
      }
    }
    return prefixes;
  }
}
