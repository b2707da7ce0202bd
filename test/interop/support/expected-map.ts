/**
 * ExpectedMap: what debugfs and dumpe2fs say about every block and inode of an image, in the words of a FileMap.
 *
 * Made of their texts alone, so that it can judge the map: `stat` of every inode gives runs, trees and attribute blocks,
 * `htree_dump` the index blocks, `ls` the names, dumpe2fs the static structures and what is free. `icheck` and
 * `dump_extents` are asked for the same facts again: where they differ from `stat` the oracle contradicts itself.
 */
import { dumpe2fs, type DumpText } from "./dumpe2fs.ts";
import {
  debugfs,
  dumpFiles,
  icheck,
  parseDirectoryBlocks,
  parseDumpExtents,
  parseHtreeIndex,
  parseList,
  parseStat,
  type BlockRun,
  type DirectoryEntryText,
  type InodeText,
} from "./debugfs.ts";

const ROOT = 2;
const RESIZE_INODE = 7;
const RESERVED = "metadata/reserved-descriptors";
const INDEX_FLAG = 0x1000;
const ENCRYPT_FLAG = 0x800;
const EXTENTS_FLAG = 0x80000;
const VERITY_FLAG = 0x100000;
const EA_INODE_FLAG = 0x200000;

/** One owner that a block must have. */
export interface ExpectedOwner {
  /** `kind/what` that are right for it, the exact one first. */
  readonly uses: readonly string[];
  readonly inode?: number;
  /** First byte in the file, where the owner is a part of one. */
  readonly fileOffset?: number;
}

/** A byte range of the volume and all its owners. `slotOf` is an inode's place in its table: owners in it are told by inode. */
export interface ExpectedRange {
  readonly offset: number;
  readonly length: number;
  readonly owners: readonly ExpectedOwner[];
  readonly slotOf?: number;
}

/** All that the oracle knows of an image. */
export interface ExpectedMap {
  readonly dump: DumpText;
  readonly inodes: ReadonlyMap<number, InodeText>;
  /** Paths of every inode that can be reached from the root; names as bytes, one character each. */
  readonly paths: ReadonlyMap<number, readonly string[]>;
  /** What every byte of the volume is, ascending, without gaps. */
  readonly ranges: readonly ExpectedRange[];
  /** Where debugfs contradicts itself. */
  readonly contradictions: readonly string[];
}

/** Reads an image with debugfs and dumpe2fs. Costs seconds; the image is only read. */
export function expectMap(image: string): ExpectedMap {
  const dump = dumpe2fs(image);
  const used: number[] = [];
  for (let inode = 1; inode <= dump.inodeCount; inode += 1)
    if (!dump.freeInodes.has(inode)) used.push(inode);
  const stats = debugfs(
    image,
    used.map((inode) => `stat <${inode}>`),
  );
  const inodes = new Map<number, InodeText>();
  stats.forEach((text, at) => {
    const stat = parseStat(text);
    if (stat !== undefined) inodes.set(used[at] as number, stat);
  });
  const directories = [...inodes.values()].filter((inode) => inode.type === "directory");
  const entries = readDirectories(image, directories);
  const indexed = directories.filter((directory) => (directory.flags & INDEX_FLAG) !== 0);
  const trees = debugfs(
    image,
    indexed.map((directory) => `htree_dump <${directory.inode}>`),
  ).map(parseHtreeIndex);
  const index = new Map(indexed.map((directory, at) => [directory.inode, trees[at]]));
  const claims = new Claims(dump);
  for (const inode of inodes.values()) claims.addInode(inode, index.get(inode.inode));
  return {
    dump,
    inodes,
    paths: pathsOf(entries),
    ranges: claims.ranges(),
    contradictions: [
      ...contradictionsOfExtents(image, inodes),
      ...contradictionsOfIcheck(image, { dump, inodes, claims }),
    ],
  };
}

