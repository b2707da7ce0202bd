/** Superblock: geometry, features and identity of an XFS volume, from the 512 bytes that every allocation group (AG) begins with. */
import { isPowerOfTwo } from "../../base/index.ts";
import { checksumOk, viewOf, wideAt } from "./checksum.ts";

/** Bytes of a superblock that are looked at: the smallest sector. Its checksum covers one whole sector. */
export const SUPERBLOCK_SIZE = 512;

const MAGIC = 0x58465342;
/** Offset of the checksum in a superblock. */
const CHECKSUM_AT = 224;

/**
 * Incompatible features that this map reads; by bit, up to metadata directories (8). Exchange of ranges (6) changes no structure read here. A zoned volume (9) may have its
 * real-time device behind its data on the same device: who owns what there is not known here.
 */
const KNOWN_INCOMPATIBLE = 0x1ff;
const INCOMPATIBLE_NAMES: readonly string[] = [
  "ftype",
  "sparse inodes",
  "meta UUID",
  "big time",
  "needs repair",
  "large extent counts",
  "exchange range",
  "parent pointers",
  "metadata directory",
  "zoned",
  "zone gaps",
];

/** What a volume can, beyond the oldest v4. */
export interface Features {
  /** v5: every structure has a checksum, its own address, the volume's UUID and its owner. */
  readonly checksums: boolean;
  /** Directory entries tell the kind of their inode. */
  readonly fileTypes: boolean;
  readonly sparseInodes: boolean;
  readonly freeInodeTree: boolean;
  readonly reverseMap: boolean;
  readonly reflink: boolean;
  /** Every inode names the directories that it is in. */
  readonly parentPointers: boolean;
  /** Inodes of metadata say themselves what they are. */
  readonly metadataDirectories: boolean;
}

/** Geometry, features and identity of a volume. Numbers of blocks unless a name says other. */
export interface Superblock {
  readonly version: 4 | 5;
  readonly features: Features;
  /** Incompatible features that are not known here, by name. */
  readonly unknownFeatures: readonly string[];
  readonly uuid: string;
  /** The UUID that structures are stamped with. */
  readonly stamp: Uint8Array;
  readonly label: string;
  /** Bytes. */
  readonly blockSize: number;
  /** Bytes. */
  readonly sectorSize: number;
  /** Bytes. */
  readonly inodeSize: number;
  /** Bytes of a block of a directory. */
  readonly directoryBlockSize: number;
  readonly blockCount: number;
  readonly agBlocks: number;
  readonly agCount: number;
  /** Bits of a block's number in its AG. */
  readonly agBlockBits: number;
  readonly inodesPerBlock: number;
  readonly inodesPerBlockBits: number;
  /** First block of the log, AG and all as the volume numbers it; 0 where it is on another device. */
  readonly logStart: number;
  readonly logBlocks: number;
  /** Bytes. */
  readonly logSectorSize: number;
  /** `undefined` where a backup does not tell. */
  readonly rootInode: number | undefined;
  readonly quotaInodes: readonly number[];
  readonly realtimeBitmap: number | undefined;
  readonly realtimeSummary: number | undefined;
  /** Counters of inodes and blocks, and the last log position: text that changes with every write. */
  readonly state: string;
  /** A mkfs or growfs was not finished when it was written; always so in backups. */
  readonly inProgress: boolean;
}

/** A superblock, or why bytes are none. `checksumOk` is `undefined` on v4. */
export type SuperblockResult =
  | { readonly superblock: Superblock; readonly checksumOk: boolean | undefined }
  | { readonly superblock?: undefined; readonly why: string };

/** Whether bytes begin with XFS' magic number. */
export function hasXfsMagic(bytes: Uint8Array): boolean {
  return bytes.length >= 4 && viewOf(bytes).getUint32(0) === MAGIC;
}

/** Sector size that a superblock states, in bytes: what must be read for its checksum. 512 where it states none that can be. */
export function statedSectorSize(bytes: Uint8Array): number {
  const size = viewOf(bytes).getUint16(102);
  return size >= 512 && size <= 32768 && isPowerOfTwo(size) ? size : 512;
}

/**
 * Decodes a superblock and checks that it can be one.
 *
 * @param bytes a whole sector of it, or at least 512 bytes: then its checksum is not told
 */
export function decodeSuperblock(bytes: Uint8Array): SuperblockResult {
  if (!hasXfsMagic(bytes)) return { why: "it has no magic number" };
  const view = viewOf(bytes);
  const version = view.getUint16(100) & 0xf;
  if (version !== 4 && version !== 5)
    return { why: `version ${version} is not known, want 4 or 5` };
  const superblock = fieldsOf(bytes, view, version);
  const why = whyImpossible(superblock, view);
  if (why !== undefined) return { why };
  const whole = version === 5 && bytes.length >= superblock.sectorSize;
  return {
    superblock,
    checksumOk: whole
      ? checksumOk(bytes.subarray(0, superblock.sectorSize), CHECKSUM_AT)
      : undefined,
  };
}

