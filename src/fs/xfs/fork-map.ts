/**
 * Fork map: walks one fork of an inode, from its list of extents or its B+tree, and tells every run of blocks and every block of the tree.
 *
 * What can go wrong: an extent may leave its AG, a tree block may be poisoned, wrong, another inode's, or point in a circle. Levels go down by
 * one, a block is visited once, and on v5 checksum, address, owner and volume must be right: what fails hides only what is below it.
 */
import { checksumOk, uuidIs, viewOf, wideAt } from "./checksum.ts";
import { plainBlock } from "./geometry.ts";
import type { Fork, Inode } from "./inode.ts";
import type { XfsVolume } from "./volume.ts";

/** A run of blocks of a fork. Blocks are plain numbers. */
export interface MappedRun {
  readonly logical: number;
  readonly block: number;
  readonly count: number;
  readonly unwritten: boolean;
}

/** A part of a fork that cannot be told, in logical blocks. */
export interface HiddenPart {
  readonly start: number;
  readonly end: number;
  readonly why: string;
}

/** What a walk tells. */
export interface ForkVisitor {
  readonly run?: (run: MappedRun) => void;
  /** A block of the tree, whether it can be read or not. @returns false to leave what is below it hidden */
  readonly node?: (block: number) => boolean | void;
  readonly hidden?: (part: HiddenPart) => void;
}

/** Logical blocks have 54 bits; what is past these is no file's. */
const LOGICAL_END = 2 ** 53;
const LEVELS_MAX = 16;
/** Bytes of a tree block's header, v4 and v5. */
const HEADERS = [24, 72] as const;
const MAGICS = [0x424d4150, 0x424d4133] as const;

/** One walk; `foreign`: block numbers are of another device, and are told as they are. */
interface Walk {
  readonly volume: XfsVolume;
  readonly inode: Inode;
  readonly fork: Fork;
  readonly visitor: ForkVisitor;
  readonly foreign: boolean;
}

/** Which fork of which inode. */
export interface ForkPlace {
  readonly inode: Inode;
  readonly fork: "data" | "attributes";
}

/** Walks the data fork or the attribute fork. A fork that is kept in the inode has no runs. Of real-time files, block numbers are those of the real-time device. */
export async function walkFork(
  volume: XfsVolume,
  place: ForkPlace,
  visitor: ForkVisitor,
): Promise<void> {
  const { format } = place.inode[place.fork];
  if (format === "extents") listedExtents(volume, place, visitor);
  else if (format === "tree") await walkTree(walkOf(volume, place, visitor));
}

function walkOf(volume: XfsVolume, { inode, fork }: ForkPlace, visitor: ForkVisitor): Walk {
  const foreign = fork === "data" && inode.realtime;
  return { volume, inode, fork: inode[fork], visitor, foreign };
}

/** The same of a fork that is a list of extents in the inode. No promise: nearly every inode has one. */
export function listedExtents(volume: XfsVolume, place: ForkPlace, visitor: ForkVisitor): void {
  const walk = walkOf(volume, place, visitor);
  const { inode, fork } = walk;
  const most = Math.floor(fork.length / 16);
  if (fork.extents > most) {
    const why = `Inode ${inode.number} says that it has ${fork.extents} extents, of which ${most} fit`;
    visitor.hidden?.({ start: 0, end: LOGICAL_END, why });
    return;
  }
  const view = viewOf(inode.slot);
  for (let index = 0; index < fork.extents; index += 1)
    extentAt(walk, view, fork.start + index * 16);
}

/** Tells one record: 1 bit unwritten, 54 logical block, 52 block, 21 count. */
function extentAt({ volume, inode, visitor, foreign }: Walk, view: DataView, at: number): void {
  const first = view.getUint32(at);
  const second = view.getUint32(at + 4);
  const fourth = view.getUint32(at + 12);
  const logical = (first & 0x7fff_ffff) * 2 ** 23 + (second >>> 9);
  const start = (second & 0x1ff) * 2 ** 43 + view.getUint32(at + 8) * 2 ** 11 + (fourth >>> 21);
  const count = fourth & 0x1f_ffff;
  const block = foreign ? start : plainBlock(volume.superblock, start, count);
  if (block !== undefined && count > 0 && logical + count < LOGICAL_END) {
    visitor.run?.({ logical, block, count, unwritten: first >>> 31 === 1 });
    return;
  }
  const why = `Inode ${inode.number} has an extent of ${count} blocks at ${start}, which are not of one AG`;
  visitor.hidden?.({ start: logical, end: logical + Math.max(1, count), why });
}

