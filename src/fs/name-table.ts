/**
 * Name table: names found in directories, and the paths that they make. Bytes of names are kept as they are until a path is asked for.
 *
 * A hostile tree may contain itself, or have so many names for a directory that the number of paths explodes: a directory
 * inside itself gives no path, an inode has at most `PATHS_MAX` paths, a directory at most `PREFIXES_MAX`, and a path has a longest length.
 */
import { nameToText, plainNameText } from "./names.ts";

/** Paths of one inode that are told: the kernel allows 65,000 names of a file. */
export const PATHS_MAX = 65_536;

/** Paths of one directory that are followed. It has one, unless something is wrong. */
const PREFIXES_MAX = 16;

const PATH_LENGTH_MAX = 64 * 1024;

/** One name. */
export interface NameRecord {
  readonly child: number;
  readonly parent: number;
  /** The name is `bytes[start, end)`. */
  readonly bytes: Uint8Array;
  readonly start: number;
  readonly end: number;
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
  readonly #root: number;
  #bytes = Buffer.alloc(64 * 1024);
  #used = 0;

  /** @param root inode of the root directory */
  constructor(root: number) {
    this.#root = root;
    this.#memo.set(root, [""]);
  }

  /** Names in the table. */
  get size(): number {
    return this.#parents.length;
  }

  /**
   * Adds a name; its bytes are copied.
   *
   * @returns false, and nothing is added, where a name that is not encrypted is hostile: it is empty, or holds a "/" or a NUL. No kernel makes it, and as a path it would point elsewhere
   */
  add(name: NameRecord): boolean {
    const { bytes, start, end, encrypted } = name;
    while (this.#used + end - start > this.#bytes.length) {
      const grown = Buffer.alloc(this.#bytes.length * 2);
      grown.set(this.#bytes);
      this.#bytes = grown;
    }
    const own = this.#bytes;
    let to = this.#used;
    // A loop, because a view of so few bytes costs more than their copy; and it looks at each byte anyway.
    for (let at = start; at < end; at += 1, to += 1) {
      const byte = bytes[at]!;
      if ((byte === 0x2f || byte === 0) && !encrypted) return false;
      own[to] = byte;
    }
    if (to === this.#used) return false;
    const index = this.#parents.length;
    this.#next.push(this.#heads.get(name.child) ?? -1);
    this.#heads.set(name.child, index);
    this.#parents.push(name.parent);
    this.#starts.push(this.#used);
    this.#used = to;
    this.#ends.push(to);
    this.#encrypted.push(encrypted);
    return true;
  }

  /** Whether an inode has a name at all. */
  has(inode: number): boolean {
    return this.#heads.has(inode);
  }

  /** Every path of an inode that leads to the root, sorted; "/" of the root itself. */
  pathsOf(inode: number): readonly string[] {
    if (inode === this.#root) return ["/"];
    const only = this.#heads.get(inode) ?? -1;
    if (only >= 0 && this.#next[only] === -1) return this.#pathsOfName(inode, only);
    const paths = new Set<string>();
    for (
      let at = this.#heads.get(inode) ?? -1;
      at >= 0 && paths.size < PATHS_MAX;
      at = this.#next[at]!
    ) {
      const directory = this.#parents[at]!;
      if (directory === inode) continue;
      for (const parent of this.#directoryPaths(directory)) {
        if (paths.size >= PATHS_MAX) break;
        paths.add(`${parent}/${this.#text(at)}`);
      }
    }
    return [...paths].sort();
  }

  /** Paths of an inode with one name. */
  #pathsOfName(inode: number, at: number): readonly string[] {
    const directory = this.#parents[at]!;
    if (directory === inode) return [];
    const prefixes = this.#directoryPaths(directory);
    if (prefixes.length === 0) return [];
    const name = this.#text(at);
    if (prefixes.length === 1) return [`${prefixes[0]}/${name}`];
    return [...new Set(prefixes.map((prefix) => `${prefix}/${name}`))].sort();
  }

  #text(at: number): string {
    const encrypted = this.#encrypted[at] === true;
    const plain = encrypted
      ? undefined
      : plainNameText(this.#bytes, this.#starts[at]!, this.#ends[at]!);
    if (plain !== undefined) return plain;
    return nameToText(this.#bytes.subarray(this.#starts[at], this.#ends[at]), this.#encrypted[at]);
  }

  /**
   * Prefixes of what is in a directory: "" of the root. All directories above it whose prefixes are not known yet are gathered, then
   * they are reached from above, each once: so a cycle ends, and hides nothing of what also has a way to the root.
   */
  #directoryPaths(directory: number): readonly string[] {
    const known = this.#memo.get(directory);
    if (known !== undefined) return known;
    const quick = this.#pathsOfOneName(directory);
    if (quick !== undefined) return quick;
    const above = this.#recordsAbove(directory);
    const prefixes = new Map<number, string[]>();
    const queue = [...above.below.keys()].filter((parent) => this.#memo.has(parent));
    const reached = new Set(queue);
    for (const parent of queue) {
      // Its prefixes are whole now: a later way to it leads through itself, or is a second name of a directory.
      const own = prefixes.get(parent);
      if (own !== undefined) this.#memo.set(parent, own);
      for (const [child, at] of above.below.get(parent) ?? []) {
        if (this.#memo.has(child)) continue;
        const list = prefixes.get(child) ?? [];
        this.#addPrefixes(list, this.#memo.get(parent) ?? [], at);
        prefixes.set(child, list);
        if (!reached.has(child)) queue.push(child);
        reached.add(child);
      }
    }
    for (const inode of above.inodes) if (!this.#memo.has(inode)) this.#memo.set(inode, []);
    return this.#memo.get(directory) ?? [];
  }

  /** The same for a directory with one name, in a directory that is known: nothing to gather. */
  #pathsOfOneName(directory: number): readonly string[] | undefined {
    const only = this.#heads.get(directory) ?? -1;
    if (only < 0 || this.#next[only] !== -1) return undefined;
    const parents = this.#memo.get(this.#parents[only]!);
    if (parents === undefined) return undefined;
    const list: string[] = [];
    this.#addPrefixes(list, parents, only);
    this.#memo.set(directory, list);
    return list;
  }

  #addPrefixes(list: string[], parents: readonly string[], at: number): void {
    for (const prefix of parents) {
      if (list.length >= PREFIXES_MAX || prefix.length > PATH_LENGTH_MAX) return;
      list.push(`${prefix}/${this.#text(at)}`);
    }
  }

  /** Every directory from one up to those whose prefixes are known, and the names in each of them that lead down. */
  #recordsAbove(directory: number): {
    readonly inodes: ReadonlySet<number>;
    readonly below: ReadonlyMap<number, readonly (readonly [number, number])[]>;
  } {
    const inodes = new Set([directory]);
    const below = new Map<number, (readonly [number, number])[]>();
    for (const inode of inodes) {
      for (let at = this.#heads.get(inode) ?? -1; at >= 0; at = this.#next[at]!) {
        const parent = this.#parents[at]!;
        const list = below.get(parent) ?? [];
        list.push([inode, at]);
        below.set(parent, list);
        if (!this.#memo.has(parent)) inodes.add(parent);
      }
    }
    return { inodes, below };
  }
}
