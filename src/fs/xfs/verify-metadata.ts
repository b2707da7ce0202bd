/**
 * verifyMetadata: whether the checksums over a piece of metadata are right now. What the piece is comes from its owners.
 *
 * A checksum proves that bytes are whole, not that they are current. Version 4 has none.
 */
import type { OwnedRange, OwnerWhat } from "../file-map.ts";
import { checksumOk, viewOf, wideAt } from "./checksum.ts";
import type { XfsVolume } from "./volume.ts";

/** Where the checksum of a structure of one sector is. */
const SECTORS: Partial<Readonly<Record<OwnerWhat, number>>> = {
  superblock: 224,
  "superblock-backup": 224,
  "free-space-header": 216,
  "inode-header": 312,
  "free-list": 32,
};

/** Where the checksum of a structure of one block is. Trees of an AG have a shorter header than those of a file. */
const BLOCKS: Partial<Readonly<Record<OwnerWhat, number>>> = {
  "free-space-tree": 52,
  "inode-tree": 52,
  "reverse-map-tree": 52,
  "reference-count-tree": 52,
  "extent-tree": 64,
};

/** What is covered with its neighbours, or holds nothing: it says neither yes nor no. */
const SILENT: ReadonlySet<OwnerWhat> = new Set<OwnerWhat>([
  "padding",
  "tree-reserve",
  "copy-on-write",
  "free-space",
]);

interface Piece {
  readonly start: number;
  readonly length: number;
  readonly at: number;
}

/** Whether every checksum over a range is right; `undefined` where a part of it is covered by none; false where one is wrong or cannot be computed. */
export async function checksumsOk(
  volume: XfsVolume,
  owned: readonly OwnedRange[],
): Promise<boolean | undefined> {
  if (!volume.superblock.features.checksums) return undefined;
  let covered = false;
  let uncovered = false;
  for (const range of owned) {
    for (const { what, inode } of range.owners) {
      if (SILENT.has(what)) continue;
      // A tree that an inode holds has the header of a file's.
      const held = what.endsWith("-tree") && inode !== undefined;
      const pieces = await piecesOf(volume, held ? "extent-tree" : what, range);
      if (pieces === undefined) uncovered = true;
      for (const piece of pieces ?? []) {
        if (!(await pieceOk(volume, piece))) return false;
        covered = true;
      }
    }
  }
  return covered && !uncovered ? true : undefined;
}

/** Structures of one kind that a range touches; `undefined` where no checksum covers such a thing. */
async function piecesOf(
  volume: XfsVolume,
  what: OwnerWhat,
  range: OwnedRange,
): Promise<readonly Piece[] | undefined> {
  const { blockSize, sectorSize, inodeSize } = volume.superblock;
  const sector = SECTORS[what];
  if (sector !== undefined) return unitsOf(range, sectorSize, () => sector);
  if (what === "inode" || what === "unused-inode") return unitsOf(range, inodeSize, () => 100);
  const block = BLOCKS[what];
  if (block !== undefined) return unitsOf(range, blockSize, () => block);
  if (what === "directory-block" || what === "directory-index")
    return directoryBlocks(volume, range);
  if (what !== "xattr-block" && what !== "symlink-target") return undefined;
  const pieces: Piece[] = [];
  for (const piece of unitsOf(range, blockSize, () => 0)) {
    const at = await attributeChecksumAt(volume, piece.start);
    if (at === undefined) return undefined;
    pieces.push({ ...piece, at });
  }
  return pieces;
}

function unitsOf(range: OwnedRange, unit: number, at: () => number): Piece[] {
  const pieces: Piece[] = [];
  for (
    let start = range.offset - (range.offset % unit);
    start < range.offset + range.length;
    start += unit
  )
    pieces.push({ start, length: unit, at: at() });
  return pieces;
}

/** Directory blocks of one block: their magic numbers tell where the checksum is. Larger ones are not put together here. */
async function directoryBlocks(
  volume: XfsVolume,
  range: OwnedRange,
): Promise<readonly Piece[] | undefined> {
  const { blockSize, directoryBlockSize } = volume.superblock;
  if (blockSize !== directoryBlockSize) return undefined;
  const pieces: Piece[] = [];
  for (const piece of unitsOf(range, blockSize, () => 4)) {
    const read = await volume.readBytes(piece.start, 16);
    // Leaves and nodes of the hash tree begin with their neighbours, then a magic number of 16 bits.
    const magic = read.bad.length > 0 ? 0 : viewOf(read.bytes).getUint16(8);
    pieces.push({
      ...piece,
      at: magic === 0x3df1 || magic === 0x3dff || magic === 0x3ebe ? 12 : 4,
    });
  }
  return pieces;
}

/** Where the checksum of a block of attributes or of a link's target is; `undefined` where the block shows none. */
async function attributeChecksumAt(volume: XfsVolume, start: number): Promise<number | undefined> {
  const read = await volume.readBytes(start, 16);
  if (read.bad.length > 0) return undefined;
  const view = viewOf(read.bytes);
  const magic = view.getUint32(0);
  // A remote value (XARM) and a link's target (XSLM) have it at 12, as leaves and nodes do; a block of the fork's tree at 64.
  if (magic === 0x5841524d || magic === 0x58534c4d) return 12;
  if (magic === 0x424d4133) return 64;
  const leaf = view.getUint16(8);
  return leaf === 0x3bee || leaf === 0x3ebe ? 12 : undefined;
}

async function pieceOk(volume: XfsVolume, { start, length, at }: Piece): Promise<boolean> {
  const read = await volume.readBytes(start, length);
  if (read.bad.length > 0 || !checksumOk(read.bytes, at)) return false;
  // What stands at the wrong place has a right checksum too: trees of AGs, directories and leaves say where they stand.
  if (at !== 52 && at !== 64 && at !== 4) return true;
  const address = wideAt(viewOf(read.bytes), at === 52 ? 16 : at === 64 ? 24 : 8);
  return address === start / 512;
}