/** Entries of directories; of encrypted ones, whose names may hold any byte, from their blocks instead of `ls`. */
function readDirectories(
  image: string,
  directories: readonly InodeText[],
): Map<number, DirectoryEntryText[]> {
  const encrypted = directories.filter((directory) => (directory.flags & ENCRYPT_FLAG) !== 0);
  const plain = directories.filter((directory) => !encrypted.includes(directory));
  const lists = debugfs(
    image,
    plain.map((directory) => `ls -p <${directory.inode}>`),
  ).map(parseList);
  const contents = dumpFiles(
    image,
    encrypted.map((directory) => directory.inode),
  );
  return new Map([
    ...plain.map((directory, at) => [directory.inode, lists[at] as DirectoryEntryText[]] as const),
    ...encrypted.map(
      (directory, at) => [directory.inode, parseDirectoryBlocks(contents[at] as Buffer)] as const,
    ),
  ]);
}

function pathsOf(
  entries: ReadonlyMap<number, readonly DirectoryEntryText[]>,
): Map<number, string[]> {
  const paths = new Map<number, string[]>([[ROOT, ["/"]]]);
  const walk = (inode: number, prefix: string, above: ReadonlySet<number>): void => {
    for (const entry of entries.get(inode) ?? []) {
      if (entry.name === "." || entry.name === ".." || entry.inode === 0) continue;
      const path = `${prefix}/${entry.name}`;
      paths.set(entry.inode, [...(paths.get(entry.inode) ?? []), path]);
      if (entries.has(entry.inode) && !above.has(entry.inode))
        walk(entry.inode, path, new Set([...above, entry.inode]));
    }
  };
  walk(ROOT, "", new Set([ROOT]));
  return paths;
}

/** What of a file its data blocks are, told apart where the size ends. */
interface Use {
  readonly inside: readonly string[];
  readonly past: readonly string[];
  readonly unwritten: readonly string[];
}

function structure(...uses: readonly string[]): Use {
  return {
    inside: uses,
    past: [...uses, "slack/file-slack"],
    unwritten: [...uses, "slack/unwritten"],
  };
}

/** One claim on a block; where the file ends in it, `inside` bytes are content and `rest` owns the others. */
type Claim = ExpectedOwner & { readonly inside?: number; readonly rest?: ExpectedOwner };

class Claims {
  readonly #dump: DumpText;
  readonly #blocks = new Map<number, Claim[]>();
  readonly #slots = new Map<number, number>();

