/**
 * Geometry: where ext4 puts superblocks and descriptors, by arithmetic on the superblock alone.
 *
 * Rules: ext4_bg_has_super, ext4_bg_num_gdb and descriptor_loc of the kernel, ext2fs_super_and_bgd_loc2 of e2fsprogs. The corner that
 * is easy to miss: with 1 KiB blocks and bigalloc, group 0 begins at block 0, which is the boot block, so all else in it is one block later.
 */
import { hasFeature } from "./features.ts";
import type { Superblock } from "./superblock.ts";

function isPowerOf(value: number, base: number): boolean {
  let power = base;
  while (power < value) power *= base;
  return power === value;
}

/** Arithmetic on one superblock. All numbers are blocks of the volume, or groups. */
export class Geometry {
  readonly superblock: Superblock;
  /** Descriptors in one block. */
  readonly descriptorsPerBlock: number;
  /** Blocks that all descriptors take. */
  readonly descriptorBlocks: number;
  /** Blocks of one inode table. */
  readonly inodeTableBlocks: number;
  /** Blocks of a cluster; 1 without bigalloc. */
  readonly clusterRatio: number;
  readonly #metaGroups: boolean;
  readonly #sparse: "all" | "sparse" | "two";

  constructor(superblock: Superblock) {
    this.superblock = superblock;
    this.descriptorsPerBlock = superblock.blockSize / superblock.descriptorSize;
    this.descriptorBlocks = Math.ceil(superblock.groupCount / this.descriptorsPerBlock);
    this.inodeTableBlocks = Math.ceil(
      (superblock.inodesPerGroup * superblock.inodeSize) / superblock.blockSize,
    );
    this.clusterRatio = superblock.clusterSize / superblock.blockSize;
    this.#metaGroups = hasFeature(superblock, "meta_bg");
    this.#sparse = hasFeature(superblock, "sparse_super2")
      ? "two"
      : hasFeature(superblock, "sparse_super")
        ? "sparse"
        : "all";
  }

  /** Whether only some groups hold backups, so that a walk over all groups may skip most. */
  get metaGroups(): boolean {
    return this.#metaGroups;
  }

  /** Group that holds a block; blocks before the first data block count as group 0. */
  groupOf(block: number): number {
    return Math.max(
      0,
      Math.floor((block - this.superblock.firstDataBlock) / this.superblock.blocksPerGroup),
    );
  }

  /** First block of a group. */
  groupStart(group: number): number {
    return this.superblock.firstDataBlock + group * this.superblock.blocksPerGroup;
  }

  /** First block after a group; the last group ends with the volume. */
  groupEnd(group: number): number {
    return Math.min(this.superblock.blockCount, this.groupStart(group + 1));
  }

  /** Whether a group begins with a superblock (kernel: ext4_bg_has_super). */
  hasSuper(group: number): boolean {
    if (group === 0) return true;
    if (this.#sparse === "two") return this.superblock.backupGroups.includes(group);
    if (group === 1 || this.#sparse === "all") return true;
    return group % 2 === 1 && (isPowerOf(group, 3) || isPowerOf(group, 5) || isPowerOf(group, 7));
  }

  /** Block of a group's superblock, where it has one. */
  superblockOf(group: number): number {
    const start = this.groupStart(group);
    return start === 0 && this.superblock.blockSize === 1024 ? 1 : start;
  }

  /** Old-style descriptor blocks that follow a superblock: all, or with meta_bg those of the first meta groups. */
  get oldDescriptorBlocks(): number {
    return this.#metaGroups
      ? Math.min(this.superblock.firstMetaGroup, this.descriptorBlocks)
      : this.descriptorBlocks;
  }

  /**
   * Where copies of one descriptor block stand, the primary first, then backups by ascending group.
   *
   * @param index which descriptor block, from 0
   * @param limit how many copies at most: without sparse_super every group has one
   */
  descriptorCopies(index: number, limit = 8): readonly number[] {
    const copies: number[] = [];
    if (this.#metaGroups && index >= this.superblock.firstMetaGroup) {
      const first = index * this.descriptorsPerBlock;
      for (const group of [first, first + 1, first + this.descriptorsPerBlock - 1]) {
        const block = this.metaDescriptorOf(group);
        if (block !== undefined && group < this.superblock.groupCount && !copies.includes(block))
          copies.push(block);
      }
      return copies;
    }
    for (const group of this.superGroups()) {
      if (copies.length >= limit) break;
      copies.push(this.superblockOf(group) + 1 + index);
    }
    return copies;
  }

  /** Groups with a superblock, ascending. */
  *superGroups(): Generator<number> {
    const { groupCount } = this.superblock;
    if (this.#sparse === "all") {
      for (let group = 0; group < groupCount; group += 1) yield group;
      return;
    }
    const groups = new Set<number>([0]);
    if (this.#sparse === "two") for (const group of this.superblock.backupGroups) groups.add(group);
    else {
      groups.add(1);
      for (const base of [3, 5, 7])
        for (let power = base; power < groupCount; power *= base) groups.add(power);
    }
    yield* [...groups].filter((group) => group < groupCount).sort((one, other) => one - other);
  }

  /** Block of a group's own meta_bg descriptor copy; `undefined` where it holds none. */
  metaDescriptorOf(group: number): number | undefined {
    if (!this.#metaGroups) return undefined;
    const perBlock = this.descriptorsPerBlock;
    if (Math.floor(group / perBlock) < this.superblock.firstMetaGroup) return undefined;
    const place = group % perBlock;
    if (place !== 0 && place !== 1 && place !== perBlock - 1) return undefined;
    return this.superblockOf(group) + (this.hasSuper(group) ? 1 : 0);
  }

  /**
   * Blocks at the start of a group that hold superblock, descriptors and their reserve (kernel: ext4_num_base_meta_blocks), counted from
   * the group's first block.
   */
  baseMetaBlocks(group: number): number {
    const shift = this.superblockOf(group) - this.groupStart(group);
    const meta = this.metaDescriptorOf(group);
    // Never more than the group holds: a hostile superblock must not reach into the next one.
    const most = this.groupEnd(group) - this.groupStart(group);
    if (meta !== undefined) return Math.min(most, meta + 1 - this.groupStart(group));
    if (!this.hasSuper(group)) return 0;
    const old =
      !this.#metaGroups ||
      Math.floor(group / this.descriptorsPerBlock) < this.superblock.firstMetaGroup;
    const descriptors = old
      ? this.oldDescriptorBlocks + this.superblock.reservedDescriptorBlocks
      : 0;
    return Math.min(most, shift + 1 + descriptors);
  }
}
