/**
 * FastCommitTree: the extents of one inode, in the nodes they stand in, and what ranges of a fast commit do to them.
 *
 * Linux changes the tree in place (ext4_fc_replay_add_range, ext4_ext_replay_update_ex, ext4_ext_remove_space), e2fsck builds it anew (ext4_modify_extent_list). The
 * mapping is the same; the blocks of the tree are only where no new one is needed. So a change must fit the nodes there are: four extents in the inode, or one
 * leaf with room. Where it does not, the replay would choose a block for the tree, and that inode cannot be told.
 */
import { crc32c } from "../../base/index.ts";
import { EXTENT_MAGIC, extentChecksumOk, LOGICAL_END, WRITTEN_LENGTH_MAX } from "./extent-tree.ts";
import { entryBlock, entryChild, entryLength, entryLogical, nodeDepth } from "./extent-tree.ts";
import { nodeEntries, whyNodeWrong, type NodeWords } from "./extent-tree.ts";
import type { ChangedBlocks } from "./fast-commit-blocks.ts";
import { wordsOf } from "../words.ts";

const HEADER = 12;
const ENTRY = 12;
const ROOT_MAX = 4;
/** Bytes of an inode's map. */
const ROOT_BYTES = 60;

/** One extent. Blocks; at most 32768 written ones, or 32767 unwritten. */
export interface FastCommitExtent {
  readonly logical: number;
  readonly block: number;
  readonly count: number;
  readonly unwritten: boolean;
}

/** Blocks of the volume. */
export interface BlockRun {
  readonly block: number;
  readonly count: number;
}

/** A range to map or, without a block, to unmap. */
export interface RangeChange {
  readonly logical: number;
  readonly count: number;
  readonly block?: number;
  readonly unwritten?: boolean;
}

interface Leaf {
  /** `undefined`: the leaf is the inode itself. */
  readonly block: number | undefined;
  start: number;
  readonly max: number;
  extents: FastCommitExtent[];
  changed: boolean;
}

/** What a tree is read by. */
export interface TreeRules {
  readonly blocks: ChangedBlocks;
  /** `inodeSeed` of the inode, where leaves have checksums. */
  readonly seed: number | undefined;
  mayOwn(block: number, count: number): boolean;
}

/** A tree of depth 0 or 1. */
export class FastCommitTree {
  #leaves: Leaf[];

  constructor(leaves: Leaf[]) {
    this.#leaves = leaves;
  }

  /** Every block that the tree maps or stands in. */
  *runs(): Generator<BlockRun> {
    for (const leaf of this.#leaves) {
      if (leaf.block !== undefined) yield { block: leaf.block, count: 1 };
      for (const { block, count } of leaf.extents) yield { block, count };
    }
  }

  /** All extents, ascending. */
  *extents(): Generator<FastCommitExtent> {
    for (const leaf of this.#leaves) yield* leaf.extents;
  }

  /** Maps or unmaps a range. @returns why it cannot be told; the tree is then unchanged */
  change(range: RangeChange): string | undefined {
    const end = range.logical + range.count;
    const next = this.#leaves.map((leaf) => cut(leaf.extents, range.logical, end));
    if (range.block !== undefined) {
      const at = Math.max(
        0,
        this.#leaves.findLastIndex((leaf) => leaf.start <= range.logical),
      );
      const after = this.#leaves[at + 1];
      if (after !== undefined && after.start < end)
        return "a new extent goes across two blocks of its extent tree";
      next[at] = insert(next[at] as FastCommitExtent[], {
        logical: range.logical,
        count: range.count,
        block: range.block,
        unwritten: range.unwritten === true,
      });
    }
    for (const [at, leaf] of this.#leaves.entries()) {
      const count = (next[at] as FastCommitExtent[]).length;
      // In a leaf two entries stay spare: on its way a replay may hold more extents than in the end, and would split the leaf then.
      const most = leaf.block === undefined ? leaf.max : leaf.max - 2;
      if (count > most && count > leaf.extents.length)
        return "its extent tree would need another block";
    }
    for (const [at, leaf] of this.#leaves.entries()) {
      const extents = next[at] as FastCommitExtent[];
      if (extents === leaf.extents) continue;
      leaf.extents = extents;
      leaf.changed = true;
      const first = extents[0];
      if (first !== undefined && first.logical < leaf.start) leaf.start = first.logical;
    }
    this.#shrink();
    return undefined;
  }

  /**
   * Leaves without extents go, and a last one that fits moves into the inode (kernel: ext4_ext_rm_idx, ext4_ext_try_to_merge_up). At once: a tree that grows again
   * takes another block than it had.
   */
  #shrink(): void {
    const left = this.#leaves.filter((leaf) => leaf.extents.length > 0);
    const [only] = left;
    if (left.length < 2 && (only === undefined || only.extents.length <= ROOT_MAX)) {
      const extents = only?.extents ?? [];
      this.#leaves = [{ block: undefined, start: 0, max: ROOT_MAX, extents, changed: true }];
    } else this.#leaves = left;
  }

