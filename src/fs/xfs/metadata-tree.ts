/**
 * Metadata tree: walks a B+tree that a metadata inode holds in its data fork: the reverse map and the reference counts of a group of the real-time device
 * (feature metadir). What its records say is of that device; here only the blocks of the tree matter, which are of this one. Leaves are told, and not read.
 *
 * What can go wrong is what can go wrong in any tree: blocks that are poisoned, wrong, another inode's, or in a circle. What fails hides only what is below it.
 */
import { viewOf, wideAt } from "./checksum.ts";
import { whyNotTreeBlock, type ForkVisitor } from "./fork-map.ts";
import { plainBlock } from "./geometry.ts";
import type { Inode, MetadataKind } from "./inode.ts";
import type { XfsVolume } from "./volume.ts";

interface Form {
  readonly magic: number;
  /** Bytes of all keys of a child. */
  readonly keys: number;
  /** The same as the inode's root counts them, to say how many children it has room for. */
  readonly rootKeys: number;
}

/** Kernel: xfs_rtrmapbt_droot_maxrecs, xfs_rtrefcountbt_droot_maxrecs, which reckons with two keys although there is one. */
const FORMS: Partial<Readonly<Record<MetadataKind, Form>>> = {
  "realtime-reverse-map": { magic: 0x4d41_5052, keys: 40, rootKeys: 40 },
  "realtime-reference-counts": { magic: 0x5243_4e54, keys: 4, rootKeys: 8 },
};

const HEADER = 72;
const LEVELS_MAX = 16;
const EVERYTHING = { start: 0, end: 2 ** 53 };

interface Step {
  /** As the media number it. */
  readonly at: number;
  readonly level: number;
}

/** Walks the tree of a metadata inode. */
export async function walkMetadataTree(
  volume: XfsVolume,
  inode: Inode,
  visitor: Pick<ForkVisitor, "node" | "hidden">,
): Promise<void> {
  const form = inode.metadata === undefined ? undefined : FORMS[inode.metadata];
  const stack = form === undefined ? undefined : rootChildren(inode, form);
  if (form === undefined || stack === undefined) {
    const why = `Inode ${inode.number} has a tree of metadata whose root cannot be`;
    visitor.hidden?.({ ...EVERYTHING, why });
    return;
  }
  const seen = new Set<number>();
  for (let step = stack.pop(); step !== undefined; step = stack.pop()) {
    const found = await visit(volume, { inode, form, step, seen }, visitor);
    if (typeof found !== "string") {
      for (const child of found) stack.push(child);
      continue;
    }
    const message = `Block ${step.at}, level ${step.level} of the tree of metadata inode ${inode.number}, ${found}`;
    volume.report({ inode: inode.number, message: `${message}: what is below it is hidden` });
    visitor.hidden?.({ ...EVERYTHING, why: message });
  }
}

/** Children of the root, which stands in the inode; `undefined` where it cannot be one. A root without levels holds records alone. */
function rootChildren({ slot, data }: Inode, { keys, rootKeys }: Form): Step[] | undefined {
  const view = viewOf(slot);
  const level = view.getUint16(data.start);
  const count = view.getUint16(data.start + 2);
  if (level === 0) return [];
  const most = Math.floor((data.length - 4) / (rootKeys + 8));
  if (level > LEVELS_MAX || count > most) return undefined;
  return childrenAt(view, data.start + 4 + most * keys, { count, level: level - 1 });
}

interface Visit {
  readonly inode: Inode;
  readonly form: Form;
  readonly step: Step;
  readonly seen: Set<number>;
}

/** Children of a block, or what is wrong with it. */
async function visit(
  volume: XfsVolume,
  { inode, form, step, seen }: Visit,
  visitor: Pick<ForkVisitor, "node">,
): Promise<readonly Step[] | string> {
  const block = plainBlock(volume.superblock, step.at, 1);
  if (block === undefined) return "is outside the file system";
  if (seen.has(block)) return "is in it twice";
  seen.add(block);
  if (visitor.node?.(block) === false) return "is one more than the volume has blocks for";
  if (step.level === 0) return [];
  const read = await volume.readBlocks(block, 1);
  if (read.bad.length > 0) return "cannot be read";
  const place = { bytes: read.bytes, block, inode: inode.number, magic: form.magic };
  const why = whyNotTreeBlock(volume, place);
  if (why !== undefined) return why;
  const view = viewOf(read.bytes);
  const count = view.getUint16(6);
  const most = Math.floor((volume.superblock.blockSize - HEADER) / (form.keys + 8));
  if (view.getUint16(4) !== step.level) return `says that it is at level ${view.getUint16(4)}`;
  if (count > most) return `says that it holds ${count} children, of which ${most} fit`;
  return childrenAt(view, HEADER + most * form.keys, { count, level: step.level - 1 });
}

function childrenAt(
  view: DataView,
  pointers: number,
  { count, level }: { readonly count: number; readonly level: number },
): Step[] {
  return Array.from({ length: count }, (_, index) => ({
    at: wideAt(view, pointers + index * 8),
    level,
  }));
}