  constructor(dump: DumpText) {
    this.#dump = dump;
    if (dump.blockSize === 1024) this.#add(0, { uses: ["metadata/boot-block"] });
    for (const run of dump.statics) {
      for (let at = 0; at < run.count; at += 1) {
        if (run.use === "inode-table")
          this.#slots.set(
            run.block + at,
            run.group * dump.inodesPerGroup + 1 + (at * dump.blockSize) / dump.inodeSize,
          );
        else this.#add(run.block + at, { uses: [`metadata/${run.use}`] });
      }
    }
  }

  has(block: number): boolean {
    return this.#blocks.has(block);
  }

  inodesOf(block: number): number[] {
    return (this.#blocks.get(block) ?? []).flatMap((claim) =>
      claim.inode === undefined ? [] : [claim.inode],
    );
  }

  addInode(inode: InodeText, index: ReadonlySet<number> | undefined): void {
    const { blockSize } = this.#dump;
    const number = inode.inode;
    for (const block of inode.tree)
      this.#add(block, { uses: [this.#treeUse(inode)], inode: number });
    if (inode.xattrBlock > 0)
      this.#add(inode.xattrBlock, { uses: ["metadata/xattr-block"], inode: number });
    for (const run of inode.runs) {
      for (let at = 0; at < run.count; at += 1) {
        const logical = run.logical + at;
        const use = this.#useOf(inode, logical, index);
        const fileOffset = logical * blockSize;
        const inside = Math.max(0, Math.min(blockSize, inode.size - fileOffset));
        const whole = (uses: readonly string[]): ExpectedOwner => ({
          uses,
          inode: number,
          fileOffset,
        });
        if (run.unwritten) this.#add(run.block + at, whole(use.unwritten));
        else if (inside === 0 || inside === blockSize)
          this.#add(run.block + at, whole(inside === 0 ? use.past : use.inside));
        else
          this.#add(run.block + at, {
            ...whole(use.inside),
            inside,
            rest: { uses: use.past, inode: number, fileOffset: fileOffset + inside },
          });
      }
    }
  }

  #treeUse(inode: InodeText): string {
    if (inode.inode === RESIZE_INODE) return "metadata/resize-inode";
    return (inode.flags & EXTENTS_FLAG) !== 0 ? "metadata/extent-tree" : "metadata/block-map";
  }

  #useOf(inode: InodeText, logical: number, index: ReadonlySet<number> | undefined): Use {
    const dump = this.#dump;
    if (inode.inode === dump.journalInode) return structure(...this.#journalUses(inode, logical));
    if (inode.inode === 1) return structure("metadata/bad-blocks");
    if (inode.inode === RESIZE_INODE) return structure("metadata/resize-inode");
    if (dump.quotaInodes.includes(inode.inode)) return structure("metadata/quota");
    if (inode.inode === dump.orphanFileInode) return structure("metadata/orphan-file");
    if ((inode.flags & EA_INODE_FLAG) !== 0) return structure("metadata/xattr-inode");
    if (inode.type === "directory") {
      return structure(
        index?.has(logical) === true ? "directory/directory-index" : "directory/directory-block",
      );
    }
    const slack = ["slack/file-slack"];
    // The cipher works on whole blocks: the rest of the last one may count as content.
    const past =
      (inode.flags & ENCRYPT_FLAG) !== 0 ? [...slack, "file/data", "file/symlink-target"] : slack;
    if (inode.type === "symlink")
      return { inside: ["file/symlink-target"], past, unwritten: ["slack/unwritten"] };
    if ((inode.flags & VERITY_FLAG) !== 0)
      return {
        inside: ["file/data"],
        past: ["file/verity", ...slack],
        unwritten: ["slack/unwritten"],
      };
    return { inside: ["file/data"], past, unwritten: ["slack/unwritten"] };
  }

  #journalUses(inode: InodeText, logical: number): string[] {
    if (logical === 0) return ["journal/journal-superblock"];
    const blocks = Math.ceil(inode.size / this.#dump.blockSize);
    if (logical < blocks - this.#dump.fastCommitBlocks) return ["journal/journal-log"];
    // The first mount turns the journal's own feature on; before it the area waits.
    return this.#dump.fastCommitOn
      ? ["journal/journal-fast-commit"]
      : ["journal/journal-log", "journal/journal-fast-commit"];
  }

  #add(block: number, claim: Claim): void {
    const claims = this.#blocks.get(block);
    if (claims === undefined) this.#blocks.set(block, [claim]);
    // The resize inode holds the reserved descriptors: two views of one thing.
    else if (claim.inode === RESIZE_INODE && claims[0]?.uses[0] === RESERVED)
      this.#blocks.set(block, [{ uses: [RESERVED], inode: RESIZE_INODE }]);
    else claims.push(claim);
  }

  ranges(): ExpectedRange[] {
    const { blockCount } = this.#dump;
    const ranges: ExpectedRange[] = [];
    for (let block = 0; block < blockCount; block += 1) ranges.push(...this.#rangesOf(block));
    return ranges;
  }

  #rangesOf(block: number): ExpectedRange[] {
    const { blockSize } = this.#dump;
    const offset = block * blockSize;
    const slot = this.#slots.get(block);
    if (slot !== undefined) return this.#slotRanges(offset, slot);
    const claims = this.#blocks.get(block);
    if (claims === undefined)
      return [{ offset, length: blockSize, owners: [this.#unclaimed(block)] }];
    const cuts = new Set([0, blockSize]);
    for (const claim of claims) if (claim.inside !== undefined) cuts.add(claim.inside);
    // A superblock is 1 KiB; in larger blocks what stands before the primary one is the boot block's, and the rest padding.
    const isSuper = claims.some((claim) => claim.uses[0]?.startsWith("metadata/superblock"));
    const sorted = [...cuts].sort((one, other) => one - other);
    return sorted.slice(0, -1).map((start, at) => {
      const owners = claims.map((claim) =>
        claim.rest !== undefined && start >= (claim.inside ?? 0) ? claim.rest : claim,
      );
      const loose = isSuper
        ? owners.map((owner) => ({
            ...owner,
            uses: [...owner.uses, "metadata/boot-block", "slack/padding"],
          }))
        : owners;
      return { offset: offset + start, length: (sorted[at + 1] as number) - start, owners: loose };
    });
  }

  #slotRanges(offset: number, firstInode: number): ExpectedRange[] {
    const { blockSize, inodeSize, freeInodes, firstInode: firstUser } = this.#dump;
    return Array.from({ length: blockSize / inodeSize }, (_, at) => {
      const inode = firstInode + at;
      const place = { offset: offset + at * inodeSize, length: inodeSize };
      if (!freeInodes.has(inode)) return { ...place, owners: [], slotOf: inode };
      return {
        ...place,
        owners: [
          {
            uses:
              inode < firstUser
                ? ["free/free-inode", "metadata/reserved-inode"]
                : ["free/free-inode"],
          },
        ],
      };
    });
  }

  #unclaimed(block: number): ExpectedOwner {
    const { clusterBlocks, freeBlocks } = this.#dump;
    if (freeBlocks.has(block)) return { uses: ["free/free-space"] };
    const first = block - (block % clusterBlocks);
    for (let at = first; at < first + clusterBlocks; at += 1) {
      if (this.has(at) || this.#slots.has(at))
        return { uses: ["slack/cluster-slack", "slack/padding"] };
    }
    return { uses: ["unknown/unknown"] };
  }
}

function sameRuns(one: readonly BlockRun[], other: readonly BlockRun[]): boolean {
  const text = (runs: readonly BlockRun[]): string => {
    const merged: { logical: number; block: number; count: number; unwritten: boolean }[] = [];
    for (const run of runs) {
      const last = merged.at(-1);
      const joins =
        last &&
        last.unwritten === run.unwritten &&
        last.logical + last.count === run.logical &&
        last.block + last.count === run.block;
      if (joins) last.count += run.count;
      else merged.push({ ...run });
    }
    return JSON.stringify(merged);
  };
  return text(one) === text(other);
}

function contradictionsOfExtents(image: string, inodes: ReadonlyMap<number, InodeText>): string[] {
  const mapped = [...inodes.values()].filter(
    (inode) => (inode.flags & EXTENTS_FLAG) !== 0 && inode.runs.length > 0,
  );
  const texts = debugfs(
    image,
    mapped.map((inode) => `dump_extents <${inode.inode}>`),
  );
  return mapped
    .filter((inode, at) => !sameRuns(inode.runs, parseDumpExtents(texts[at] as string)))
    .map((inode) => `inode ${inode.inode}: stat and dump_extents differ`);
}

function contradictionsOfIcheck(
  image: string,
  found: {
    readonly dump: DumpText;
    readonly inodes: ReadonlyMap<number, InodeText>;
    readonly claims: Claims;
  },
): string[] {
  const { dump, inodes, claims } = found;
  const blocks = Array.from(
    { length: dump.blockCount - dump.firstBlock },
    (_, at) => at + dump.firstBlock,
  );
  const owners = icheck(image, blocks);
  const contradictions: string[] = [];
  for (const block of blocks) {
    // icheck leaves out inodes without links.
    const claimed = claims.inodesOf(block).filter((inode) => (inodes.get(inode)?.links ?? 0) > 0);
    const owner = owners.get(block);
    const agree = owner === undefined ? claimed.length === 0 : claimed.includes(owner);
    if (!agree)
      contradictions.push(
        `block ${block}: icheck says ${owner ?? "none"}, stat says ${claimed.join(" ") || "none"}`,
      );
  }
  return contradictions;
}