  /** Writes the tree: its root to `map`, 60 bytes, its leaves to `blocks`. @returns why it cannot be told */
  async store(map: Uint8Array, rules: TreeRules): Promise<string | undefined> {
    const [only] = this.#leaves;
    if (only?.block === undefined) {
      writeNode(map, { depth: 0, max: ROOT_MAX });
      writeExtents(map, only?.extents ?? []);
      return undefined;
    }
    for (const leaf of this.#leaves) {
      if (!leaf.changed || leaf.block === undefined) continue;
      const bytes = await rules.blocks.read(leaf.block);
      if (bytes === undefined) return "a block of its extent tree is unreadable";
      bytes.fill(0, HEADER, HEADER + leaf.max * ENTRY);
      writeNode(bytes, { depth: 0, max: leaf.max });
      writeExtents(bytes, leaf.extents);
      const tail = HEADER + leaf.max * ENTRY;
      if (rules.seed !== undefined)
        viewOf(bytes).setUint32(tail, crc32c(bytes.subarray(0, tail), rules.seed), true);
      rules.blocks.write(leaf.block, bytes);
    }
    writeNode(map, { depth: 1, max: ROOT_MAX });
    writeIndex(map, this.#leaves);
    return undefined;
  }
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** What is left of extents outside `[start, end)`; the same array where nothing lies in it. */
function cut(extents: FastCommitExtent[], start: number, end: number): FastCommitExtent[] {
  if (!extents.some(({ logical, count }) => logical < end && logical + count > start))
    return extents;
  const left: FastCommitExtent[] = [];
  for (const extent of extents) {
    const stop = extent.logical + extent.count;
    if (extent.logical >= end || stop <= start) {
      left.push(extent);
      continue;
    }
    if (extent.logical < start) left.push({ ...extent, count: start - extent.logical });
    if (stop > end) {
      const skipped = end - extent.logical;
      left.push({ ...extent, logical: end, block: extent.block + skipped, count: stop - end });
    }
  }
  return left;
}

/** Puts an extent where there is none, and joins it with its neighbours (kernel: ext4_can_extents_be_merged). */
function insert(
  extents: readonly FastCommitExtent[],
  extent: FastCommitExtent,
): FastCommitExtent[] {
  const at = extents.findIndex(({ logical }) => logical > extent.logical);
  const index = at < 0 ? extents.length : at;
  const before = extents.slice(0, index);
  const after = extents.slice(index);
  let joined = extent;
  const previous = before.at(-1);
  if (previous !== undefined && joins(previous, joined)) {
    joined = { ...previous, count: previous.count + joined.count };
    before.pop();
  }
  const [next] = after;
  if (next !== undefined && joins(joined, next)) {
    joined = { ...joined, count: joined.count + next.count };
    after.shift();
  }
  return [...before, joined, ...after];
}

function joins(one: FastCommitExtent, next: FastCommitExtent): boolean {
  const most = one.unwritten ? WRITTEN_LENGTH_MAX - 1 : WRITTEN_LENGTH_MAX;
  return (
    one.logical + one.count === next.logical &&
    one.block + one.count === next.block &&
    one.unwritten === next.unwritten &&
    one.count + next.count <= most
  );
}

function writeNode(
  bytes: Uint8Array,
  { depth, max }: { readonly depth: number; readonly max: number },
): void {
  const view = viewOf(bytes);
  view.setUint16(0, EXTENT_MAGIC, true);
  view.setUint16(4, max, true);
  view.setUint16(6, depth, true);
}

function writeExtents(bytes: Uint8Array, extents: readonly FastCommitExtent[]): void {
  const view = viewOf(bytes);
  view.setUint16(2, extents.length, true);
  for (const [entry, { logical, block, count, unwritten }] of extents.entries()) {
    const at = HEADER + entry * ENTRY;
    view.setUint32(at, logical, true);
    view.setUint16(at + 4, unwritten ? count + WRITTEN_LENGTH_MAX : count, true);
    view.setUint16(at + 6, Math.floor(block / 2 ** 32), true);
    view.setUint32(at + 8, block % 2 ** 32, true);
  }
}

function writeIndex(bytes: Uint8Array, leaves: readonly Leaf[]): void {
  const view = viewOf(bytes);
  view.setUint16(2, leaves.length, true);
  for (const [entry, leaf] of leaves.entries()) {
    const at = HEADER + entry * ENTRY;
    const block = leaf.block ?? 0;
    view.setUint32(at, leaf.start, true);
    view.setUint32(at + 4, block % 2 ** 32, true);
    view.setUint16(at + 8, Math.floor(block / 2 ** 32), true);
    view.setUint16(at + 10, 0, true);
  }
}

function readLeafExtents(node: NodeWords): FastCommitExtent[] {
  return Array.from({ length: nodeEntries(node) }, (_, entry) => {
    const raw = entryLength(node, entry);
    const unwritten = raw > WRITTEN_LENGTH_MAX;
    return {
      logical: entryLogical(node, entry),
      block: entryBlock(node, entry),
      count: unwritten ? raw - WRITTEN_LENGTH_MAX : raw,
      unwritten,
    };
  });
}

/** Reads the tree whose root is in `map`, 60 bytes of an inode. @returns why it cannot be told, as text */
export async function readTree(
  map: Uint8Array,
  rules: TreeRules,
): Promise<FastCommitTree | string> {
  const root: NodeWords = { words: wordsOf(map.slice()), at: 0, capacity: ROOT_BYTES / 4 };
  const mayOwn = rules.mayOwn.bind(rules);
  const why = whyNodeWrong(root, { depth: -1, start: 0, end: LOGICAL_END, mayOwn });
  if (why !== undefined) return `its extent root ${why}`;
  if (nodeDepth(root) === 0) {
    const extents = readLeafExtents(root);
    return new FastCommitTree([
      { block: undefined, start: 0, max: ROOT_MAX, extents, changed: false },
    ]);
  }
  if (nodeDepth(root) > 1) return "its extent tree has more than one level of blocks";
  const leaves: Leaf[] = [];
  for (let entry = 0; entry < nodeEntries(root); entry += 1) {
    const leaf = await readLeaf(rules, {
      block: entryChild(root, entry),
      start: entryLogical(root, entry),
      end: entry + 1 < nodeEntries(root) ? entryLogical(root, entry + 1) : LOGICAL_END,
    });
    if (typeof leaf === "string") return leaf;
    leaves.push(leaf);
  }
  return new FastCommitTree(leaves);
}

async function readLeaf(
  rules: TreeRules,
  place: { readonly block: number; readonly start: number; readonly end: number },
): Promise<Leaf | string> {
  const { block, start, end } = place;
  const bytes = await rules.blocks.read(block);
  if (bytes === undefined) return `block ${block} of its extent tree is unreadable`;
  const node: NodeWords = { words: wordsOf(bytes), at: 0, capacity: bytes.length / 4 };
  const mayOwn = rules.mayOwn.bind(rules);
  const why = whyNodeWrong(node, { depth: 0, start, end, mayOwn });
  if (why !== undefined) return `block ${block} of its extent tree ${why}`;
  if (rules.seed !== undefined && !extentChecksumOk(bytes, rules.seed))
    return `block ${block} of its extent tree has a wrong checksum`;
  const max = (node.words[1] as number) & 0xffff;
  return { block, start, max, extents: readLeafExtents(node), changed: false };
}