function fieldsOf(bytes: Uint8Array, view: DataView, version: 4 | 5): Superblock {
  const incompatible = version === 5 ? view.getUint32(216) : 0;
  const blockSize = view.getUint32(4);
  const stampAt = (incompatible & 4) === 0 ? 32 : 248;
  return {
    version,
    features: featuresOf(view, version),
    unknownFeatures: unknownOf(incompatible),
    uuid: uuidText(bytes.subarray(32, 48)),
    stamp: bytes.slice(stampAt, stampAt + 16),
    label: labelOf(bytes.subarray(108, 120)),
    blockSize,
    sectorSize: view.getUint16(102),
    inodeSize: view.getUint16(104),
    directoryBlockSize: blockSize * 2 ** bytes[192]!,
    blockCount: wideAt(view, 8),
    agBlocks: view.getUint32(84),
    agCount: view.getUint32(88),
    agBlockBits: bytes[124]!,
    inodesPerBlock: view.getUint16(106),
    inodesPerBlockBits: bytes[123]!,
    logStart: wideAt(view, 48),
    logBlocks: view.getUint32(96),
    logSectorSize: Math.max(512, view.getUint16(194)),
    rootInode: inodeAt(view, 56),
    quotaInodes: [160, 168, 232].flatMap((at) =>
      at === 232 && version === 4 ? [] : (inodeAt(view, at) ?? []),
    ),
    realtimeBitmap: inodeAt(view, 64),
    realtimeSummary: inodeAt(view, 72),
    state: [128, 136, 144, 240].map((at) => view.getBigUint64(at).toString(16)).join("."),
    inProgress: bytes[126] !== 0,
  };
}

function featuresOf(view: DataView, version: 4 | 5): Features {
  const compatible = version === 5 ? view.getUint32(212) : 0;
  const incompatible = version === 5 ? view.getUint32(216) : 0;
  return {
    checksums: version === 5,
    fileTypes:
      version === 5
        ? (incompatible & 1) !== 0
        : hasMoreBits(view) && (view.getUint32(200) & 0x200) !== 0,
    sparseInodes: (incompatible & 2) !== 0,
    freeInodeTree: (compatible & 1) !== 0,
    reverseMap: (compatible & 2) !== 0,
    reflink: (compatible & 4) !== 0,
    parentPointers: (incompatible & 0x80) !== 0,
    metadataDirectories: (incompatible & 0x100) !== 0,
  };
}

/** Whether v4's second word of features counts. */
function hasMoreBits(view: DataView): boolean {
  return (view.getUint16(100) & 0x8000) !== 0;
}

function unknownOf(incompatible: number): string[] {
  const names: string[] = [];
  for (let bit = 0; bit < 32; bit += 1) {
    const set = ((incompatible >>> bit) & 1) !== 0 && ((KNOWN_INCOMPATIBLE >>> bit) & 1) === 0;
    if (set) names.push(INCOMPATIBLE_NAMES[bit] ?? `incompatible bit ${bit}`);
  }
  return names;
}

/** An inode number, unless it is none: 0, or all ones. */
function inodeAt(view: DataView, at: number): number | undefined {
  const number = wideAt(view, at);
  return number > 0 && Number.isSafeInteger(number) ? number : undefined;
}

function uuidText(bytes: Uint8Array): string {
  const hex = Buffer.from(bytes).toString("hex");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

function labelOf(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return Buffer.from(bytes.subarray(0, end < 0 ? bytes.length : end)).toString("utf8");
}

/** What makes numbers impossible (kernel: xfs_validate_sb_common), so that all arithmetic on them is safe. */
function whyImpossible(superblock: Superblock, view: DataView): string | undefined {
  return whySizesImpossible(superblock, view.getUint8(192)) ?? whyGroupsImpossible(superblock);
}

function whySizesImpossible(superblock: Superblock, directoryBits: number): string | undefined {
  const { blockSize, sectorSize, inodeSize, inodesPerBlock, version } = superblock;
  const between = (value: number, least: number, most: number): boolean =>
    value >= least && value <= most && isPowerOfTwo(value);
  if (!between(blockSize, 512, 65536)) return `a block of ${blockSize} bytes cannot be`;
  if (!between(sectorSize, 512, Math.min(32768, blockSize)))
    return `a sector of ${sectorSize} bytes cannot be`;
  if (!between(inodeSize, version === 5 ? 512 : 256, Math.min(2048, blockSize)))
    return `an inode of ${inodeSize} bytes cannot be`;
  const bits = superblock.inodesPerBlockBits;
  if (inodesPerBlock !== blockSize / inodeSize || 2 ** bits !== inodesPerBlock)
    return `${inodesPerBlock} inodes a block contradict the sizes of both`;
  return superblock.directoryBlockSize > 65536
    ? `a directory block of ${blockSize} << ${directoryBits} bytes cannot be`
    : undefined;
}

function whyGroupsImpossible(superblock: Superblock): string | undefined {
  const { blockSize, sectorSize, agBlocks, agCount, blockCount, agBlockBits } = superblock;
  if (agBlocks < 5 || agBlocks * blockSize < 4 * sectorSize + blockSize || agCount < 1)
    return `${agCount} AGs of ${agBlocks} blocks cannot be`;
  if (agBlockBits > 31 || 2 ** agBlockBits < agBlocks || 2 ** agBlockBits >= agBlocks * 2)
    return `${agBlockBits} bits of a block number contradict AGs of ${agBlocks} blocks`;
  if (blockCount > agBlocks * agCount || blockCount <= agBlocks * (agCount - 1))
    return `${blockCount} blocks contradict ${agCount} AGs of ${agBlocks}`;
  if (!Number.isSafeInteger(blockCount * blockSize))
    return `${blockCount} blocks are more than can be addressed`;
  return Number.isSafeInteger(agCount * 2 ** (agBlockBits + superblock.inodesPerBlockBits))
    ? undefined
    : `${agCount} AGs make inode numbers over 2^53`;
}
