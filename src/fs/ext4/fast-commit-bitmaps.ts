/**
 * FastCommitBitmaps: bitmaps, counters and descriptors after fast commits (kernel: ext4_mb_mark_bb, ext4_mark_inode_used, ext4_fc_set_bitmaps_and_counters).
 *
 * A bitmap that is unknown stays unknown. One that was never written is written now, as the kernel does, and its group's flag goes.
 */
import { crc16, crc32c, crc32cWord } from "../../base/index.ts";
import { littleEndian } from "./checksums.ts";
import { Unreplayable, type ChangedBlocks } from "./fast-commit-blocks.ts";
import type { BlockRun } from "./fast-commit-extents.ts";
import { hasDescriptorChecksums, hasFeature } from "./features.ts";
import type { Geometry } from "./geometry.ts";
import type { Ext4Volume, GroupDescriptor } from "./volume.ts";

const INODE_UNINIT = 1;
const BLOCK_UNINIT = 2;

/** What bitmaps are changed by. */
export interface BitmapRules {
  readonly volume: Ext4Volume;
  readonly geometry: Geometry;
  readonly blocks: ChangedBlocks;
}

/** Clears and sets bits; `finish` writes what changed. */
export class FastCommitBitmaps {
  readonly #rules: BitmapRules;
  readonly #groups = new Map<number, Uint8Array | undefined>();
  readonly #changed = new Set<number>();

  constructor(rules: BitmapRules) {
    this.#rules = rules;
  }

  /** Marks blocks as used or free; with bigalloc their clusters. */
  async mark({ block, count }: BlockRun, used: boolean): Promise<void> {
    const { geometry } = this.#rules;
    for (let at = block; at < block + count;) {
      const group = geometry.groupOf(at);
      const end = Math.min(block + count, geometry.groupEnd(group));
      const start = geometry.groupStart(group);
      const bytes = await this.#bitmap(group);
      if (bytes !== undefined) {
        const last = Math.floor((end - 1 - start) / geometry.clusterRatio);
        for (let bit = Math.floor((at - start) / geometry.clusterRatio); bit <= last; bit += 1)
          setBit(bytes, bit, used);
        this.#changed.add(group);
      }
      at = end;
    }
  }

