/** Inode map: what all of one file stands on, from its extent tree, block map or inline data, as runs and as extents. */
import { cutExtents, fillHoles } from "../extents.ts";
import type { Extent, ExtentOptions } from "../file-map.ts";
import {
  INODE_FLAGS,
  isFastSymlink,
  MAP_LENGTH,
  MAP_OFFSET,
  mapKindOf,
  type Inode,
} from "./inode.ts";
import type { StaticMap } from "./static-map.ts";
import { TreeWalker, type HiddenPart, type MappedRun, type TreeRoot } from "./tree-walker.ts";
import type { Ext4Volume } from "./volume.ts";
import { wordsOf } from "../words.ts";
import { inlineRest } from "./xattr.ts";

/** The map of one inode, in blocks. */
export interface InodeMap {
  /** Ascending by logical block, not overlapping. */
  readonly runs: readonly Readonly<MappedRun>[];
  /** Blocks of the tree itself. */
  readonly nodes: readonly { readonly block: number; readonly kind: "extents" | "blocks" }[];
  readonly hidden: readonly HiddenPart[];
}

/** Reads the whole map of an inode; every checksum is verified. */
export async function mapInode(
  volume: Ext4Volume,
  statics: StaticMap,
  inode: Inode,
): Promise<InodeMap> {
  const runs: MappedRun[] = [];
  const nodes: { block: number; kind: "extents" | "blocks" }[] = [];
  const hidden: HiddenPart[] = [];
  const kind = mapKindOf(inode);
  if (kind === "none" || kind === "inline") return { runs, nodes, hidden };
  const root: TreeRoot = { inode: inode.number, generation: inode.generation, always: true };
  const walker = new TreeWalker<TreeRoot>(volume, statics, {
    run: (_, run) => runs.push({ ...run }),
    node: (_, node) => nodes.push({ block: node.block, kind: node.kind }),
    hidden: (_, part) => {
      hidden.push(part);
      volume.report({ inode: inode.number, message: part.why });
    },
    wants: () => true,
    keep: (kept) => kept,
  });
  walker.addRoot(root, { words: wordsOf(inode.slot), at: MAP_OFFSET / 4, kind });
  await walker.drain();
  runs.sort((one, other) => one.logical - other.logical);
  hidden.sort((one, other) => one.start - other.start);
  return { runs, nodes, hidden };
}

/** Where a file's bytes are that stand in its inode: the whole of a short symbolic link, or inline data. */
export function inlinePieces(inode: Inode): readonly Extent[] {
  const encrypted = (inode.flags & INODE_FLAGS.encrypt) !== 0 ? { encrypted: true } : {};
  const first = Math.min(MAP_LENGTH, inode.size);
  const pieces: Extent[] = [];
  if (first > 0)
    pieces.push({
      offset: 0,
      length: first,
      kind: "inline",
      device: inode.device + MAP_OFFSET,
      ...encrypted,
    });
  if (inode.size <= MAP_LENGTH) return pieces;
  const rest = inlineRest(inode);
  const length = Math.min(inode.size - MAP_LENGTH, rest?.length ?? 0);
  if (rest !== undefined && length > 0) {
    pieces.push({
      offset: MAP_LENGTH,
      length,
      kind: "inline",
      device: inode.device + rest.offset,
      ...encrypted,
    });
  }
  const at = MAP_LENGTH + length;
  if (at < inode.size) {
    // Linux reads zeros past the attribute's value (ext4_readpage_inline); mke2fs makes such files of zeros alone.
    const why = inode.partial
      ? "The rest of its inline data is in an attribute, and a part of the inode's slot cannot be read"
      : "The inode has no attribute that holds the rest of its inline data";
    const past = { offset: at, length: inode.size - at };
    pieces.push(rest === undefined ? { ...past, kind: "unknown", why } : { ...past, kind: "hole" });
  }
  return pieces;
}

/** Runs and hidden parts as extents of bytes, without gaps, up to `end`. */
function toExtents(
  map: InodeMap,
  inode: Inode,
  sizes: { blockSize: number; end: number },
): Extent[] {
  const { blockSize, end } = sizes;
  const encrypted = (inode.flags & INODE_FLAGS.encrypt) !== 0 ? { encrypted: true } : {};
  const parts: Extent[] = [
    ...map.runs.map((run): Extent => ({
      offset: run.logical * blockSize,
      length: run.count * blockSize,
      kind: run.unwritten ? "unwritten" : "data",
      device: run.block * blockSize,
      ...encrypted,
    })),
    ...map.hidden.map((part): Extent => ({
      offset: part.start * blockSize,
      length: (part.end - part.start) * blockSize,
      kind: "unknown",
      why: part.why,
    })),
  ];
  return fillHoles(parts, end);
}

/** The extents of a byte range of one file, as `FileMap.extents` promises them. */
export async function extentsOf(
  volume: Ext4Volume,
  statics: StaticMap,
  asked: { inode: Inode; options: ExtentOptions },
): Promise<readonly Extent[]> {
  const { inode, options } = asked;
  const inside = mapKindOf(inode) === "inline" || isFastSymlink(inode);
  const map = inside ? undefined : await mapInode(volume, statics, inode);
  const { blockSize } = volume.superblock;
  const size = mapKindOf(inode) === "none" && !inside ? 0 : inode.size;
  const all =
    map === undefined ? [...inlinePieces(inode)] : toExtents(map, inode, { blockSize, end: size });
  return cutExtents(all, size, options);
}
