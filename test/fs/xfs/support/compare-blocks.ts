/** compare-blocks: the owners that a map tells of every block beside what xfs_db says of it. */
import type { OwnedRange } from "../../../../src/fs/index.ts";
import { run } from "../../ext4/scratch.ts";

/** What xfs_db says of one block. */
export interface BlockUse {
  readonly type: string;
  readonly inode: number | undefined;
  /** Without the first slash; `undefined` where it tells none. */
  readonly path: string | undefined;
}

/** What xfs_db says of every block of a volume, in order; `options` name its other devices. */
export function blockUses(path: string, options: readonly string[] = []): readonly BlockUse[] {
  const geometry = run("xfs_db", [
    "-r",
    ...options,
    "-c",
    "sb 0",
    "-c",
    "p agblocks agcount agblklog dblocks",
    path,
  ]);
  const value = (name: string): number =>
    Number(new RegExp(`${name} = (\\d+)`).exec(geometry)?.[1]);
  const commands = ["-c", "blockget -n"];
  for (let ag = 0; ag < value("agcount"); ag += 1) {
    const count = Math.min(value("agblocks"), value("dblocks") - ag * value("agblocks"));
    commands.push("-c", `fsblock ${ag * 2 ** value("agblklog")}`, "-c", `blockuse -n -c ${count}`);
  }
  const uses: BlockUse[] = [];
  // 3: it has something to say of a v4 superblock's alignment, and answers all the same
  for (const match of run("xfs_db", ["-r", ...options, ...commands, path], 3).matchAll(
    /^block \d+ \(\d+\/\d+\) type (\S+)(?: inode (\d+))?(?: (.*))?$/gm,
  ))
    uses.push({
      type: match[1]!,
      inode: match[2] === undefined ? undefined : Number(match[2]),
      path: match[3],
    });
  return uses;
}

/** What an owner may be where xfs_db says a type. */
const TYPES: Readonly<Record<string, readonly string[]>> = {
  sb: [
    "superblock",
    "superblock-backup",
    "free-space-header",
    "inode-header",
    "free-list",
    "padding",
  ],
  agf: ["free-space-header"],
  agi: ["inode-header", "free-list"],
  agfl: ["free-list", "padding"],
  btbno: ["free-space-tree"],
  btcnt: ["free-space-tree"],
  btino: ["inode-tree"],
  btfino: ["inode-tree"],
  btrmap: ["reverse-map-tree"],
  btrefcnt: ["reference-count-tree"],
  freelist: ["tree-reserve"],
  free1: ["free-space"],
  free2: ["free-space"],
  inode: ["inode", "unused-inode"],
  // xfs_db counts the blocks of a map among the data.
  data: ["data", "file-slack", "unwritten", "extent-tree"],
  rldata: ["data", "file-slack", "unwritten"],
  symlink: ["symlink-target"],
  dir: ["directory-block", "directory-index", "extent-tree"],
  attr: ["xattr-block"],
  btbmapa: ["xattr-block"],
  btbmapd: ["extent-tree"],
  log: ["journal-log"],
  quota: ["quota"],
  rtbitmap: ["realtime-bitmap"],
  rtsum: ["realtime-summary"],
};

/** Every block whose owners are not what xfs_db says. */
export function differences(
  owned: readonly OwnedRange[],
  uses: readonly BlockUse[],
  blockSize: number,
): string[] {
  const wrong: string[] = [];
  let end = 0;
  for (const { offset, length, owners } of owned) {
    if (offset !== end) wrong.push(`a gap at ${end}`);
    end = offset + length;
    for (let block = Math.floor(offset / blockSize); block * blockSize < end; block += 1) {
      const { type, inode, path } = uses[block] ?? { type: "none" };
      for (const owner of owners) {
        const fits =
          (TYPES[type] ?? []).includes(owner.what) &&
          (inode === undefined || owners.some((each) => each.inode === inode)) &&
          (path === undefined || owners.some((each) => each.paths?.includes(`/${path}`)));
        if (!fits)
          wrong.push(`block ${block}: ${type} ${inode} ${path}, not ${JSON.stringify(owner)}`);
      }
    }
  }
  if (end !== uses.length * blockSize)
    wrong.push(`owners end at ${end}, blocks at ${uses.length * blockSize}`);
  return wrong;
}
