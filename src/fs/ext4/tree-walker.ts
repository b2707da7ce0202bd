/**
 * TreeWalker: goes down the extent trees and block maps of many inodes at once, reading their nodes in order of block number.
 *
 * What can be wrong: a node that is poisoned, is no node, has a wrong checksum, points outside the volume, at metadata, at
 * itself, or into the tree of another inode. Each hides its own part of its own file, told to the sink. Work is bounded: depth falls
 * at every step, so no cycle is followed; a node reached again is read again at most `REVISITS_MAX` times in a walk, because
 * without checksums nobody can say which of two inodes is the owner, and both must be told.
 *
 * A leaf's checksum is computed only where something in it matters to the sink: most leaves name nothing that was asked for.
 */
import {
  blocksBelow,
  DIRECT_POINTERS,
  forEachRun,
  indirectStarts,
  ROOT_POINTERS,
  whyPointersWrong,
  type Pointers,
} from "./block-map.ts";
import {
  entryBlock,
  entryChild,
  entryLength,
  entryLogical,
  extentChecksumOk,
  LOGICAL_END,
  nodeDepth,
  nodeEntries,
  whyNodeWrong,
  WRITTEN_LENGTH_MAX,
  type NodeBounds,
  type NodeWords,
} from "./extent-tree.ts";
import { hasFeature } from "./features.ts";
import { BAD_BLOCKS_INODE, inodeSeed, RESIZE_INODE } from "./inode.ts";
import type { StaticMap } from "./static-map.ts";
import type { BlockRead, Ext4Volume } from "./volume.ts";
import { wordsOf } from "../words.ts";

/** An inode whose map is walked. The walker keeps what `sink.keep` returns. */
export interface TreeRoot {
  readonly inode: number;
  readonly generation: number;
  /** Whether every leaf matters, so that every checksum is computed. */
  readonly always: boolean;
}

/** A run of blocks of a file. One object, reused at each call: copy what must last. */
export interface MappedRun {
  logical: number;
  block: number;
  count: number;
  unwritten: boolean;
}

/** A part of a file whose map cannot be read. Logical blocks, half-open. */
export interface HiddenPart {
  readonly start: number;
  readonly end: number;
  /** The node that hides it; `undefined` where it is the inode itself. */
  readonly block: number | undefined;
  readonly why: string;
}

/** Who hears what the walker finds. */
export interface TreeSink<Root extends TreeRoot> {
  run(root: Root, run: Readonly<MappedRun>): void;
  /** A block of the tree itself; level 1 is the lowest. */
  node(
    root: Root,
    node: { readonly block: number; readonly logical: number; readonly kind: "extents" | "blocks" },
  ): void;
  hidden(root: Root, part: HiddenPart): void;
  /** Whether a run matters so much that its leaf's checksum must be computed. */
  wants(block: number, count: number): boolean;
  /** A copy of `root` that lasts. */
  keep(root: Root): Root;
}

interface Waiting<Root> {
  readonly root: Root;
  readonly block: number;
  /** Depth of an extent node, or level of a block map's (1: its pointers name data). */
  readonly depth: number;
  readonly start: number;
  readonly end: number;
  readonly kind: "extents" | "blocks";
}

const REVISITS_MAX = 4096;
const BATCH_NODES = 4096;
const READ_BLOCKS_MAX = 512;
const GAP_BLOCKS = 8;

/** Walks the maps of inodes: `addRoot` each, `drain` now and then. */
export class TreeWalker<Root extends TreeRoot> {
  readonly #volume: Ext4Volume;
  readonly #static: StaticMap;
  readonly #sink: TreeSink<Root>;
  readonly #checksums: boolean;
  readonly #waiting: Waiting<Root>[] = [];
  readonly #visited = new Map<number, number>();
  readonly #run: MappedRun = { logical: 0, block: 0, count: 0, unwritten: false };
  #revisits = 0;

  constructor(volume: Ext4Volume, statics: StaticMap, sink: TreeSink<Root>) {
    this.#volume = volume;
    this.#static = statics;
    this.#sink = sink;
    this.#checksums = hasFeature(volume.superblock, "metadata_csum");
  }

