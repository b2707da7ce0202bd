/**
 * Directory: the entries of one directory block, its checksum, and which blocks of a directory are its hash tree.
 *
 * An indexed directory (htree) hides its tree in blocks that read as empty to a linear reader: the root behind "..", the nodes as one
 * unused entry. So names are always read linearly, and the tree is only read to tell which blocks belong to it.
 * Rules: __ext4_check_dir_entry, ext4_dirblock_csum_verify, ext4_dx_csum_verify and dx_probe of fs/ext4/namei.c and dir.c.
 */
import { crc32c, crc32cWord } from "../../base/index.ts";
import { MAP_LENGTH, MAP_OFFSET, type Inode } from "./inode.ts";
import { inlineRest } from "./xattr.ts";

const ENTRY_HEADER = 8;
const SHORTEST_ENTRY = 12;
const TAIL = 12;
const TAIL_TYPE = 0xde;
const NODE_COUNT_OFFSET = 8;
const ROOT_COUNT_OFFSET = 32;

/** One entry in use. The object is reused at each call: copy what must last. */
export interface DirectoryEntry {
  inode: number;
  /** 0 where unknown. */
  type: number;
  /** Bytes of the name in the block. */
  nameStart: number;
  nameLength: number;
}

/** What the entries of a block are read by. */
export interface EntryRules {
  readonly inodeCount: number;
  /** Whether entries carry a file type (feature filetype); else the byte is the high part of the name's length. */
  readonly filetype: boolean;
  /** One bit for each inode that matters; entries of others are passed over. Absent: all matter. */
  readonly only?: Uint8Array | undefined;
}

/** Length of an entry (kernel: ext4_rec_len_from_disk): blocks of 64 KiB need a 17th bit. */
function entryLength(stored: number, size: number): number {
  if (size < 65536) return stored;
  return stored === 0 || stored === 0xffff ? size : (stored & 0xfffc) | ((stored & 3) << 16);
}

/**
 * Calls `each` for every entry in use of a block, "." and ".." included; a checksum tail is an unused entry.
 *
 * @param bytes a directory block, or the part of an inode that holds entries
 * @returns why the chain of entries breaks, with what is hidden; `undefined` where it is whole
 */
