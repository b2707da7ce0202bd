/** FastCommitInodes: the inodes that fast commits touch, as they are while the changes are applied. */
import { crc32c } from "../../base/index.ts";
import type { ChangedBlocks } from "./fast-commit-blocks.ts";
import { Unreplayable, Unsettled } from "./fast-commit-blocks.ts";
import { hasFeature } from "./features.ts";
import type { BlockRun, FastCommitTree } from "./fast-commit-extents.ts";
import {
  CORE_LENGTH,
  inodeChecksumOk,
  inodeLocation,
  inodeSeed,
  INODE_FLAGS,
  isZero,
  MAP_LENGTH,
  MAP_OFFSET,
  MODE,
} from "./inode.ts";
import type { Superblock } from "./superblock.ts";
import type { Ext4Volume } from "./volume.ts";

/** Most bytes of slots that are kept. */
const SLOTS_MAX = 32 * 1024 * 1024;

/** One inode. The numbers are read from its slot each time. */
export class FastCommitInode {
  readonly number: number;
  readonly slot: Uint8Array;
  readonly view: DataView;
  /** Whether its slot must be written. */
  changed = false;
  /** Its extents, once a range of it changed. */
  tree: FastCommitTree | undefined;
  /** Blocks that it had before any of them changed. */
  before: readonly BlockRun[] = [];

  constructor(number: number, slot: Uint8Array) {
    this.number = number;
    this.slot = slot;
    this.view = new DataView(slot.buffer, slot.byteOffset, slot.byteLength);
  }

  get type(): number {
    return this.view.getUint16(0, true) & MODE.mask;
  }

  get flags(): number {
    return this.view.getUint32(32, true);
  }

  get links(): number {
    return this.view.getUint16(26, true);
  }

  set links(links: number) {
    this.view.setUint16(26, links, true);
    this.changed = true;
  }

  /** Bytes, from the lower 32 bits; more of a directory is not supported. */
  get sizeLow(): number {
    return this.view.getUint32(4, true);
  }

  get generation(): number {
    return this.view.getUint32(100, true);
  }

  /** Whether it can be looked up while Linux replays (ext4_iget): it has a mode and links. */
  get inUse(): boolean {
    return this.links > 0 && this.view.getUint16(0, true) !== 0;
  }

  get hasExtents(): boolean {
    return (this.flags & INODE_FLAGS.extents) !== 0 && (this.flags & INODE_FLAGS.inlineData) === 0;
  }

  /** The 60 bytes of its map. */
  get map(): Uint8Array {
    return this.slot.subarray(MAP_OFFSET, MAP_OFFSET + MAP_LENGTH);
  }
}

/** Inodes by number, read when they are first asked for. */
export class FastCommitInodes {
  readonly #volume: Ext4Volume;
  readonly #blocks: ChangedBlocks;
  readonly #inodes = new Map<number, FastCommitInode>();

  constructor(volume: Ext4Volume, blocks: ChangedBlocks) {
    this.#volume = volume;
    this.#blocks = blocks;
  }

  /** All that were asked for. */
  values(): IterableIterator<FastCommitInode> {
    return this.#inodes.values();
  }

  /** An inode, in use or not. Throws `Unsettled` where its slot is unreadable or wrong, `Unreplayable` where there is none. */
  async get(number: number): Promise<FastCommitInode> {
    const known = this.#inodes.get(number);
    if (known !== undefined) return known;
    const { superblock } = this.#volume;
    const place = inodeLocation(this.#volume, number);
    if (place === undefined)
      throw new Unreplayable(`they name inode ${number}, which there is not`);
    if ((this.#inodes.size + 1) * superblock.inodeSize > SLOTS_MAX)
      throw new Unreplayable("they change more inodes than are kept in memory");
    const block = await this.#blocks.read(place.block);
    if (block === undefined) throw new Unsettled(number, "its slot is unreadable");
    const slot = block.slice(place.offset, place.offset + superblock.inodeSize);
    const inode = new FastCommitInode(number, slot);
    if (inode.inUse && !isZero(slot) && inodeChecksumOk(superblock, number, slot) === false)
      throw new Unsettled(number, "its slot has a wrong checksum");
    this.#inodes.set(number, inode);
    return inode;
  }

  /** Writes all changed slots. */
  async flush(): Promise<void> {
    for (const inode of this.#inodes.values()) {
      const place = inodeLocation(this.#volume, inode.number);
      if (!inode.changed || place === undefined) continue;
      setInodeChecksum(this.#volume.superblock, inode.number, inode.slot);
      const block = await this.#blocks.read(place.block);
      if (block === undefined) throw new Unreplayable(`block ${place.block} became unreadable`);
      block.set(inode.slot, place.offset);
      this.#blocks.write(place.block, block);
    }
  }
}

/** Writes a slot's checksum (kernel: ext4_inode_csum_set). */
export function setInodeChecksum(superblock: Superblock, number: number, slot: Uint8Array): void {
  if (!hasFeature(superblock, "metadata_csum")) return;
  const view = new DataView(slot.buffer, slot.byteOffset, slot.byteLength);
  const high = slot.length > CORE_LENGTH && view.getUint16(CORE_LENGTH, true) >= 4;
  view.setUint16(124, 0, true);
  if (high) view.setUint16(130, 0, true);
  const sum = crc32c(slot, inodeSeed(superblock, number, view.getUint32(100, true)));
  view.setUint16(124, sum & 0xffff, true);
  if (high) view.setUint16(130, sum >>> 16, true);
}
