/**
 * Extended attributes: the entries behind the extra fields of an inode and in a block of their own (kernel: fs/ext4/xattr.c).
 *
 * They matter to a map for three things: the rest of inline data is the value of "system.data", a block may be shared by many
 * inodes, and a large value is the content of an inode of its own (ea_inode).
 */
import { crc32c, crc32cWord } from "../../base/index.ts";
import { CORE_LENGTH, type Inode } from "./inode.ts";
import type { Superblock } from "./superblock.ts";

const MAGIC = 0xea020000;
const BLOCK_HEADER = 32;
const ENTRY_HEADER = 16;
const INDEX_SYSTEM = 7;

/** One attribute. */
export interface XattrEntry {
  /** Namespace index (kernel: EXT4_XATTR_INDEX_*). */
  readonly index: number;
  readonly name: string;
  /** First byte of the value, from the start of the inode's slot or of the block; meaningless where `valueInode` is set. */
  readonly valueOffset: number;
  readonly valueLength: number;
  /** Inode that holds the value; 0 where it is here. */
  readonly valueInode: number;
}

/** Entries from `at` on; values are relative to `base`. Ends, without a word, at the first entry that does not fit. */
function* entriesOf(bytes: Uint8Array, at: number, base: number): Generator<XattrEntry> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let next = at;
  while (next + ENTRY_HEADER <= bytes.length && view.getUint32(next, true) !== 0) {
    const nameLength = view.getUint8(next);
    const end = next + ENTRY_HEADER + nameLength;
    if (end > bytes.length) return;
    const valueInode = view.getUint32(next + 4, true);
    const valueOffset = base + view.getUint16(next + 2, true);
    const valueLength = view.getUint32(next + 8, true);
    if (valueInode !== 0 || valueOffset + valueLength <= bytes.length) {
      const name = Buffer.from(bytes.subarray(next + ENTRY_HEADER, end)).toString("latin1");
      yield { index: view.getUint8(next + 1), name, valueOffset, valueLength, valueInode };
    }
    next = end + ((4 - (end % 4)) % 4);
  }
}

/** What of an inode tells its attributes. */
type SlotBytes = Pick<Inode, "slot" | "extraSize" | "partial">;

/** Attributes inside an inode's slot; none where there is no room for them or no magic number, or bytes of the slot are missing. */
export function* inodeXattrs(inode: SlotBytes): Generator<XattrEntry> {
  const at = CORE_LENGTH + inode.extraSize;
  if (inode.partial || inode.extraSize === 0 || at + 4 > inode.slot.length) return;
  const view = new DataView(inode.slot.buffer, inode.slot.byteOffset, inode.slot.byteLength);
  if (view.getUint32(at, true) === MAGIC) yield* entriesOf(inode.slot, at + 4, at + 4);
}

/** Attributes in an xattr block; none where it has no magic number. */
export function* blockXattrs(block: Uint8Array): Generator<XattrEntry> {
  if (isXattrBlock(block)) yield* entriesOf(block, BLOCK_HEADER, 0);
}

/** Whether a block begins as an xattr block does. */
export function isXattrBlock(block: Uint8Array): boolean {
  return (
    new DataView(block.buffer, block.byteOffset, block.byteLength).getUint32(0, true) === MAGIC
  );
}

/** Where the part of inline data is that does not fit the 60 bytes: bytes of the slot; `undefined` where there is none. */
export function inlineRest(
  inode: SlotBytes,
): { readonly offset: number; readonly length: number } | undefined {
  for (const entry of inodeXattrs(inode)) {
    if (entry.index !== INDEX_SYSTEM || entry.name !== "data" || entry.valueInode !== 0) continue;
    return { offset: entry.valueOffset, length: entry.valueLength };
  }
  return undefined;
}

/** Whether an xattr block's checksum is right (kernel: ext4_xattr_block_csum): its own number, then itself without the sum. */
export function xattrChecksumOk(superblock: Superblock, block: number, bytes: Uint8Array): boolean {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let sum = crc32cWord(block % 2 ** 32, superblock.checksumSeed);
  sum = crc32cWord(Math.floor(block / 2 ** 32), sum);
  sum = crc32c(bytes.subarray(0, 16), sum);
  sum = crc32cWord(0, sum);
  return crc32c(bytes.subarray(20), sum) === view.getUint32(16, true);
}
