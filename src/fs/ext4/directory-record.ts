/**
 * Directory records: what a scan keeps of each directory: few numbers and a copy of its slot, decoded when somebody asks. A volume has
 * directories by the million, and only those that hold a wanted name are ever decoded.
 */
import { coreOnly, decodeInode, INODE_FLAGS, type Inode } from "./inode.ts";
import type { Ext4Volume } from "./volume.ts";

const SLOTS_PER_PAGE = 256;

/** Copies of slots in few large buffers: a buffer for each would cost more in garbage collection than the scan. */
export class SlotArena {
  readonly #slotSize: number;
  #page: Uint8Array;
  #used = 0;

  /** @param slotSize bytes of a slot */
  constructor(slotSize: number) {
    this.#slotSize = slotSize;
    this.#page = new Uint8Array(0);
  }

  /** Copies the slot at byte `at` of a chunk. @returns the copy, which lasts */
  copy(bytes: Uint8Array, at: number): Uint8Array {
    const size = this.#slotSize;
    if (this.#used + size > this.#page.length) {
      this.#page = new Uint8Array(size * SLOTS_PER_PAGE);
      this.#used = 0;
    }
    const copy = this.#page.subarray(this.#used, this.#used + size);
    copy.set(bytes.subarray(at, at + size));
    this.#used += size;
    return copy;
  }
}

/** What a scan sees of a directory. */
export interface DirectoryFields {
  readonly number: number;
  /** A copy that lasts. */
  readonly slot: Uint8Array;
  /** Whether only its first 128 bytes could be read. */
  readonly partial: boolean;
  readonly flags: number;
  /** Bytes (kernel: ext4_isize). */
  readonly size: number;
}

/** A directory, and the blocks that hold its names. */
export class DirectoryRecord {
  readonly number: number;
  readonly flags: number;
  /** Bytes. */
  readonly size: number;
  /** Three numbers for each run: first logical block, first block of the volume, number of blocks. */
  readonly runs: number[] = [];
  readonly #volume: Ext4Volume;
  readonly #slot: Uint8Array;
  readonly #partial: boolean;
  #inode: Inode | undefined;

  constructor(volume: Ext4Volume, fields: DirectoryFields) {
    this.#volume = volume;
    this.number = fields.number;
    this.flags = fields.flags;
    this.size = fields.size;
    this.#slot = fields.slot;
    this.#partial = fields.partial;
  }

  /** Whether its names are in the inode itself. */
  get inline(): boolean {
    return (this.flags & INODE_FLAGS.inlineData) !== 0;
  }

  /** The inode, decoded at the first call. */
  get inode(): Inode {
    if (this.#inode !== undefined) return this.#inode;
    const inode = decodeInode(this.#volume, this.number, this.#slot);
    return (this.#inode = this.#partial ? coreOnly(inode) : inode);
  }
}
