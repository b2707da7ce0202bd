/**
 * FileMap: what a file system answers when it is asked whose bytes are these. Read-only, for any file system.
 *
 * A poisoned or wrong piece of metadata hides only what it alone knew: what it hid is answered as "unknown" with the
 * reason, never guessed, because a wrong owner sends a repair to the wrong file.
 */
import type { ByteRange, MaybePromise } from "../base/index.ts";

/** What a range of a volume is used for. */
export type OwnerKind =
  | "file"
  | "directory"
  | "metadata"
  | "journal"
  | "slack"
  | "free"
  | "unknown";

/** The closed list of what an owned range holds; docs/owners.md has a heading for each. */
export const OWNER_WHATS = [
  // kind "file": content of a file, or a structure that only this file uses
  "data",
  "inline-data",
  "symlink-target",
  "verity",
  // kind "directory": content of a directory
  "directory-block",
  "directory-index",
  "inline-directory",
  // kind "metadata": with an inode where the structure belongs to one
  "boot-block",
  "superblock",
  "superblock-backup",
  "group-descriptors",
  "group-descriptors-backup",
  "reserved-descriptors",
  "block-bitmap",
  "inode-bitmap",
  "inode-table",
  "inode",
  "extent-tree",
  "block-map",
  "xattr-block",
  "xattr-inode",
  "resize-inode",
  "quota",
  "orphan-file",
  "bad-blocks",
  "mmp",
  "reserved-inode",
  "unused-inode",
  "free-space-header",
  "inode-header",
  "free-list",
  "free-space-tree",
  "inode-tree",
  "reverse-map-tree",
  "reference-count-tree",
  "realtime-bitmap",
  "realtime-summary",
  "partition-table",
  // kind "journal"
  "journal-superblock",
  "journal-log",
  "journal-fast-commit",
  "journal-device",
  // kind "slack": no file's content, nothing is missing when it is gone
  "file-slack",
  "unwritten",
  "cluster-slack",
  "padding",
  "tree-reserve",
  "copy-on-write",
  // kind "free"
  "free-space",
  "free-inode",
  "unpartitioned",
  // kind "unknown"
  "unknown",
] as const;

/** What an owned range holds. */
export type OwnerWhat = (typeof OWNER_WHATS)[number];

/** One owner of a range. */
export interface Owner {
  readonly kind: OwnerKind;
  /** Inode that the range belongs to; of slack and of extent-tree, directory and xattr blocks too. */
  readonly inode?: number;
  /** Every path of the inode, each beginning with "/", sorted; empty for an orphan or where directories are unreadable. */
  readonly paths?: readonly string[];
  /** Byte ranges in the file (kinds file, directory, slack, journal), or in the structure where that says something. */
  readonly ranges: readonly ByteRange[];
  readonly what: OwnerWhat;
  /** Set where the file system shares the range between its owners on purpose (reflink): one write heals it for all. */
  readonly shared?: boolean;
  /** One sentence for people: what the loss means, or why the owner is unknown. */
  readonly why: string;
}

/** A range of the volume and all its owners (several where blocks are shared). */
export interface OwnedRange extends ByteRange {
  readonly owners: readonly Owner[];
}

/** What a byte range of a file stands on. */
export interface Extent {
  /** First byte in the file. */
  readonly offset: number;
  readonly length: number;
  /**
   * "data": at `device`; "hole" and "unwritten" read as zeros; "inline": inside the inode, at `device`;
   * "unknown": the map of this part cannot be read, and `why` says so.
   */
  readonly kind: "data" | "hole" | "unwritten" | "inline" | "unknown";
  /** First byte on the volume; of data, inline and unwritten. */
  readonly device?: number;
  /** Bytes there are encrypted (read as they are). */
  readonly encrypted?: boolean;
  /** Other files hold the same blocks: a write in place would change them as well. */
  readonly shared?: boolean;
  readonly why?: string;
}

