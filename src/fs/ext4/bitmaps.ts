/**
 * Bitmaps: which blocks and inodes are in use, as the bitmap of each group says.
 *
 * A group that was never used has no bitmap on the device, only a flag ("uninit"): its bitmap is then computed as the kernel does
 * (ext4_init_block_bitmap): superblock, descriptors, and the group's own bitmaps and table where they lie in it. A bitmap counts only when
 * all of its bytes are there and its checksum is right (with metadata_csum; without one nothing can be checked). A descriptor
 * from a backup is too old to tell of flags: its bitmap counts only where the old checksum still matches, or where there are no flags.
 */
import { crc32c, isPromise, type MaybePromise } from "../../base/index.ts";
import type { Problem } from "../file-map.ts";
import { hasDescriptorChecksums, hasFeature } from "./features.ts";
import type { Geometry } from "./geometry.ts";
import type { DescriptorTable, ReadBlocks } from "./group-descriptors.ts";
import { isBad } from "../block-reader.ts";
import { whenReady } from "../ready.ts";
import type { AllocatedRun, BlockRead } from "./volume.ts";

type Kind = "block" | "inode";

const CHECKED_GOOD = 1;
const CHECKED_BAD = 2;
const BLOCK_UNINIT = 2;
const INODE_UNINIT = 1;

/** A bitmap's bytes, "uninit", or `undefined` where it is bad. */
type Bitmap = Uint8Array | "uninit" | undefined;

/** The bitmaps of one volume. */
export class Bitmaps {
  readonly #table: DescriptorTable;
  readonly #geometry: Geometry;
  readonly #readBlocks: ReadBlocks;
  readonly #report: (problem: Problem) => void;
  /** Each bitmap's checksum is computed once; the block may leave the cache, the answer stays. */
  readonly #checked: Readonly<Record<Kind, Uint8Array>>;

