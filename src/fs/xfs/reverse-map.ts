/** Reverse map: who owns each extent of an allocation group, by the rmap tree (feature rmapbt). */
import type { TreeRoot } from "./ag-headers.ts";
import { walkAgTree } from "./ag-tree.ts";
import { agLength, headerBlocks } from "./geometry.ts";
import { wideAt } from "./checksum.ts";
import type { XfsVolume } from "./volume.ts";

/** Owners that are no inode, as negative numbers (kernel: XFS_RMAP_OWN_*). */
export const OWNERS = {
  unknown: -2,
  headers: -3,
  log: -4,
  /** The trees of free space, the reverse map itself, and what is kept for them. */
  freeSpace: -5,
  inodeTrees: -6,
  inodes: -7,
  referenceCounts: -8,
  copyOnWrite: -9,
} as const;

/** One record. */
export interface ReverseRecord {
  /** Block in the AG. */
  readonly block: number;
  readonly count: number;
  /** An inode, or one of `OWNERS`. */
  readonly owner: number;
  /** First logical block in the fork. */
  readonly logical: number;
  readonly attributes: boolean;
  /** A block of the fork's tree. */
  readonly tree: boolean;
  readonly unwritten: boolean;
}

/** What a walk tells. */
export interface ReverseVisitor {
  /** Whether a record matters, by its blocks in the AG and their owner: there are as many as extents. @default all do */
  readonly matters?: (block: number, count: number, owner: number) => boolean;
  readonly record: (record: ReverseRecord) => void;
  /** Whether any of some blocks of the AG matters: parts of the tree that tell of no such block are not read. @default all do */
  readonly near?: (block: number, count: number) => boolean;
  readonly hidden?: (why: string) => void;
}

/** Walks the reverse map of an AG. Records that cannot be meant are told as hidden. @returns whether all that was looked at could be read */
export async function walkReverseMap(
  volume: XfsVolume,
  { ag, root }: { readonly ag: number; readonly root: TreeRoot },
  visitor: ReverseVisitor,
): Promise<boolean> {
  const { near } = visitor;
  let sound = true;
  const first = headerBlocks(volume.superblock);
  const end = agLength(volume.superblock, ag);
  const whole = await walkAgTree(
    volume,
    { ag, kind: "reverse-map", root },
    {
      ...(near === undefined ? {} : { descends: (view, at) => nearKeys(view, at, near) }),
      ...(visitor.hidden === undefined ? {} : { hidden: visitor.hidden }),
      record: (view, at) => {
        const block = view.getUint32(at);
        const count = view.getUint32(at + 4);
        const owner = ownerAt(view, at + 8);
        if (owner !== OWNERS.headers && (count === 0 || block < first || block + count > end)) {
          sound = false;
          visitor.hidden?.(
            `The reverse map of AG ${ag} has ${count} blocks at ${block}, which are outside it`,
          );
        } else if (visitor.matters?.(block, count, owner) !== false)
          visitor.record(recordAt(view, at, owner));
      },
    },
  );
  return whole && sound;
}

/** Each child has two keys, the lowest and the highest block that it tells of. */
function nearKeys(view: DataView, at: number, near: NonNullable<ReverseVisitor["near"]>): boolean {
  const low = view.getUint32(at);
  return near(low, view.getUint32(at + 20) - low + 1);
}

function ownerAt(view: DataView, at: number): number {
  const high = view.getUint32(at);
  return high === 0xffff_ffff ? view.getInt32(at + 4) : wideAt(view, at);
}

function recordAt(view: DataView, at: number, owner: number): ReverseRecord {
  const flags = view.getUint32(at + 16);
  return {
    block: view.getUint32(at),
    count: view.getUint32(at + 4),
    owner,
    logical: (flags & 0x003f_ffff) * 2 ** 32 + view.getUint32(at + 20),
    attributes: flags >>> 31 === 1,
    tree: ((flags >>> 30) & 1) === 1,
    unwritten: ((flags >>> 29) & 1) === 1,
  };
}
