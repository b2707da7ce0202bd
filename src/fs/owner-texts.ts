/** Owner texts: one sentence for people for each thing that a range can hold. docs/owners.md says more. */
import type { OwnerKind, OwnerWhat } from "./file-map.ts";
import type { OwnerDraft } from "./owner-draft.ts";

const TEXTS: Readonly<Record<OwnerWhat, readonly [OwnerKind, string]>> = {
  data: ["file", "Content of the file"],
  "inline-data": ["file", "Content of the file, kept in its inode"],
  "symlink-target": ["file", "Where the symbolic link points"],
  verity: ["file", "Hashes that protect the file's content (verity)"],
  "directory-block": ["directory", "Names in the directory"],
  "directory-index": [
    "directory",
    "Hash tree of the directory: names can still be read without it",
  ],
  "inline-directory": ["directory", "Names in the directory, kept in its inode"],
  "boot-block": ["metadata", "Boot code before the file system: ext4 does not use it"],
  superblock: ["metadata", "Primary superblock: backups serve reading"],
  "superblock-backup": ["metadata", "Backup of the superblock: the primary serves"],
  "group-descriptors": ["metadata", "Group descriptors: backups serve reading"],
  "group-descriptors-backup": ["metadata", "Backup of the group descriptors: the primary serves"],
  "reserved-descriptors": [
    "metadata",
    "Blocks reserved for growing the group descriptors: nothing is in them",
  ],
  "block-bitmap": ["metadata", "Says which blocks of a group are in use: e2fsck rebuilds it"],
  "inode-bitmap": ["metadata", "Says which inodes of a group are in use: e2fsck rebuilds it"],
  "inode-table": ["metadata", "Part of an inode table"],
  inode: ["metadata", "Inode: size, owner, times and the map of the content are in it"],
  "extent-tree": ["metadata", "Part of the map from the file's content to blocks"],
  "block-map": ["metadata", "Part of the map from the file's content to blocks (indirect block)"],
  "xattr-block": ["metadata", "Extended attributes of the inode"],
  "xattr-inode": ["metadata", "Value of a large extended attribute"],
  "resize-inode": ["metadata", "Map of the blocks reserved for growing the file system"],
  quota: ["metadata", "Quota records: quotacheck or e2fsck rebuilds them"],
  "orphan-file": ["metadata", "List of inodes to clean up after a crash"],
  "bad-blocks": ["metadata", "Block that the file system was told to avoid"],
  mmp: ["metadata", "Block that keeps two hosts from mounting at once: e2fsck rebuilds it"],
  "unused-inode": [
    "metadata",
    "Inode that is not in use: XFS reads it with its neighbours and wants it whole",
  ],
  "reserved-inode": ["metadata", "Reserved inode that is not used"],
  "free-space-header": [
    "metadata",
    "Says where an allocation group keeps its free space: xfs_repair rebuilds it",
  ],
  "inode-header": [
    "metadata",
    "Says where an allocation group keeps its inodes: xfs_repair rebuilds it",
  ],
  "free-list": ["metadata", "Blocks kept for the free-space trees: xfs_repair rebuilds it"],
  "free-space-tree": ["metadata", "Says which blocks are free: xfs_repair rebuilds it"],
  "inode-tree": ["metadata", "Says where inodes are: xfs_repair rebuilds it"],
  "reverse-map-tree": ["metadata", "Says who owns each block: xfs_repair rebuilds it"],
  "reference-count-tree": [
    "metadata",
    "Says how many files share each block: xfs_repair rebuilds it",
  ],
  "realtime-bitmap": [
    "metadata",
    "Says which blocks of the real-time device are free: xfs_repair rebuilds it",
  ],
  "realtime-summary": [
    "metadata",
    "Counts the free blocks of the real-time device: xfs_repair rebuilds it",
  ],
  "partition-table": ["metadata", "Partition table"],
  "journal-superblock": ["journal", "Head of the journal"],
  "journal-log": ["journal", "Log of the journal: empty after a clean unmount"],
  "journal-fast-commit": [
    "journal",
    "Fast-commit area of the journal: empty after a clean unmount",
  ],
  "journal-device": ["journal", "Journal on a device of its own"],
  "file-slack": ["slack", "Allocated to the file, past its end: nothing is missing"],
  unwritten: ["slack", "Reserved for the file and never written: it reads as zeros"],
  "cluster-slack": ["slack", "Rest of an allocated cluster: nothing is missing"],
  padding: ["slack", "Filling: nothing is in it"],
  "tree-reserve": ["slack", "Kept for the trees of free space: nothing is in it"],
  "copy-on-write": ["slack", "Kept for a copy-on-write that did not happen: nothing is in it"],
  "free-space": ["free", "Not in use"],
  "free-inode": ["free", "Inode that is not in use"],
  unpartitioned: ["free", "Past the end of the file system"],
  unknown: ["unknown", "Nobody can say"],
};

/** A draft with the usual kind and sentence of what it is. */
export function draftOf(
  what: OwnerWhat,
  rest: { readonly inode?: number; readonly at?: number; readonly note?: string } = {},
): OwnerDraft {
  const text = TEXTS[what];
  const why = rest.note === undefined ? text[1] : `${text[1]}; ${rest.note}`;
  return { kind: text[0], what, why, inode: rest.inode, at: rest.at };
}

/** A draft of what cannot be known, with the reason. */
export function unknownDraft(why: string): OwnerDraft {
  return { kind: "unknown", what: "unknown", why, inode: undefined, at: undefined };
}
