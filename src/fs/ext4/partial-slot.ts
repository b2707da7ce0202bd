/**
 * Partial slot: what is believed of an inode whose slot can be read in part: its first 128 bytes, and not all behind them.
 *
 * With metadata_csum the checksum covers the whole slot, so nothing of it can be verified, and what is not verified names no owner: the claims
 * of such an inode are told as unknown. One case is better: attributes rarely fill a slot, and where the missing bytes, taken as zeros, make the 32-bit
 * checksum right, then zeros they are and the slot is whole. Without metadata_csum clean bytes are as good as they always are, and only what
 * stands in the missing ones is hidden: the fine part of the times, and attributes with the rest of inline data among them.
 */
import { hasFeature } from "./features.ts";
import { CORE_LENGTH, inodeChecksumOk, type Inode } from "./inode.ts";
import type { Superblock } from "./superblock.ts";

/** Bytes of the extra fields up to the high half of the checksum. */
const CHECKSUM_HIGH_END = 4;

/**
 * Whether the missing bytes of a slot must be zeros: with zeros in their place all 32 bits of the checksum are right. The 16 bits
 * of a slot without its high half prove too little.
 *
 * @param slot the slot, zeros where it cannot be read
 */
export function provesZeros(superblock: Superblock, number: number, slot: Uint8Array): boolean {
  if (slot.length <= CORE_LENGTH || slot[CORE_LENGTH]! < CHECKSUM_HIGH_END) return false;
  return inodeChecksumOk(superblock, number, slot) === true;
}

/**
 * An inode whose slot cannot be read whole, as far as it is believed: whole where the rest is proven, else `partial`, and with a wrong
 * checksum where one covers it.
 *
 * @param inode decoded from the slot with zeros where it cannot be read
 * @param readable bytes from the slot's start before the first that cannot be read, at least 128
 */
export function partialInode(superblock: Superblock, inode: Inode, readable: number): Inode {
  if (provesZeros(superblock, inode.number, inode.slot)) return inode;
  const covered = hasFeature(superblock, "metadata_csum");
  const extraSize = CORE_LENGTH + inode.extraSize <= readable ? inode.extraSize : 0;
  // What a getter gives is not in the spread.
  return {
    ...inode,
    device: inode.device,
    extraSize,
    checksumOk: covered ? false : undefined,
    partial: true,
  };
}

/** Why nothing of an inode is believed whose `checksumOk` is false; the rest of a sentence about the inode. */
export function whyUnbelieved(inode: Pick<Inode, "partial">): string {
  return inode.partial
    ? "its checksum cannot be verified, because a part of its slot cannot be read"
    : "its checksum is wrong";
}
