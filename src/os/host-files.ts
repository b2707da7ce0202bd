/**
 * HostFiles: the few file operations that images, sidecars and maps stand on, as an interface.
 *
 * Two implementations: the machine's own (node-files.ts) and one that loses, tears and reorders what was not
 * synced (testing/crash-files.ts), so that every promise about crashes is tested against design.md's crash model:
 * of the writes since the last sync of each file any subset is missing or torn at a sector, a new file or a rename
 * whose directory was not synced is gone, and after a failed sync nothing since the last good one is durable.
 */
import type { MaybePromise } from "../base/index.ts";
import type { FileMapping } from "./mapping.ts";

/** How a file is opened. */
export interface OpenOptions {
  /** "read", "write" (read and write, must exist), "create" (read and write, must not exist). @default "read" */
  readonly access?: "read" | "write" | "create";
  /** Lock taken on the open file and kept until close; EBUSY if another process holds it against us. @default none */
  readonly lock?: "shared" | "exclusive";
  /** Of a block device: taken from the kernel for us alone (O_EXCL); EBUSY where it is mounted, or a part of another device. @default false */
  readonly alone?: boolean;
}

/** What a file or device is. */
export interface HostFileInfo {
  readonly kind: "file" | "directory" | "block" | "other";
  /** Bytes, of a block device too. */
  readonly size: number;
  /** Nanoseconds since 1970. */
  readonly modifiedNs: bigint;
}

/** One open file. Every method throws `StorageError`. After `close` every call fails an assertion. */
export interface HostFile {
  readonly path: string;
  /** Size in bytes, now. */
  size(): number;
  /** Reads at `offset` until `into` is full or the file ends; returns the count. Small reads answer at once. */
  read(into: Uint8Array, offset: number): MaybePromise<number>;
  /** Reads on this thread. */
  readSync(into: Uint8Array, offset: number): number;
  /** Writes all of `from` at `offset`, or throws; not durable before `sync`. */
  writeSync(from: Uint8Array, offset: number): void;
  /**
   * Writes all of `from`, which must not change until then, beside other calls: several may be under way. Where the file system takes it, whole pages
   * go past the page cache. Not durable before `sync`. @default `writeSync`
   */
  write?(from: Uint8Array, offset: number): Promise<void>;
  /** Sets the size. */
  truncate(size: number): void;
  /** Makes all earlier writes of this file durable, or throws EIO: then none since the last sync counts as durable. */
  sync(): void;
  /** Drops what the page cache holds of a range, so that the next read asks the device. Absent where there is no cache to drop. */
  dropCache?(offset: number, length: number): void;
  /** The file mapped, in an implementation's own way: one that models a machine has no memory of it. @default what `mapFile` makes */
  map?(): FileMapping;
  /** Closes, which drops the lock. Closing twice is allowed. */
  close(): void;
}

/** The file operations of a machine. Every method throws `StorageError`. */
export interface HostFiles {
  open(path: string, options?: OpenOptions): HostFile;
  /** `undefined` where nothing is. */
  info(path: string): HostFileInfo | undefined;
  /** The path without symbolic links, or as it is where that cannot be told. @default every path is real */
  real?(path: string): string;
  /** Replaces `to` in one step; durable once the directory is synced. */
  rename(from: string, to: string): void;
  /** Removes a file; no error where there is none. */
  remove(path: string): void;
  /** Makes creations, renames and removals in the directory of `path` durable. */
  syncDirectoryOf(path: string): void;
}