/** One file, as its inode says. */
export interface FileInfo {
  readonly inode: number;
  readonly kind: "file" | "directory" | "symlink" | "other";
  /** Bytes. */
  readonly size: number;
  /** Nanoseconds since 1970. */
  readonly modifiedNs: bigint;
  /** Inode generation: tells a reused inode number from the old file. */
  readonly generation: number;
  readonly links: number;
  /** Set where the content is encrypted, or verity protects it. */
  readonly encrypted: boolean;
  readonly verity: boolean;
}

/** Something wrong in the metadata, and what it hides. */
export interface Problem {
  /** Where, on the volume; absent where it has no one place. */
  readonly range?: ByteRange;
  readonly inode?: number;
  /** A sentence: what is wrong, and what cannot be known because of it. */
  readonly message: string;
}

/** How current the map is. */
export interface JournalState {
  /**
   * "none": no journal, or it is empty; "replayed": a dirty journal was replayed in memory, so the device is older than
   * the map; "external": the journal is on another device, so owners are as of its last checkpoint;
   * "checkpoint": it is dirty, and this map does not replay it, so owners are as of its last checkpoint;
   * "unreadable": it is dirty and cannot be replayed whole.
   */
  readonly status: "none" | "replayed" | "external" | "checkpoint" | "unreadable";
  /** Whether a repair of file data must be refused: an owner may have moved. */
  readonly pending: boolean;
  /** Sequence number of the journal, to compare generations. */
  readonly sequence: number;
  readonly message: string;
}

/** The map of one volume. Offsets are bytes of the volume; inode numbers are the file system's. */
export interface FileMap {
  /** Its name: "ext4", "xfs". */
  readonly filesystem: string;
  /** The program that checks and rebuilds its metadata, as it is called: "e2fsck -f". */
  readonly checker: string;
  /** UUID in lower case with dashes. */
  readonly uuid: string;
  readonly label: string;
  /** Bytes of the volume that the file system uses, from offset 0. */
  readonly size: number;
  /** Bytes of a block. */
  readonly blockSize: number;
  readonly journal: JournalState;
  /** What the map met so far that is wrong; grows as more is asked. Bounded; the last one says how many were dropped. */
  readonly problems: readonly Problem[];
  /** Text that changes whenever the file system was mounted or written: to tell a stale plan or donor. */
  readonly generation: string;

  /** Owners of every byte of the ranges, ascending, pieces with equal owners merged, no byte left out. */
  owners(ranges: Iterable<ByteRange>): MaybePromise<readonly OwnedRange[]>;
  /** What a byte range of a file stands on: no gaps, ascending, clipped to the size unless `pastEnd`. */
  extents(inode: number, options?: ExtentOptions): MaybePromise<readonly Extent[]>;
  /** @returns `undefined` where the inode is free, out of range or unreadable */
  info(inode: number): MaybePromise<FileInfo | undefined>;
  /** Inode of an absolute path; symbolic links are not followed. `undefined` where there is none. */
  lookup(path: string): MaybePromise<number | undefined>;
  /** Every path of an inode, sorted. */
  paths(inode: number): MaybePromise<readonly string[]>;
  /** Every inode in use that can be read, with its paths; each inode once, by ascending number. */
  files(): AsyncIterable<FileInfo & { readonly paths: readonly string[] }>;
  /** Ranges of the volume that hold something (everything but free space), ascending. */
  used(): MaybePromise<Iterable<ByteRange>>;
  /** Verifies one checksum-covered piece of metadata as it is on the device now; `undefined` where nothing covers it. */
  verifyMetadata?(range: ByteRange): MaybePromise<boolean | undefined>;
}

/** Which part of a file is asked for. */
export interface ExtentOptions {
  /** First byte. @default 0 */
  readonly offset?: number;
  /** Bytes from there. @default up to the end of the file */
  readonly length?: number;
  /** Whether extents past the size (preallocated, slack) are told as well. @default false */
  readonly pastEnd?: boolean;
}
