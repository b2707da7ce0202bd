/** compare-kernel: owners and extents beside what the kernel said of a mounted XFS: FSMAP of the device, FIEMAP of files. */
import type { FileMap, OwnedRange } from "../../src/fs/index.ts";

/** What an owner may be where FSMAP tells a special one (kernel: XFS_FMR_OWN_*; 0 is of all file systems). */
const SPECIALS: Readonly<Record<string, readonly string[]>> = {
  "special_0:1": ["free-space"],
  "special_88:1": [
    "superblock",
    "superblock-backup",
    "free-space-header",
    "inode-header",
    "free-list",
    "padding",
  ],
  "special_88:2": ["journal-log"],
  "special_88:3": ["free-space-tree", "reverse-map-tree", "tree-reserve"],
  "special_88:4": ["inode-tree"],
  "special_88:5": ["inode", "unused-inode"],
  "special_88:6": ["reference-count-tree"],
  "special_88:7": ["copy-on-write", "free-space"],
};

/** What an owner may be of a fork that FSMAP names; the data fork is of files, links, directories and what the volume keeps for itself. */
const FORKS: Readonly<Record<string, readonly string[]>> = {
  attr: ["xattr-block"],
  attr_bmbt: ["xattr-block"],
  data_bmbt: ["extent-tree"],
};

/** Every range of FSMAP, sectors of 512 bytes, whose owners are others. Its text is that of `xfs_io -c "fsmap -m"`. */
export function fsmapDifferences(owned: readonly OwnedRange[], text: string): readonly string[] {
  const wrong: string[] = [];
  let first = 0;
  for (const line of text.trim().split("\n").slice(1)) {
    const [, , , start, last, owner = "", at] = line.split(",");
    const from = Number(start) * 512;
    const to = (Number(last) + 1) * 512;
    while (first < owned.length && owned[first]!.offset + owned[first]!.length <= from) first += 1;
    for (let index = first; index < owned.length && owned[index]!.offset < to; index += 1) {
      const range = owned[index]!;
      const fileAt = at === "" ? undefined : Number(at) * 512 + Math.max(from, range.offset) - from;
      if (!fits(range, owner, { from, fileAt }))
        wrong.push(`fsmap ${line}: ${JSON.stringify(range)}`);
    }
  }
  return wrong;
}

function fits(
  range: OwnedRange,
  owner: string,
  { from, fileAt }: { readonly from: number; readonly fileAt: number | undefined },
): boolean {
  const special = SPECIALS[owner];
  if (special !== undefined) return range.owners.every(({ what }) => special.includes(what));
  const inode = /^inode_(\d+)_(\w+?)(?:_unwritten)?$/.exec(owner);
  // Without a reverse map the kernel knows only that it is in use.
  if (inode === null) return range.owners.every(({ what }) => what !== "free-space");
  const fork = FORKS[inode[2]!];
  return range.owners.some(
    ({ inode: number, what, ranges }) =>
      number === Number(inode[1]) &&
      (fork === undefined || fork.includes(what)) &&
      (fileAt === undefined ||
        fork !== undefined ||
        ranges[0] === undefined ||
        isAt(ranges[0], range, { from, fileAt })),
  );
}

function isAt(
  told: { readonly offset: number },
  range: OwnedRange,
  { from, fileAt }: { readonly from: number; readonly fileAt: number },
): boolean {
  return told.offset + Math.max(0, from - range.offset) === fileAt;
}

/** Every extent of FIEMAP, as `xfs_io -c "fiemap -v"` prints them, that the map tells otherwise. */
export async function fiemapDifferences(map: FileMap, text: string): Promise<readonly string[]> {
  const wrong: string[] = [];
  let inode = 0;
  for (const line of text.split("\n")) {
    const file = /^file (\d+) /.exec(line);
    if (file !== null) inode = Number(file[1]);
    const extent =
      /^ *\d+: \[(\d+)\.\.(\d+)\]: +(?:(\d+)\.\.\d+|hole) +\d+(?: +0x([0-9a-f]+))?/.exec(line);
    if (extent === null) continue;
    const offset = Number(extent[1]) * 512;
    const length = (Number(extent[2]) + 1) * 512 - offset;
    const device = extent[3] === undefined ? undefined : Number(extent[3]) * 512;
    const unwritten = (Number.parseInt(extent[4] ?? "0", 16) & 0x800) !== 0;
    const shared = (Number.parseInt(extent[4] ?? "0", 16) & 0x2000) !== 0;
    const kind = device === undefined ? "hole" : unwritten ? "unwritten" : "data";
    let at = device;
    for (const told of await map.extents(inode, { offset, length, pastEnd: true })) {
      if (
        told.kind !== kind ||
        told.device !== at ||
        (told.shared === true) !== (shared && kind === "data")
      )
        wrong.push(`inode ${inode}, fiemap ${line.trim()}: ${JSON.stringify(told)}`);
      if (at !== undefined) at += told.length;
    }
  }
  return wrong;
}
