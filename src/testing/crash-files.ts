/**
 * crash-files: the files of a machine that loses, tears and reorders whatever was not synced. For testing that what a program
 * calls durable is.
 *
 * The model (design, "Invariants"), which is what file systems and disks promise together, and no more:
 * - Of the writes and truncations of a file since its last sync, any subset is missing after a crash, and each write may be torn at
 *   any of its sectors (512 bytes). A file may have grown over sectors that never came: they read as zeros.
 * - A creation, a rename or a removal whose directory was not synced may be gone. A rename is one step: its new name leads to
 *   the old file or to the new one. Syncing a file does not sync its name, and syncing a name does not sync the file.
 * - After a sync that failed, nothing since the last good one is durable, not even after a later sync that succeeds: the system
 *   has forgotten that those pages were dirty. Reads go on showing them, as the page cache does.
 * - A write that fails may have stored a part of its bytes.
 * - A mapped file is the same page cache: a store is a write that has no system call, and lost, torn and synced as one. What a program
 *   stores through a `view` the model does not see; `copyIn` it does.
 * - Locks belong to an open file and end with it, or with the machine. A second open waits for nothing: EBUSY.
 *
 * How to test with it: run a workload once and read `operations`; then for each n up to that number run it again with
 * `crashAt(n)`, catch `CrashError`, and check what a program says that opens `crash("nothing")`, `crash("everything")` and some
 * `crash(prng)`. With `failAt(n)` the operation fails and the world goes on. Everything depends on the seed alone.
 *
 *     const files = createCrashFiles({ seed: 1 });
 *     files.crashAt(7);
 *     try { workload(files); } catch (error) { if (!(error instanceof CrashError)) throw error; }
 *     check(files.crash(createPrng(2)));
 *
 * Paths are names in directories that are always there; nothing is normalised.
 */
import { dirname } from "node:path";
import {
  assert,
  checkSpan,
  createPrng,
  StorageError,
  type ErrorCode,
  type Prng,
} from "../base/index.ts";
import type { FileMapping, HostFile, HostFileInfo, HostFiles, OpenOptions } from "../os/index.ts";
import type { ContentChange } from "./crash-bytes.ts";
import { CrashInode } from "./crash-inode.ts";

/** The world has stopped: the operation that was told to crash, and every one after it. Not a failure that a program may handle. */
export class CrashError extends Error {
  override readonly name = "CrashError";
}

/** What changes something and so can fail or crash. */
export type CrashOperation =
  | "create"
  | "write"
  | "truncate"
  | "sync"
  | "rename"
  | "remove"
  | "syncDirectory";

/** How a world is made. */
export interface CrashFilesOptions {
  /** What failing writes leave depends on it. @default 0 */
  readonly seed?: number;
  /** Bytes that the disk holds, in whole pages of 4096; what is above is ENOSPC. @default no limit */
  readonly capacity?: number;
}

/** A modelled machine's files. */
export interface CrashFiles extends HostFiles {
  /** Number of operations so far that change something; the next one has this number plus one. */
  readonly operations: number;
  /** The same, by kind. */
  readonly counts: Readonly<Record<CrashOperation, number>>;
  /** Whether the world has stopped. */
  readonly crashed: boolean;
  /** Bytes that the disk holds; may be set at any time. */
  capacity: number;
  /** Every path there is, sorted. */
  paths(): readonly string[];
  /** Lets the operation of this number fail, once. @default "EIO" */
  failAt(operation: number, code?: ErrorCode): void;
  /** Lets the world stop in the middle of the operation of this number. */
  crashAt(operation: number): void;
  /** Makes everything durable as it is. Counts as no operation. */
  settle(): void;
  /**
   * One state that a crash right now may leave: of everything unsynced "nothing", "everything", or a part drawn from `prng`.
   * This world stays as it is and can be crashed again.
   */
  crash(how: Prng | "nothing" | "everything"): CrashFiles;
}

/** Makes an empty world. */
export function createCrashFiles(options: CrashFilesOptions = {}): CrashFiles {
  return new World(options);
}

type NameChange =
  | { readonly kind: "create"; readonly path: string; readonly inode: CrashInode }
  | {
      readonly kind: "rename";
      readonly path: string;
      readonly from: string;
      readonly inode: CrashInode;
    }
  | { readonly kind: "remove"; readonly path: string; readonly inode: CrashInode };

