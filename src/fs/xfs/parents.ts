/**
 * Parents: the directories that an inode says it is in, and by which names (feature parent pointers): extended attributes whose name is the entry's name, and whose
 * value is the directory's number and generation. They tell a path where the directory's own block is hidden.
 */
import { checksumOk, uuidIs, viewOf, wideAt } from "./checksum.ts";
import { walkFork } from "./fork-map.ts";
import type { Inode } from "./inode.ts";
import type { XfsVolume } from "./volume.ts";

/** One name of an inode, as it says itself: `bytes[start, end)`. */
export interface ParentName {
  readonly parent: number;
  /** Generation of the directory: tells a reused inode number from the old directory. */
  readonly generation: number;
  readonly bytes: Uint8Array;
  readonly start: number;
  readonly end: number;
}

/** Flags of an attribute: its value is beside its name; it is a parent pointer; it is half-written. */
const FLAGS = { local: 1, parent: 8, incomplete: 0x80 };
/** Bytes of the value. */
const VALUE = 12;
const LEAF_MAGIC = 0x3bee;
/** Bytes of a leaf's header, and of each of the entries behind it. */
const LEAF_HEADER = 80;
const LEAF_ENTRY = 8;
/** Blocks that are looked at: an inode with more is the work of nobody but a hostile image. */
const BLOCKS_MAX = 4096;

/** What an inode says of its names; nothing where that cannot be read. */
export async function readParents(volume: XfsVolume, inode: Inode): Promise<readonly ParentName[]> {
  const { attributes, slot } = inode;
  if (attributes.format === "local") {
    const { start, length } = attributes;
    return shortParents(slot.subarray(start, start + length));
  }
  const blocks: number[] = [];
  await walkFork(
    volume,
    { inode, fork: "attributes" },
    {
      run: ({ block, count }) => {
        for (let at = block; at < block + count && blocks.length < BLOCKS_MAX; at += 1)
          blocks.push(at);
      },
    },
  );
  const names: ParentName[] = [];
  for (const block of blocks) {
    const read = await volume.readBlocks(block, 1);
    if (read.bad.length > 0 || !isLeaf(volume, { bytes: read.bytes, block, inode })) continue;
    for (const name of leafParents(read.bytes.slice())) names.push(name);
  }
  return names;
}

/** Attributes that stand in the inode: their size, how many, then each with its lengths before it. */
function shortParents(bytes: Uint8Array): ParentName[] {
  const names: ParentName[] = [];
  let at = 4;
  for (let left = bytes[2] ?? 0; left > 0; left -= 1) {
    const length = bytes[at]!;
    const value = bytes[at + 1]!;
    const start = at + 3;
    if (start + length + value > bytes.length) return names;
    const place = { flags: bytes[at + 2]!, start, length, value };
    add(names, bytes, place);
    at = start + length + value;
  }
  return names;
}

function isLeaf(
  { superblock }: XfsVolume,
  {
    bytes,
    block,
    inode,
  }: { readonly bytes: Uint8Array; readonly block: number; readonly inode: Inode },
): boolean {
  const view = viewOf(bytes);
  return (
    view.getUint16(8) === LEAF_MAGIC &&
    checksumOk(bytes, 12) &&
    wideAt(view, 16) === (block * superblock.blockSize) / 512 &&
    uuidIs(bytes, 32, superblock.stamp) &&
    wideAt(view, 48) === inode.number
  );
}

function leafParents(bytes: Uint8Array): ParentName[] {
  const view = viewOf(bytes);
  const names: ParentName[] = [];
  const most = Math.floor((bytes.length - LEAF_HEADER) / LEAF_ENTRY);
  const count = Math.min(view.getUint16(56), most);
  for (let index = 0; index < count; index += 1) {
    const entry = LEAF_HEADER + index * LEAF_ENTRY;
    const at = view.getUint16(entry + 4);
    const flags = bytes[entry + 6]!;
    if ((flags & FLAGS.local) === 0 || at + 3 > bytes.length) continue;
    const place = { flags, start: at + 3, length: bytes[at + 2]!, value: view.getUint16(at) };
    add(names, bytes, place);
  }
  return names;
}

/** Adds an attribute that is a whole parent pointer. */
function add(
  names: ParentName[],
  bytes: Uint8Array,
  place: {
    readonly flags: number;
    readonly start: number;
    readonly length: number;
    readonly value: number;
  },
): void {
  const { flags, start, length, value } = place;
  const end = start + length;
  const right = (flags & FLAGS.parent) !== 0 && (flags & FLAGS.incomplete) === 0;
  if (!right || value !== VALUE || end + VALUE > bytes.length) return;
  const view = viewOf(bytes);
  const generation = view.getUint32(end + 8);
  names.push({ parent: wideAt(view, end), generation, bytes, start, end });
}