  /** Nodes that wait to be read. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /** Reads the 15 words of an inode's map, from `at` on; what lies deeper waits for `drain`. */
  addRoot(
    root: Root,
    map: { readonly words: Uint32Array; readonly at: number; readonly kind: "extents" | "blocks" },
  ): void {
    if (map.kind === "blocks")
      this.#addBlockRoot(root, { words: map.words, at: map.at, count: ROOT_POINTERS });
    else {
      const node: NodeWords = { words: map.words, at: map.at, capacity: ROOT_POINTERS };
      this.#readExtentNode(root, node, {
        depth: -1,
        start: 0,
        end: LOGICAL_END,
        block: undefined,
        mayOwn: this.#mayOwn(root),
      });
    }
  }

  /** Reads everything that waits. */
  async drain(): Promise<void> {
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.splice(Math.max(0, this.#waiting.length - BATCH_NODES));
      batch.sort((one, other) => one.block - other.block);
      for (let first = 0; first < batch.length;) {
        let next = first + 1;
        const from = (batch[first] as Waiting<Root>).block;
        let end = from + 1;
        while (next < batch.length) {
          const { block } = batch[next] as Waiting<Root>;
          if (block > end + GAP_BLOCKS || block - from >= READ_BLOCKS_MAX) break;
          end = Math.max(end, block + 1);
          next += 1;
        }
        const read = await this.#volume.readBlocks(from, end - from);
        for (; first < next; first += 1)
          this.#readWaiting(batch[first] as Waiting<Root>, read, from);
      }
    }
  }

  #mayOwn(root: Root): (block: number, count: number) => boolean {
    // The kernel lets these two lie on metadata: that is what they are for.
    const exempt = root.inode === RESIZE_INODE || root.inode === BAD_BLOCKS_INODE;
    return exempt ? this.#insideVolume : this.#ownable;
  }

  readonly #ownable = (block: number, count: number): boolean => this.#static.mayOwn(block, count);
  readonly #insideVolume = (block: number, count: number): boolean =>
    this.#static.isInside(block, count);

  #readWaiting(item: Waiting<Root>, read: BlockRead | undefined, from: number): void {
    const { root } = item;
    const hide = (why: string): void => {
      this.#sink.hidden(root, {
        start: item.start,
        end: item.end,
        block: item.block,
        why: `Block ${item.block} of its map ${why}`,
      });
    };
    if (!this.#mayVisit(item)) return hide("is reached twice");
    this.#sink.node(root, { block: item.block, logical: item.start, kind: item.kind });
    const { blockSize } = this.#volume.superblock;
    const at = (item.block - from) * blockSize;
    if (read === undefined || read.bytes.length < at + blockSize)
      return hide("is past the end of the volume");
    if (read.bad.some((bad) => bad.offset < at + blockSize && bad.offset + bad.length > at))
      return hide("cannot be read: it is poisoned");
    const bytes = read.bytes.subarray(at, at + blockSize);
    const words = wordsOf(bytes);
    if (item.kind === "blocks")
      return this.#readPointerBlock(item, { words, at: 0, count: blockSize / 4 });
    const node: NodeWords = { words, at: 0, capacity: blockSize / 4 };
    this.#readExtentNode(root, node, {
      depth: item.depth,
      start: item.start,
      end: item.end,
      block: item.block,
      bytes,
      mayOwn: this.#mayOwn(root),
    });
  }

  #mayVisit(item: Waiting<Root>): boolean {
    const before = this.#visited.get(item.block);
    if (before === undefined) {
      this.#visited.set(item.block, item.root.inode);
      return true;
    }
    this.#revisits += 1;
    return before !== item.root.inode && this.#revisits <= REVISITS_MAX;
  }

  #readExtentNode(
    root: Root,
    node: NodeWords,
    place: NodeBounds & { readonly block: number | undefined; readonly bytes?: Uint8Array },
  ): void {
    const why = whyNodeWrong(node, place) ?? this.#whyChecksumWrong(root, node, place.bytes);
    if (why !== undefined) {
      const name =
        place.block === undefined
          ? "The extent tree in the inode"
          : `Block ${place.block} of its extent tree`;
      this.#sink.hidden(root, {
        start: place.start,
        end: place.end,
        block: place.block,
        why: `${name} ${why}`,
      });
      return;
    }
    const depth = nodeDepth(node);
    if (depth > 0) return this.#addChildren(root, node, place.end);
    for (let entry = 0, entries = nodeEntries(node); entry < entries; entry += 1) {
      const raw = entryLength(node, entry);
      this.#run.logical = entryLogical(node, entry);
      this.#run.block = entryBlock(node, entry);
      this.#run.unwritten = raw > WRITTEN_LENGTH_MAX;
      this.#run.count = raw > WRITTEN_LENGTH_MAX ? raw - WRITTEN_LENGTH_MAX : raw;
      this.#sink.run(root, this.#run);
    }
  }

  #whyChecksumWrong(
    root: Root,
    node: NodeWords,
    bytes: Uint8Array | undefined,
  ): string | undefined {
    if (bytes === undefined || !this.#checksums) return undefined;
    if (nodeDepth(node) === 0 && !root.always && !this.#leafMatters(node)) return undefined;
    const right = extentChecksumOk(
      bytes,
      inodeSeed(this.#volume.superblock, root.inode, root.generation),
    );
    return right ? undefined : "has a wrong checksum";
  }

  #leafMatters(node: NodeWords): boolean {
    for (let entry = 0, entries = nodeEntries(node); entry < entries; entry += 1) {
      const raw = entryLength(node, entry);
      const count = raw > WRITTEN_LENGTH_MAX ? raw - WRITTEN_LENGTH_MAX : raw;
      if (this.#sink.wants(entryBlock(node, entry), count)) return true;
    }
    return false;
  }

  #addChildren(root: Root, node: NodeWords, end: number): void {
    const kept = this.#sink.keep(root);
    const depth = nodeDepth(node) - 1;
    for (let entry = 0, entries = nodeEntries(node); entry < entries; entry += 1) {
      const start = entryLogical(node, entry);
      const next = entry + 1 < entries ? entryLogical(node, entry + 1) : end;
      this.#waiting.push({
        root: kept,
        block: entryChild(node, entry),
        depth,
        start,
        end: next,
        kind: "extents",
      });
    }
  }

  #addBlockRoot(root: Root, list: Pointers): void {
    const perBlock = this.#volume.superblock.blockSize / 4;
    const starts = indirectStarts(perBlock);
    const why = whyPointersWrong(list, this.#mayOwn(root));
    if (why !== undefined) {
      const end = starts[2] + perBlock ** 3;
      this.#sink.hidden(root, {
        start: 0,
        end,
        block: undefined,
        why: `The block map in the inode ${why}`,
      });
      return;
    }
    this.#emitRuns(root, { ...list, count: DIRECT_POINTERS }, 0);
    let kept: Root | undefined;
    for (let level = 1; level <= 3; level += 1) {
      const block = list.words[list.at + DIRECT_POINTERS + level - 1] as number;
      if (block === 0 || this.#passesOver(root, block)) continue;
      kept ??= this.#sink.keep(root);
      const start = starts[level - 1] as number;
      this.#waiting.push({
        root: kept,
        block,
        depth: level,
        start,
        end: start + blocksBelow(level, perBlock),
        kind: "blocks",
      });
    }
  }

  #readPointerBlock(item: Waiting<Root>, list: Pointers): void {
    const why = whyPointersWrong(list, this.#mayOwn(item.root));
    if (why !== undefined) {
      const text = `Block ${item.block} of its block map ${why}`;
      this.#sink.hidden(item.root, {
        start: item.start,
        end: item.end,
        block: item.block,
        why: text,
      });
      return;
    }
    if (item.depth === 1) return this.#emitRuns(item.root, list, item.start);
    const below = blocksBelow(item.depth - 1, list.count);
    for (let index = 0; index < list.count; index += 1) {
      const block = list.words[list.at + index] as number;
      if (block === 0 || this.#passesOver(item.root, block)) continue;
      const start = item.start + index * below;
      this.#waiting.push({
        root: item.root,
        block,
        depth: item.depth - 1,
        start,
        end: start + below,
        kind: "blocks",
      });
    }
  }

  /** The resize inode's pointers lie on static metadata, which is nobody's claim: a scan need not read hundreds of blocks of them. */
  #passesOver(root: Root, block: number): boolean {
    return !root.always && this.#static.overlaps(block, 1);
  }

  #emitRuns(root: Root, list: Pointers, start: number): void {
    forEachRun(list, (index, block, count) => {
      this.#run.logical = start + index;
      this.#run.block = block;
      this.#run.count = count;
      this.#run.unwritten = false;
      this.#sink.run(root, this.#run);
    });
  }
}