interface Step {
  readonly start: number;
  readonly level: number;
  readonly first: number;
  /** Logical block behind the last one that can be below it. */
  readonly end: number;
}

async function walkTree(walk: Walk): Promise<void> {
  const { inode, fork, visitor, volume } = walk;
  const view = viewOf(inode.slot);
  const level = view.getUint16(fork.start);
  const count = view.getUint16(fork.start + 2);
  const most = Math.floor((fork.length - 4) / 16);
  if (level < 1 || level > LEVELS_MAX || count > most || count === 0) {
    const why = `Inode ${inode.number} has a tree of ${level} levels whose root has ${count} children, of which ${most} fit`;
    visitor.hidden?.({ start: 0, end: LOGICAL_END, why });
    return;
  }
  const keys = fork.start + 4;
  const seen = new Set<number>();
  const stack = childrenOf(
    view,
    { keys, pointers: keys + most * 8, count },
    { level, end: LOGICAL_END },
  );
  for (let step = stack.pop(); step !== undefined; step = stack.pop()) {
    const block = plainBlock(volume.superblock, step.start, 1);
    const why =
      block === undefined
        ? "is outside the file system"
        : seen.has(block)
          ? "is in it twice"
          : await visit(walk, { step, block, stack });
    if (block !== undefined) seen.add(block);
    if (why === undefined) continue;
    const message = `Block ${block ?? step.start}, level ${step.level} of the map of inode ${inode.number}, ${why}`;
    const { blockSize } = volume.superblock;
    const at =
      block === undefined ? {} : { range: { offset: block * blockSize, length: blockSize } };
    volume.report({
      ...at,
      inode: inode.number,
      message: `${message}: the part of the file below it is hidden`,
    });
    visitor.hidden?.({ start: step.first, end: step.end, why: message });
  }
}

/** The children of a node as steps, the first one last, to be taken from the end. */
function childrenOf(
  view: DataView,
  {
    keys,
    pointers,
    count,
  }: { readonly keys: number; readonly pointers: number; readonly count: number },
  { level, end }: { readonly level: number; readonly end: number },
): Step[] {
  const steps: Step[] = [];
  let next = end;
  for (let index = count - 1; index >= 0; index -= 1) {
    const first = Math.min(next, wideAt(view, keys + index * 8));
    steps.push({ start: wideAt(view, pointers + index * 8), level: level - 1, first, end: next });
    next = first;
  }
  return steps;
}

async function visit(
  walk: Walk,
  { step, block, stack }: { readonly step: Step; readonly block: number; readonly stack: Step[] },
): Promise<string | undefined> {
  const { volume, inode, visitor } = walk;
  const { blockSize, features } = volume.superblock;
  if (visitor.node?.(block) === false) return "is one more than the volume has blocks for";
  const read = await volume.readBlocks(block, 1);
  if (read.bad.length > 0) return "cannot be read";
  const why = whyNotTreeBlock(volume, { bytes: read.bytes, block, inode: inode.number });
  if (why !== undefined) return why;
  const view = viewOf(read.bytes);
  if (view.getUint16(4) !== step.level) return `says that it is at level ${view.getUint16(4)}`;
  const header = HEADERS[features.checksums ? 1 : 0];
  const count = view.getUint16(6);
  const most = Math.floor((blockSize - header) / 16);
  if (count > most) return `says that it holds ${count} records, of which ${most} fit`;
  if (step.level === 0) {
    for (let index = 0; index < count; index += 1) extentAt(walk, view, header + index * 16);
    return undefined;
  }
  const places = { keys: header, pointers: header + most * 8, count };
  for (const child of childrenOf(view, places, { level: step.level, end: step.end }))
    stack.push(child);
  return undefined;
}

/** What is wrong with a block of a fork's tree; `undefined` where it can be believed. */
export function whyNotTreeBlock(
  { superblock }: XfsVolume,
  {
    bytes,
    block,
    inode,
    magic = MAGICS[superblock.features.checksums ? 1 : 0],
  }: {
    readonly bytes: Uint8Array;
    readonly block: number;
    readonly inode: number;
    /** Of the tree. @default of a map of extents */
    readonly magic?: number;
  },
): string | undefined {
  const view = viewOf(bytes);
  const { checksums } = superblock.features;
  if (view.getUint32(0) !== magic) return "is no block of it";
  if (!checksums) return undefined;
  if (!checksumOk(bytes, 64)) return "has a wrong checksum";
  if (wideAt(view, 24) !== (block * superblock.blockSize) / 512)
    return "says that it stands elsewhere";
  if (!uuidIs(bytes, 40, superblock.stamp)) return "is of another volume";
  return wideAt(view, 56) === inode ? undefined : "says that it is another inode's";
}
