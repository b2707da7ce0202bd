/** AG headers: the sectors behind the superblock of every allocation group that say where its trees stand. */
import { checksumOk, uuidIs, viewOf } from "./checksum.ts";
import { agLength, headerBlocks } from "./geometry.ts";
import type { XfsVolume } from "./volume.ts";

/** Root of a tree of an AG. */
export interface TreeRoot {
  /** Block in the AG. */
  readonly block: number;
  /** Levels, 1 or more; 0 where there is no tree. */
  readonly levels: number;
}

/** AGF: free space, and with it the reverse map and reference counts. */
export interface FreeSpaceHeader {
  readonly byBlock: TreeRoot;
  readonly bySize: TreeRoot;
  readonly reverseMap: TreeRoot | undefined;
  readonly referenceCounts: TreeRoot | undefined;
  /** First and last place in use of the free list, which is a ring, and how many. */
  readonly listFirst: number;
  readonly listLast: number;
  readonly listCount: number;
}

/** AGI: inodes. */
export interface InodeHeader {
  readonly inodes: TreeRoot;
  readonly freeInodes: TreeRoot | undefined;
}

/** A header, or why it cannot be believed. */
export type HeaderResult<T> =
  | { readonly header: T; readonly why?: undefined }
  | { readonly header?: undefined; readonly why: string };

const AGF_MAGIC = 0x58414746;
const AGI_MAGIC = 0x58414749;
const AGFL_MAGIC = 0x5841464c;
/** Trees are never higher: 2^32 blocks, and at least two children a node. */
const LEVELS_MAX = 32;

async function sector(
  volume: XfsVolume,
  ag: number,
  which: {
    readonly index: number;
    readonly magic: number;
    readonly checksumAt: number;
    readonly stampAt: number;
  },
): Promise<Uint8Array | string> {
  const { sectorSize, blockSize, agBlocks, features, stamp } = volume.superblock;
  const offset = ag * agBlocks * blockSize + which.index * sectorSize;
  const name = ["superblock", "free-space header", "inode header", "free list"][which.index]!;
  const told = (what: string): string => {
    const message = `The ${name} of AG ${ag} ${what}`;
    volume.report({ range: { offset, length: sectorSize }, message });
    return message;
  };
  const read = await volume.readBytes(offset, sectorSize);
  if (read.bad.length > 0) return told("cannot be read");
  const bytes = read.bytes.slice();
  const view = viewOf(bytes);
  const headed = which.index < 3 || features.checksums;
  if (headed && view.getUint32(0) !== which.magic) return told("has no magic number");
  if (features.checksums) {
    if (!checksumOk(bytes, which.checksumAt)) return told("has a wrong checksum");
    if (!uuidIs(bytes, which.stampAt, stamp)) return told("is of another volume");
  }
  if (which.index < 3) {
    if (view.getUint32(8) !== ag) return told(`says that it is of AG ${view.getUint32(8)}`);
    if (view.getUint32(12) !== agLength(volume.superblock, ag))
      return told(`says that its AG has ${view.getUint32(12)} blocks`);
  } else if (headed && view.getUint32(4) !== ag)
    return told(`says that it is of AG ${view.getUint32(4)}`);
  return bytes;
}

function rootAt(
  volume: XfsVolume,
  view: DataView,
  at: { readonly root: number; readonly level: number },
): TreeRoot {
  const block = view.getUint32(at.root);
  const levels = view.getUint32(at.level);
  const sound = levels <= LEVELS_MAX && block >= headerBlocks(volume.superblock);
  return { block, levels: sound ? levels : 0 };
}

/** Reads the free-space header of an AG. */
export async function readFreeSpaceHeader(
  volume: XfsVolume,
  ag: number,
): Promise<HeaderResult<FreeSpaceHeader>> {
  const bytes = await sector(volume, ag, {
    index: 1,
    magic: AGF_MAGIC,
    checksumAt: 216,
    stampAt: 64,
  });
  if (typeof bytes === "string") return { why: bytes };
  const { features } = volume.superblock;
  const view = viewOf(bytes);
  return {
    header: {
      byBlock: rootAt(volume, view, { root: 16, level: 28 }),
      bySize: rootAt(volume, view, { root: 20, level: 32 }),
      reverseMap: features.reverseMap ? rootAt(volume, view, { root: 24, level: 36 }) : undefined,
      referenceCounts: features.reflink ? rootAt(volume, view, { root: 88, level: 92 }) : undefined,
      listFirst: view.getUint32(40),
      listLast: view.getUint32(44),
      listCount: view.getUint32(48),
    },
  };
}

/** Reads the inode header of an AG. */
export async function readInodeHeader(
  volume: XfsVolume,
  ag: number,
): Promise<HeaderResult<InodeHeader>> {
  const bytes = await sector(volume, ag, {
    index: 2,
    magic: AGI_MAGIC,
    checksumAt: 312,
    stampAt: 296,
  });
  if (typeof bytes === "string") return { why: bytes };
  const { features } = volume.superblock;
  const view = viewOf(bytes);
  return {
    header: {
      inodes: rootAt(volume, view, { root: 20, level: 24 }),
      freeInodes: features.freeInodeTree
        ? rootAt(volume, view, { root: 328, level: 332 })
        : undefined,
    },
  };
}

/** Blocks in the AG that its free list holds: kept for the trees of free space, nothing is in them. */
export async function readFreeList(
  volume: XfsVolume,
  ag: number,
  header: FreeSpaceHeader,
): Promise<HeaderResult<readonly number[]>> {
  const bytes = await sector(volume, ag, {
    index: 3,
    magic: AGFL_MAGIC,
    checksumAt: 32,
    stampAt: 8,
  });
  if (typeof bytes === "string") return { why: bytes };
  const { features, sectorSize } = volume.superblock;
  const start = features.checksums ? 36 : 0;
  const places = Math.floor((sectorSize - start) / 4);
  if (header.listCount > places || header.listFirst >= places)
    return {
      why: `The free list of AG ${ag} is said to hold ${header.listCount} of ${places} blocks`,
    };
  const view = viewOf(bytes);
  const blocks: number[] = [];
  for (let index = 0; index < header.listCount; index += 1)
    blocks.push(view.getUint32(start + ((header.listFirst + index) % places) * 4));
  return { header: blocks };
}
