/** readInode(): one slot of an inode table, read and checked, and what hides it where it cannot be told. */
import type { BadRange } from "../../base/index.ts";
import { CORE_LENGTH, decodeInode, inodeLocation, isZero, type Inode } from "./inode.ts";
import { partialInode, whyUnbelieved } from "./partial-slot.ts";
import type { Ext4Volume } from "./volume.ts";

/** An inode, or why it cannot be told. `bad` is set where the slot can be read but is not believed. */
export type InodeResult =
  | { readonly inode: Inode; readonly why?: undefined }
  | { readonly inode?: undefined; readonly why: string; readonly bad?: Inode };

/** Reads and checks one slot, whether in use or not. A wrong checksum, one that cannot be verified, or poison in the first 128 bytes hides it. */
export async function readInode(volume: Ext4Volume, number: number): Promise<InodeResult> {
  const place = inodeLocation(volume, number);
  if (place === undefined)
    return {
      why: `Inode ${number} is outside the file system, or its group descriptor is unreadable`,
    };
  const read = await volume.readBlocks(place.block, 1);
  if (read === undefined)
    return {
      why: `Inode ${number} is in block ${place.block}, which is past the end of the volume`,
    };
  const { inodeSize } = volume.superblock;
  const readable = readableBytes(read.bad, place.offset, inodeSize);
  if (readable < CORE_LENGTH) {
    return {
      why: `Inode ${number} is poisoned: inode table block ${place.block} cannot be read whole`,
    };
  }
  const slot = read.bytes.slice(place.offset, place.offset + inodeSize);
  const whole = decodeInode(volume, number, slot);
  const inode = readable < inodeSize ? partialInode(volume.superblock, whole, readable) : whole;
  if (inode.checksumOk === false && !isZero(slot))
    return { why: `Inode ${number} is not believed: ${whyUnbelieved(inode)}`, bad: inode };
  return { inode };
}

/** Bytes of a slot before the first that cannot be read: its size where all can. */
export function readableBytes(bad: readonly BadRange[], start: number, inodeSize: number): number {
  let readable = inodeSize;
  for (const { offset, length } of bad)
    if (offset < start + inodeSize && offset + length > start)
      readable = Math.min(readable, Math.max(0, offset - start));
  return readable;
}