  constructor(table: DescriptorTable, readBlocks: ReadBlocks, report: (problem: Problem) => void) {
    this.#table = table;
    this.#geometry = table.geometry;
    this.#readBlocks = readBlocks;
    this.#report = report;
    this.#checked = {
      block: new Uint8Array(table.groups.length),
      inode: new Uint8Array(table.groups.length),
    };
  }

  /** The inode bitmap that was asked for last: inodes are asked for in order. Its bytes are a cached block's, which nobody writes to. */
  #lastInodes: { readonly group: number; readonly bitmap: Bitmap } = {
    group: -1,
    bitmap: undefined,
  };

  /** As `Ext4Volume.allocated`. */
  allocated(block: number, count: number): MaybePromise<readonly AllocatedRun[]> {
    const { firstDataBlock, blockCount } = this.#geometry.superblock;
    const end = Math.min(block + count, blockCount);
    const runs: AllocatedRun[] = [];
    let at = block;
    if (at < firstDataBlock && at < end) {
      at = Math.min(firstDataBlock, end);
      push(runs, { block, count: at - block, used: true, known: true });
    }
    return this.#allocatedFrom(at, end, runs);
  }

  /** As `Ext4Volume.inodeAllocated`. */
  inodeAllocated(inode: number): MaybePromise<boolean | undefined> {
    const { inodesPerGroup, inodeCount } = this.#geometry.superblock;
    if (!Number.isSafeInteger(inode) || inode < 1 || inode > inodeCount) return undefined;
    const group = Math.floor((inode - 1) / inodesPerGroup);
    const bit = (inode - 1) % inodesPerGroup;
    const last = this.#lastInodes;
    if (last.group === group) return bitOf(last.bitmap, bit);
    return whenReady(this.#bitmap(group, "inode"), (bitmap) => {
      this.#lastInodes = { group, bitmap };
      return bitOf(bitmap, bit);
    });
  }

  #allocatedFrom(
    block: number,
    end: number,
    runs: AllocatedRun[],
  ): MaybePromise<readonly AllocatedRun[]> {
    let at = block;
    while (at < end) {
      const group = this.#geometry.groupOf(at);
      if (group >= this.#table.groups.length) {
        push(runs, { block: at, count: end - at, used: true, known: false });
        return runs;
      }
      const stop = Math.min(end, this.#geometry.groupEnd(group));
      const start = at;
      const bitmap = this.#bitmap(group, "block");
      if (isPromise(bitmap)) {
        return bitmap.then((ready) => {
          this.#scan({ group, start, stop }, ready, runs);
          return this.#allocatedFrom(stop, end, runs);
        });
      }
      this.#scan({ group, start, stop }, bitmap, runs);
      at = stop;
    }
    return runs;
  }

  #scan(part: GroupPart, bitmap: Bitmap, runs: AllocatedRun[]): void {
    const { start, stop, group } = part;
    if (bitmap === undefined) {
      push(runs, { block: start, count: stop - start, used: true, known: false });
      return;
    }
    const ratio = this.#geometry.clusterRatio;
    const first = this.#geometry.groupStart(group);
    const bytes = bitmap === "uninit" ? this.#computed(group) : bitmap;
    const lastBit = Math.floor((stop - 1 - first) / ratio);
    for (let bit = Math.floor((start - first) / ratio); bit <= lastBit;) {
      const used = isSet(bytes, bit);
      const next = runEnd(bytes, bit, lastBit + 1);
      const from = Math.max(start, first + bit * ratio);
      push(runs, {
        block: from,
        count: Math.min(stop, first + next * ratio) - from,
        used,
        known: true,
      });
      bit = next;
    }
  }

  /** The bitmap of a group that was never used (kernel: ext4_init_block_bitmap). */
  #computed(group: number): Uint8Array {
    const geometry = this.#geometry;
    const bytes = new Uint8Array(Math.ceil(geometry.superblock.clustersPerGroup / 8));
    const start = geometry.groupStart(group);
    const end = geometry.groupEnd(group);
    const set = (block: number, count: number): void => {
      const first = Math.max(start, block) - start;
      const last = Math.min(end, block + count) - start - 1;
      if (first > last) return;
      const lastBit = Math.floor(last / geometry.clusterRatio);
      for (let bit = Math.floor(first / geometry.clusterRatio); bit <= lastBit; bit += 1)
        bytes[bit >>> 3]! |= 1 << (bit & 7);
    };
    set(start, geometry.baseMetaBlocks(group));
    const descriptor = this.#table.groups[group];
    if (descriptor !== undefined) {
      set(descriptor.blockBitmap, 1);
      set(descriptor.inodeBitmap, 1);
      set(descriptor.inodeTable, geometry.inodeTableBlocks);
    }
    return bytes;
  }

  #bitmap(group: number, kind: Kind): MaybePromise<Bitmap> {
    const descriptor = this.#table.groups[group];
    if (descriptor === undefined || descriptor.source === "unknown") return undefined;
    if (kind === "block" ? descriptor.blockBitmapUninit : descriptor.inodeUninit) return "uninit";
    const block = kind === "block" ? descriptor.blockBitmap : descriptor.inodeBitmap;
    return whenReady(this.#readBlocks(block, 1), (read) =>
      this.#checkedBytes({ group, kind, block }, read),
    );
  }

  #checkedBytes(place: BitmapPlace, read: BlockRead | undefined): Uint8Array | undefined {
    const { superblock } = this.#geometry;
    const bits = place.kind === "block" ? superblock.clustersPerGroup : superblock.inodesPerGroup;
    const length = Math.ceil(bits / 8);
    const bytes = read?.bytes.subarray(0, length);
    const checked = this.#checked[place.kind];
    if (checked[place.group] === 0) {
      const why =
        bytes === undefined || read === undefined
          ? "is past the end"
          : this.#whyBad(place, read, bytes);
      checked[place.group] = why === undefined ? CHECKED_GOOD : CHECKED_BAD;
      if (why !== undefined) this.#tell(place, why);
    }
    return checked[place.group] === CHECKED_GOOD ? bytes : undefined;
  }

  #whyBad(place: BitmapPlace, read: BlockRead, bytes: Uint8Array): string | undefined {
    if (isBad(read, 0, bytes.length)) return "cannot be read";
    const { superblock } = this.#geometry;
    const fromBackup = this.#table.source(place.group) === "backup";
    if (hasFeature(superblock, "metadata_csum")) {
      const descriptor = this.#table.groups[place.group];
      const stored =
        place.kind === "block" ? descriptor?.blockBitmapChecksum : descriptor?.inodeBitmapChecksum;
      // The sum covers whole bytes only: the kernel divides the bits by eight (ext4_block_bitmap_csum_verify).
      const bits = place.kind === "block" ? superblock.clustersPerGroup : superblock.inodesPerGroup;
      const sum = crc32c(bytes.subarray(0, Math.floor(bits / 8)), superblock.checksumSeed);
      if ((superblock.descriptorSize >= 64 ? sum : sum & 0xffff) === stored) return undefined;
      return fromBackup
        ? "cannot be checked, because its descriptor came from an old backup"
        : "has a wrong checksum";
    }
    const flag = place.kind === "block" ? BLOCK_UNINIT : INODE_UNINIT;
    if (
      fromBackup &&
      hasDescriptorChecksums(superblock) &&
      (this.#table.flags(place.group) & flag) !== 0
    ) {
      return "may never have been written: its descriptor came from an old backup";
    }
    return undefined;
  }

  #tell(place: BitmapPlace, why: string): void {
    const { blockSize } = this.#geometry.superblock;
    const what = place.kind === "block" ? "which blocks" : "which inodes";
    this.#report({
      range: { offset: place.block * blockSize, length: blockSize },
      message: `The ${place.kind} bitmap of group ${place.group} ${why}: ${what} of the group are in use is unknown`,
    });
  }
}

interface GroupPart {
  readonly group: number;
  readonly start: number;
  readonly stop: number;
}

interface BitmapPlace {
  readonly group: number;
  readonly kind: Kind;
  readonly block: number;
}

function bitOf(bitmap: Bitmap, bit: number): boolean | undefined {
  if (bitmap === "uninit") return false;
  return bitmap === undefined ? undefined : isSet(bitmap, bit);
}

function isSet(bytes: Uint8Array, bit: number): boolean {
  return (((bytes[bit >>> 3] as number) >>> (bit & 7)) & 1) === 1;
}

/** First bit from `bit` on, below `end`, that differs from it. */
function runEnd(bytes: Uint8Array, bit: number, end: number): number {
  const used = isSet(bytes, bit);
  const whole = used ? 0xff : 0;
  let at = bit + 1;
  while (at < end) {
    if ((at & 7) === 0 && bytes[at >>> 3] === whole) at += 8;
    else if (isSet(bytes, at) === used) at += 1;
    else break;
  }
  return Math.min(at, end);
}

/** Adds a run; one that goes on like the last is joined to it. */
function push(runs: AllocatedRun[], run: AllocatedRun): void {
  const last = runs.at(-1);
  if (
    last !== undefined &&
    last.used === run.used &&
    last.known === run.known &&
    last.block + last.count === run.block
  ) {
    runs[runs.length - 1] = { ...last, count: last.count + run.count };
  } else runs.push(run);
}
