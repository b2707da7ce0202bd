/** Dumpe2fs: the geometry of an image as dumpe2fs prints it. */
import { run } from "./programs.ts";

/** A static structure: blocks `[block, block + count)`. */
export interface StaticText {
  readonly block: number;
  readonly count: number;
  readonly use:
    | "superblock"
    | "superblock-backup"
    | "group-descriptors"
    | "group-descriptors-backup"
    | "reserved-descriptors"
    | "block-bitmap"
    | "inode-bitmap"
    | "inode-table"
    | "mmp";
  readonly group: number;
}

/** What dumpe2fs knows of an image. Block and inode numbers are of the volume. */
export interface DumpText {
  readonly uuid: string;
  readonly features: ReadonlySet<string>;
  readonly blockSize: number;
  readonly blockCount: number;
  readonly firstBlock: number;
  readonly inodeCount: number;
  readonly inodesPerGroup: number;
  readonly inodeSize: number;
  readonly firstInode: number;
  readonly journalInode: number;
  readonly fastCommitBlocks: number;
  /** Whether the journal itself has the feature (dumpe2fs prints it without a name). */
  readonly fastCommitOn: boolean;
  readonly quotaInodes: readonly number[];
  readonly orphanFileInode: number;
  /** Blocks of a cluster; 1 without bigalloc. */
  readonly clusterBlocks: number;
  readonly statics: readonly StaticText[];
  readonly freeBlocks: ReadonlySet<number>;
  readonly freeInodes: ReadonlySet<number>;
}

function rangesOf(list: string): [number, number][] {
  return [...list.matchAll(/(\d+)(?:-(\d+))?/g)].map((match) => [
    Number(match[1]),
    Number(match[2] ?? match[1]),
  ]);
}

/** With clusters dumpe2fs prints the first block of the first and of the last cluster of a range. */
function membersOf(text: string, label: string, clusterBlocks: number): Set<number> {
  const members = new Set<number>();
  for (const match of text.matchAll(new RegExp(`^  ${label}: (.*)$`, "gm"))) {
    for (const [first, last] of rangesOf(match[1] as string)) {
      for (let number = first; number < last + clusterBlocks; number += 1) members.add(number);
    }
  }
  return members;
}

const SINGLE_OR_RANGE = "(\\d+)(?:-(\\d+))?";

/** @param perBlock descriptors in a block: with meta_bg the first group of so many has the primary one */
function staticsOf(group: number, text: string, perBlock: number): StaticText[] {
  const statics: StaticText[] = [];
  const add = (pattern: string, use: StaticText["use"]): void => {
    const match = new RegExp(`${pattern} ${SINGLE_OR_RANGE}`).exec(text);
    if (match === null) return;
    statics.push({
      block: Number(match[1]),
      count: Number(match[2] ?? match[1]) - Number(match[1]) + 1,
      use,
      group,
    });
  };
  add("Primary superblock at", "superblock");
  add("Backup superblock at", "superblock-backup");
  add("Group descriptors at", group === 0 ? "group-descriptors" : "group-descriptors-backup");
  add(
    "Group descriptor at",
    group % perBlock === 0 ? "group-descriptors" : "group-descriptors-backup",
  );
  add("Reserved GDT blocks at", "reserved-descriptors");
  add("Block bitmap at", "block-bitmap");
  add("Inode bitmap at", "inode-bitmap");
  add("Inode table at", "inode-table");
  return statics;
}

/** Runs dumpe2fs on an image. */
export function dumpe2fs(image: string): DumpText {
  const text = run("dumpe2fs", [image]);
  const groupsAt = text.search(/^Group 0: /m);
  const header = text.slice(0, groupsAt);
  const field = (label: string): string =>
    new RegExp(`^${label}:\\s+(.*)$`, "m").exec(header)?.[1] ?? "";
  const number = (label: string): number => Number(field(label).split(" ")[0] || 0);
  const blockSize = number("Block size");
  const perBlock = blockSize / (number("Group descriptor size") || 32);
  const clusterBlocks = (number("Cluster size") || blockSize) / blockSize;
  const statics = text
    .slice(groupsAt)
    .split(/^(?=Group \d+: )/m)
    .flatMap((group) => staticsOf(Number(/^Group (\d+)/.exec(group)?.[1]), group, perBlock));
  const mmp = number("MMP block number");
  if (mmp > 0) statics.push({ block: mmp, count: 1, use: "mmp", group: 0 });
  return {
    uuid: field("Filesystem UUID"),
    features: new Set(field("Filesystem features").split(" ")),
    blockSize,
    blockCount: number("Block count"),
    firstBlock: number("First block"),
    inodeCount: number("Inode count"),
    inodesPerGroup: number("Inodes per group"),
    inodeSize: number("Inode size") || 128,
    firstInode: number("First inode") || 11,
    journalInode: number("Journal inode"),
    fastCommitBlocks: number("Fast commit length"),
    fastCommitOn: /FEATURE_I5|fast_commit/.test(field("Journal features")),
    quotaInodes: ["User", "Group", "Project"]
      .map((kind) => number(`${kind} quota inode`))
      .filter((inode) => inode > 0),
    orphanFileInode: number("Orphan file inode"),
    clusterBlocks,
    statics,
    freeBlocks: membersOf(text, "Free blocks", clusterBlocks),
    freeInodes: membersOf(text, "Free inodes", 1),
  };
}