/** Makes a change of names, where what it starts from is there. */
function applyName(names: Map<string, CrashInode>, change: NameChange): void {
  if (change.kind === "create") {
    names.set(change.path, change.inode);
  } else if (change.kind === "remove") {
    if (names.get(change.path) === change.inode) names.delete(change.path);
  } else if (names.get(change.from) === change.inode) {
    names.delete(change.from);
    names.set(change.path, change.inode);
  }
}

class World implements CrashFiles {
  capacity: number;
  operations = 0;
  crashed = false;
  readonly counts: Record<CrashOperation, number> = {
    create: 0,
    write: 0,
    truncate: 0,
    sync: 0,
    rename: 0,
    remove: 0,
    syncDirectory: 0,
  };
  readonly #prng: Prng;
  readonly #names = new Map<string, CrashInode>();
  readonly #durableNames = new Map<string, CrashInode>();
  #nameChanges: NameChange[] = [];
  #crashAt = Infinity;
  readonly #failures = new Map<number, ErrorCode>();

  constructor(options: CrashFilesOptions) {
    this.#prng = createPrng(options.seed ?? 0);
    this.capacity = options.capacity ?? Infinity;
  }

  paths(): readonly string[] {
    this.#checkRunning();
    return [...this.#names.keys()].sort();
  }

  failAt(operation: number, code: ErrorCode = "EIO"): void {
    this.#failures.set(operation, code);
  }

  crashAt(operation: number): void {
    this.#crashAt = operation;
  }

  settle(): void {
    for (const inode of this.#names.values()) {
      inode.base = inode.current.clone();
      inode.changes = [];
    }
    for (const change of this.#nameChanges) applyName(this.#durableNames, change);
    this.#nameChanges = [];
  }

  crash(how: Prng | "nothing" | "everything"): CrashFiles {
    const world = new World({ seed: this.#prng.seed, capacity: this.capacity });
    const names = new Map(this.#durableNames);
    for (const change of this.#nameChanges) {
      if (how === "everything" || (how !== "nothing" && how.chance(0.5))) applyName(names, change);
    }
    const copies = new Map<CrashInode, CrashInode>();
    for (const [path, inode] of names) {
      const copy = copies.get(inode) ?? inode.afterCrash(how);
      copies.set(inode, copy);
      world.#names.set(path, copy);
      world.#durableNames.set(path, copy);
    }
    return world;
  }

  open(path: string, options: OpenOptions = {}): HostFile {
    this.#checkRunning();
    const { access = "read", lock } = options;
    const existing = this.#names.get(path);
    if (access === "create" && existing !== undefined) throw this.#error("EEXIST", "create", path);
    if (access !== "create" && existing === undefined) throw this.#error("ENOENT", "open", path);
    const inode = existing ?? new CrashInode();
    const held =
      lock === "exclusive" ? inode.sharedLocks > 0 || inode.exclusiveLock : inode.exclusiveLock;
    if (lock !== undefined && held) throw this.#error("EBUSY", "lock", path);
    if (access === "create")
      this.#mutate("create", path, () => this.#rename({ kind: "create", path, inode }));
    if (lock === "exclusive") inode.exclusiveLock = true;
    if (lock === "shared") inode.sharedLocks += 1;
    return new OpenFile(this, { path, inode, access, lock });
  }

  info(path: string): HostFileInfo | undefined {
    this.#checkRunning();
    const inode = this.#names.get(path);
    if (inode === undefined) return undefined;
    return { kind: "file", size: inode.current.size, modifiedNs: inode.modified };
  }

  rename(from: string, to: string): void {
    const inode = this.#names.get(from);
    this.#checkRunning();
    if (inode === undefined) throw this.#error("ENOENT", "rename", from);
    this.#mutate("rename", from, () => this.#rename({ kind: "rename", path: to, from, inode }));
  }

  remove(path: string): void {
    this.#checkRunning();
    const inode = this.#names.get(path);
    if (inode === undefined) return;
    this.#mutate("remove", path, () => this.#rename({ kind: "remove", path, inode }));
  }

  syncDirectoryOf(path: string): void {
    const directory = dirname(path);
    this.#mutate("syncDirectory", directory, () => {
      const isHere = (change: NameChange): boolean => dirname(change.path) === directory;
      for (const change of this.#nameChanges.filter(isHere)) applyName(this.#durableNames, change);
      this.#nameChanges = this.#nameChanges.filter((change) => !isHere(change));
    });
  }

  /** A write: whole, or a part of it where it fails. */
  write(file: FileParts, from: Uint8Array, offset: number): void {
    const { inode, path } = file;
    const store = (count: number): void => {
      if (count > 0) this.#touch(inode, { offset, data: from.slice(0, count) });
    };
    this.#mutate("write", path, (failing) => {
      if (failing) store(this.#prng.below(from.length + 1));
      else if (this.#fits(inode, offset + from.length)) store(from.length);
      else {
        store(this.#prng.below(from.length));
        throw this.#error("ENOSPC", "write", path);
      }
    });
  }

  truncate({ inode, path }: FileParts, size: number): void {
    this.#mutate("truncate", path, (failing) => {
      if (!failing) this.#touch(inode, { size });
    });
  }

  sync({ inode, path }: FileParts): void {
    this.#mutate("sync", path, (failing) => {
      if (failing) inode.doom();
      else inode.sync();
    });
  }

  #checkRunning(): void {
    if (this.crashed) throw new CrashError("The world has stopped");
  }