export function readEntries(
  bytes: Uint8Array,
  rules: EntryRules,
  each: (entry: Readonly<DirectoryEntry>) => void,
): string | undefined {
  const size = bytes.length;
  const { only } = rules;
  const entry: DirectoryEntry = { inode: 0, type: 0, nameStart: 0, nameLength: 0 };
  let at = 0;
  while (at < size) {
    if (at + ENTRY_HEADER > size) return `an entry at byte ${at} does not fit`;
    const inode =
      (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0;
    const length = entryLength(bytes[at + 4]! | (bytes[at + 5]! << 8), size);
    const nameLength = bytes[at + 6]!;
    if (
      length < SHORTEST_ENTRY ||
      length % 4 !== 0 ||
      at + length > size ||
      length < ENTRY_HEADER + nameLength
    ) {
      return `the entry at byte ${at} has length ${length}, which does not fit`;
    }
    if (inode > rules.inodeCount)
      return `the entry at byte ${at} names inode ${inode}, which there is not`;
    const matters = only === undefined || ((only[inode >>> 3]! >>> (inode & 7)) & 1) === 1;
    if (matters && inode !== 0 && nameLength > 0) {
      entry.inode = inode;
      entry.type = rules.filetype ? bytes[at + 7]! & 7 : 0;
      entry.nameStart = at + ENTRY_HEADER;
      entry.nameLength = nameLength;
      each(entry);
    }
    at += length;
  }
  return undefined;
}

/** What a block holds, by a look at its words alone: no entry that matters, one that does, or something that only `readEntries` can judge. */
export type Glance = "nothing" | "something" | "unclear";

/**
 * Whether `readEntries` would call, "." and ".." left out: the way past nearly every block. What stands behind the first entry that matters is not looked at.
 *
 * @param words the block begins at word `at` and has `size` bytes
 */
export function glance(
  words: Uint32Array,
  block: { readonly at: number; readonly size: number },
  rules: EntryRules,
): Glance {
  const { only, inodeCount } = rules;
  const { size } = block;
  if (only === undefined || size >= 65536) return "unclear";
  let at = block.at;
  for (let left = size; left > 0;) {
    if (left < SHORTEST_ENTRY) return "unclear";
    const inode = words[at]!;
    const head = words[at + 1]!;
    const length = head & 0xffff;
    const nameLength = (head >>> 16) & 0xff;
    if (length < ENTRY_HEADER + nameLength || length < SHORTEST_ENTRY) return "unclear";
    if ((length & 3) !== 0 || length > left || inode > inodeCount) return "unclear";
    if (((only[inode >>> 3]! >>> (inode & 7)) & 1) === 1 && !isDotWord(words[at + 2]!, nameLength))
      return nameLength > 0 && inode !== 0 ? "something" : "unclear";
    at += length >>> 2;
    left -= length;
  }
  return "nothing";
}

function isDotWord(name: number, length: number): boolean {
  return (length === 1 && (name & 0xff) === 0x2e) || (length === 2 && (name & 0xffff) === 0x2e2e);
}

/** Whether a name is "." or "..". */
export function isDotName(bytes: Uint8Array, start: number, length: number): boolean {
  return bytes[start] === 0x2e && (length === 1 || (length === 2 && bytes[start + 1] === 0x2e));
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Where the counters of a block of the hash tree are, or 0 where it is none by its form (kernel: get_dx_countlimit). */
function countOffset(view: DataView): number {
  const size = view.byteLength;
  const first = entryLength(view.getUint16(4, true), size);
  if (first === size && view.getUint32(0, true) === 0) return NODE_COUNT_OFFSET;
  if (first !== 12 || entryLength(view.getUint16(16, true), size) !== size - 12) return 0;
  return view.getUint32(24, true) === 0 && view.getUint8(29) === 8 ? ROOT_COUNT_OFFSET : 0;
}

function hasTail(view: DataView): boolean {
  const at = view.byteLength - TAIL;
  return (
    view.getUint32(at, true) === 0 &&
    view.getUint32(at + 4, true) === (TAIL | (TAIL_TYPE << 24)) >>> 0
  );
}

/**
 * Whether the checksum of a directory block is right, be it a leaf or a part of the hash tree; false where it has none.
 *
 * @param seed `inodeSeed` of the directory
 */
export function directoryChecksumOk(block: Uint8Array, seed: number): boolean {
  const view = viewOf(block);
  const end = block.length - TAIL;
  // A leaf that became the root of a hash tree keeps the form of its old tail, so a wrong sum there decides nothing.
  if (hasTail(view) && crc32c(block.subarray(0, end), seed) === view.getUint32(end + 8, true))
    return true;
  const at = countOffset(view);
  if (at === 0) return false;
  const limit = view.getUint16(at, true);
  const count = view.getUint16(at + 2, true);
  const tail = at + limit * 8;
  if (tail + 8 > block.length || count > limit) return false;
  let sum = crc32c(block.subarray(0, at + count * 8), seed);
  sum = crc32c(block.subarray(tail, tail + 4), sum);
  return crc32cWord(0, sum) === view.getUint32(tail + 4, true);
}

/** What the root or a node of a hash tree says. */
export interface HashTreeBlock {
  /** Levels of nodes below it that are not leaves; only of a root. */
  readonly levels: number;
  /** Logical blocks that it points to. */
  readonly children: readonly number[];
}

/** Reads a block of a hash tree by its form; `undefined` where it has not the form. */
export function readHashTree(block: Uint8Array): HashTreeBlock | undefined {
  const view = viewOf(block);
  const at = countOffset(view);
  if (at === 0) return undefined;
  const limit = view.getUint16(at, true);
  const count = view.getUint16(at + 2, true);
  if (count === 0 || count > limit || at + count * 8 > block.length) return undefined;
  const children = Array.from(
    { length: count },
    (_, index) => view.getUint32(at + index * 8 + 4, true) & 0x0fffffff,
  );
  return { levels: at === ROOT_COUNT_OFFSET ? view.getUint8(30) : 0, children };
}

/** Deepest hash tree: a root and, with large_dir, two levels of nodes (kernel: ext4_dir_htree_level). */
export const HASH_LEVELS_MAX = 2;

/**
 * Logical blocks of an indexed directory that are its hash tree. Block 0 always is; of what is below an unreadable root or node
 * nothing is said.
 *
 * @param read a readable block of the directory with a right checksum, or `undefined`
 */
export async function hashTreeBlocks(
  read: (logical: number) => Promise<Uint8Array | undefined>,
): Promise<{ readonly blocks: ReadonlySet<number>; readonly whole: boolean }> {
  const blocks = new Set<number>([0]);
  const bytes = await read(0);
  const root = bytes === undefined ? undefined : readHashTree(bytes);
  if (root === undefined) return { blocks, whole: false };
  let whole = true;
  let level = root.children;
  for (let depth = Math.min(root.levels, HASH_LEVELS_MAX); depth > 0; depth -= 1) {
    const below: number[] = [];
    for (const logical of level) {
      if (blocks.has(logical)) continue;
      blocks.add(logical);
      if (depth === 1) continue;
      const child = await read(logical);
      const node = child === undefined ? undefined : readHashTree(child);
      if (node === undefined) whole = false;
      else below.push(...node.children);
    }
    level = below;
  }
  return { blocks, whole };
}

/** The parts of an inode that hold the entries of an inline directory: after the parent's number, and in "system.data". */
export function inlineEntryRegions(
  inode: Pick<Inode, "slot" | "extraSize" | "partial">,
): readonly Uint8Array[] {
  const first = inode.slot.subarray(MAP_OFFSET + 4, MAP_OFFSET + MAP_LENGTH);
  const rest = inlineRest(inode);
  return rest === undefined || rest.length === 0
    ? [first]
    : [first, inode.slot.subarray(rest.offset, rest.offset + rest.length)];
}
