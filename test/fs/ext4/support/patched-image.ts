/** PatchedImage: an image in memory whose inodes and blocks tests change by hand, with checksums made right again. */
import { crc32c, crc32cWord } from "../../../../src/base/index.ts";
import { decodeInode, inodeSeed, slotDevice, type Inode } from "../../../../src/fs/ext4/inode.ts";
import { openExt4Volume } from "../../../../src/fs/ext4/open-volume.ts";
import type { Ext4Volume } from "../../../../src/fs/ext4/volume.ts";
import { memorySource } from "../scratch.ts";

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** An image that can be changed. */
export class PatchedImage {
  readonly bytes: Uint8Array;
  readonly volume: Ext4Volume;

  constructor(bytes: Uint8Array, volume: Ext4Volume) {
    this.bytes = bytes;
    this.volume = volume;
  }

  static async open(bytes: Uint8Array): Promise<PatchedImage> {
    return new PatchedImage(bytes, await openExt4Volume(memorySource(bytes.slice())));
  }

  get blockSize(): number {
    return this.volume.superblock.blockSize;
  }

  /** The bytes of a block: a view. */
  block(block: number): Uint8Array {
    return this.bytes.subarray(block * this.blockSize, (block + 1) * this.blockSize);
  }

  inode(number: number): Inode {
    const at = slotDevice(this.volume, number);
    return decodeInode(
      this.volume,
      number,
      this.bytes.slice(at, at + this.volume.superblock.inodeSize),
    );
  }

  /** Changes a slot, then makes its checksum right unless `wrong`. */
  editInode(number: number, edit: (slot: DataView) => void, wrong = false): void {
    const at = slotDevice(this.volume, number);
    const slot = this.bytes.subarray(at, at + this.volume.superblock.inodeSize);
    const view = viewOf(slot);
    edit(view);
    if (wrong) return;
    view.setUint16(124, 0, true);
    view.setUint16(130, 0, true);
    const seed = inodeSeed(this.volume.superblock, number, view.getUint32(100, true));
    const sum = crc32c(slot, seed);
    view.setUint16(124, sum & 0xffff, true);
    view.setUint16(130, sum >>> 16, true);
  }

  /** Changes an extent block of an inode, then makes its checksum right. */
  editExtentBlock(number: number, block: number, edit: (node: DataView) => void): void {
    const bytes = this.block(block);
    const view = viewOf(bytes);
    edit(view);
    const tail = 12 + view.getUint16(4, true) * 12;
    view.setUint32(tail, crc32c(bytes.subarray(0, tail), this.#seed(number)), true);
  }

  /** Changes a leaf block of a directory, then makes its checksum right. */
  editDirectoryBlock(number: number, block: number, edit: (entries: DataView) => void): void {
    const bytes = this.block(block);
    edit(viewOf(bytes));
    viewOf(bytes).setUint32(
      bytes.length - 4,
      crc32c(bytes.subarray(0, -12), this.#seed(number)),
      true,
    );
  }

  /** crc32c of a number, for tests that make other sums. */
  sumOf(value: number): number {
    return crc32cWord(value, this.volume.superblock.checksumSeed);
  }

  #seed(number: number): number {
    return inodeSeed(this.volume.superblock, number, this.inode(number).generation);
  }
}

/** Offset, in a directory block, of the entry with a name; -1 where there is none. */
export function entryOffset(block: DataView, name: string): number {
  for (let at = 0; at + 8 <= block.byteLength;) {
    const length = block.getUint16(at + 4, true);
    const text = Buffer.from(
      block.buffer,
      block.byteOffset + at + 8,
      block.getUint8(at + 6),
    ).toString();
    if (text === name) return at;
    if (length < 8) return -1;
    at += length;
  }
  return -1;
}