  /** Marks an inode as used. */
  async markInode(number: number, directory: boolean): Promise<void> {
    const { volume } = this.#rules;
    const { inodesPerGroup, descriptorSize } = volume.superblock;
    const state = await volume.inodeAllocated(number);
    if (state !== false) return;
    const group = Math.floor((number - 1) / inodesPerGroup);
    const bit = (number - 1) % inodesPerGroup;
    const descriptor = this.#descriptor(group);
    const bytes = await this.#inodeBitmap(descriptor);
    if (bytes === undefined || isSet(bytes, bit)) return;
    setBit(bytes, bit, true);
    this.#rules.blocks.write(descriptor.inodeBitmap, bytes);
    await this.#bitmap(group);
    this.#changed.add(group);
    const sum = this.#sum(bytes, inodesPerGroup);
    await this.#edit(group, (view) => {
      addSplit(view, { low: 14, high: 46 }, -1);
      if (directory) addSplit(view, { low: 16, high: 48 }, 1);
      if (sum !== undefined) setSplit(view, { low: 26, high: 58 }, sum);
      if (!hasDescriptorChecksums(volume.superblock)) return;
      const flags = view.getUint16(18, true);
      const unused =
        view.getUint16(28, true) + (descriptorSize > 50 ? view.getUint16(50, true) * 65536 : 0);
      const looked = (flags & INODE_UNINIT) !== 0 ? 0 : inodesPerGroup - unused;
      view.setUint16(18, flags & ~INODE_UNINIT, true);
      if (bit >= looked) setSplit(view, { low: 28, high: 50 }, inodesPerGroup - bit - 1);
    });
  }

  /** Writes the changed block bitmaps and their descriptors. */
  async finish(): Promise<void> {
    const { volume, geometry, blocks } = this.#rules;
    for (const group of this.#changed) {
      const bytes = this.#groups.get(group);
      if (bytes === undefined) continue;
      const descriptor = this.#descriptor(group);
      const clusters = Math.ceil(
        (geometry.groupEnd(group) - geometry.groupStart(group)) / geometry.clusterRatio,
      );
      let free = 0;
      for (let bit = 0; bit < clusters; bit += 1) if (!isSet(bytes, bit)) free += 1;
      blocks.write(descriptor.blockBitmap, bytes);
      const sum = this.#sum(bytes, volume.superblock.clustersPerGroup);
      await this.#edit(group, (view) => {
        setSplit(view, { low: 12, high: 44 }, free);
        if (sum !== undefined) setSplit(view, { low: 24, high: 56 }, sum);
        if (hasDescriptorChecksums(volume.superblock))
          view.setUint16(18, view.getUint16(18, true) & ~BLOCK_UNINIT, true);
      });
    }
  }

  #descriptor(group: number): GroupDescriptor {
    const descriptor = this.#rules.volume.groups[group];
    if (descriptor?.source !== "primary")
      throw new Unreplayable(`the descriptor of group ${group} is not there to be changed`);
    return descriptor;
  }

  /** Sum of a bitmap, over whole bytes only, as the kernel does. */
  #sum(bytes: Uint8Array, bits: number): number | undefined {
    const { superblock } = this.#rules.volume;
    if (!hasFeature(superblock, "metadata_csum")) return undefined;
    return crc32c(bytes.subarray(0, Math.floor(bits / 8)), superblock.checksumSeed);
  }

  async #inodeBitmap(descriptor: GroupDescriptor): Promise<Uint8Array | undefined> {
    const { volume, blocks } = this.#rules;
    if (!descriptor.inodeUninit || blocks.blocks.has(descriptor.inodeBitmap))
      return blocks.read(descriptor.inodeBitmap);
    const { blockSize, inodesPerGroup } = volume.superblock;
    const bytes = new Uint8Array(blockSize);
    for (let bit = inodesPerGroup; bit < blockSize * 8; bit += 1) setBit(bytes, bit, true);
    return bytes;
  }

  /** A group's block bitmap as bytes; `undefined` where it is unknown. */
  async #bitmap(group: number): Promise<Uint8Array | undefined> {
    if (this.#groups.has(group)) return this.#groups.get(group);
    const { volume, geometry } = this.#rules;
    this.#descriptor(group);
    const start = geometry.groupStart(group);
    const runs = await volume.allocated(start, geometry.groupEnd(group) - start);
    let bytes: Uint8Array | undefined = new Uint8Array(volume.superblock.blockSize).fill(0xff);
    for (const run of runs) {
      if (!run.known) bytes = undefined;
      if (bytes === undefined) break;
      const last = Math.floor((run.block + run.count - 1 - start) / geometry.clusterRatio);
      for (let bit = Math.floor((run.block - start) / geometry.clusterRatio); bit <= last; bit += 1)
        setBit(bytes, bit, run.used);
    }
    this.#groups.set(group, bytes);
    return bytes;
  }

  async #edit(group: number, change: (view: DataView) => void): Promise<void> {
    const { geometry, blocks, volume } = this.#rules;
    const { descriptorSize } = volume.superblock;
    const index = Math.floor(group / geometry.descriptorsPerBlock);
    const block = geometry.descriptorCopies(index, 1)[0] as number;
    const bytes = await blocks.read(block);
    if (bytes === undefined)
      throw new Unreplayable(`the descriptor of group ${group} is not there to be changed`);
    const at = (group % geometry.descriptorsPerBlock) * descriptorSize;
    const descriptor = bytes.subarray(at, at + descriptorSize);
    change(new DataView(descriptor.buffer, descriptor.byteOffset, descriptorSize));
    setDescriptorChecksum(volume, group, descriptor);
    blocks.write(block, bytes);
  }
}

interface Halves {
  readonly low: number;
  readonly high: number;
}

function setSplit(view: DataView, { low, high }: Halves, value: number): void {
  view.setUint16(low, value & 0xffff, true);
  if (view.byteLength > high) view.setUint16(high, (value >>> 16) & 0xffff, true);
}

function addSplit(view: DataView, halves: Halves, more: number): void {
  const high = view.byteLength > halves.high ? view.getUint16(halves.high, true) * 65536 : 0;
  setSplit(view, halves, Math.max(0, high + view.getUint16(halves.low, true) + more));
}

/** Kernel: ext4_group_desc_csum. */
function setDescriptorChecksum(volume: Ext4Volume, group: number, bytes: Uint8Array): void {
  const { superblock } = volume;
  if (!hasDescriptorChecksums(superblock)) return;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  view.setUint16(30, 0, true);
  if (hasFeature(superblock, "metadata_csum")) {
    view.setUint16(30, crc32c(bytes, crc32cWord(group, superblock.checksumSeed)) & 0xffff, true);
    return;
  }
  const uuid = Buffer.from(superblock.uuid.replaceAll("-", ""), "hex");
  const start = crc16(bytes.subarray(0, 30), crc16(littleEndian(group), crc16(uuid, 0xffff)));
  view.setUint16(30, crc16(bytes.subarray(32), start), true);
}

function isSet(bytes: Uint8Array, bit: number): boolean {
  return (((bytes[bit >>> 3] as number) >>> (bit & 7)) & 1) === 1;
}

function setBit(bytes: Uint8Array, bit: number, used: boolean): void {
  const mask = 1 << (bit & 7);
  const byte = bytes[bit >>> 3] as number;
  bytes[bit >>> 3] = used ? byte | mask : byte & ~mask;
}