  /**
   * Counts an operation, and lets it fail or stop the world where that was asked for. An operation in which the world stops is under
   * way: its change is made, but nothing became durable by it.
   */
  #mutate(kind: CrashOperation, path: string, act: (failing: boolean) => void): void {
    this.#checkRunning();
    this.operations += 1;
    this.counts[kind] += 1;
    if (this.operations >= this.#crashAt) {
      if (kind !== "sync" && kind !== "syncDirectory") act(false);
      this.crashed = true;
      throw new CrashError(`The world stopped in operation ${this.operations}: ${kind} ${path}`);
    }
    const failure = this.#failures.get(this.operations);
    if (failure === undefined) {
      act(false);
      return;
    }
    if (kind === "write" || kind === "sync") act(true);
    throw this.#error(failure, kind, path);
  }

  #rename(change: NameChange): void {
    applyName(this.#names, change);
    this.#nameChanges.push(change);
  }

  #touch(inode: CrashInode, change: ContentChange): void {
    inode.change(change);
    inode.modified = BigInt(this.operations) * 1_000_000n;
  }

  #fits(inode: CrashInode, end: number): boolean {
    if (this.capacity === Infinity) return true;
    let used = Math.max(0, end - inode.current.size);
    for (const other of new Set(this.#names.values())) used += other.current.allocated;
    return used <= this.capacity;
  }

  #error(code: ErrorCode, syscall: string, path: string): StorageError {
    return new StorageError(code, `Cannot ${syscall} ${path}: the modelled disk says no`, {
      syscall,
      path,
    });
  }
}

interface FileParts {
  readonly path: string;
  readonly inode: CrashInode;
  readonly access: "read" | "write" | "create";
  readonly lock: "shared" | "exclusive" | undefined;
}

class OpenFile implements HostFile {
  readonly path: string;
  readonly #world: World;
  readonly #parts: FileParts;
  #open = true;

  constructor(world: World, parts: FileParts) {
    this.#world = world;
    this.#parts = parts;
    this.path = parts.path;
  }

  size(): number {
    this.#check();
    return this.#parts.inode.current.size;
  }

  read(into: Uint8Array, offset: number): number {
    return this.readSync(into, offset);
  }

  readSync(into: Uint8Array, offset: number): number {
    this.#check();
    return this.#parts.inode.current.read(into, offset);
  }

  writeSync(from: Uint8Array, offset: number): void {
    this.#checkWritable();
    this.#world.write(this.#parts, from, offset);
  }

  truncate(size: number): void {
    this.#checkWritable();
    this.#world.truncate(this.#parts, size);
  }

  sync(): void {
    this.#check();
    this.#world.sync(this.#parts);
  }

  map(): FileMapping {
    const size = this.size();
    const read = (into: Uint8Array, offset: number): void => {
      checkSpan(offset, into.length, size);
      this.readSync(into, offset);
    };
    return {
      size,
      view: ({ offset, length }) => {
        const bytes = new Uint8Array(length);
        read(bytes, offset);
        return bytes;
      },
      copyOut: read,
      copyIn: (from, offset) => {
        checkSpan(offset, from.length, size);
        this.writeSync(from, offset);
      },
      bringIn: async () => true,
      close: () => undefined,
    };
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    if (this.#parts.lock === "exclusive") this.#parts.inode.exclusiveLock = false;
    if (this.#parts.lock === "shared") this.#parts.inode.sharedLocks -= 1;
  }

  #check(): void {
    if (this.#world.crashed) throw new CrashError("The world has stopped");
    assert(this.#open, "A file is not used after it was closed");
  }

  #checkWritable(): void {
    this.#check();
    assert(this.#parts.access !== "read", "A file that was opened for reading is not written");
  }
}
