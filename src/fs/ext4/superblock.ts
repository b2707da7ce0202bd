/**
 * Superblock: the fields of an ext4 superblock, from the primary or a backup.
 *
 * 1024 bytes, little-endian, at byte 1024 of the volume and at the start of backup groups (kernel: struct ext4_super_block).
 * `decodeSuperblock` refuses what the kernel would refuse to mount for its geometry, with the field in the message: everything after it may
 * divide, shift and multiply by these numbers without looking again.
 */
import { crc32c, isPowerOfTwo } from "../../base/index.ts";
import { hasFeature } from "./features.ts";

/** The fields, decoded. Sizes in bytes, times in seconds, block numbers of the volume. */
export interface Superblock {
  readonly blockSize: number;
  /** With bigalloc larger than `blockSize`. */
  readonly clusterSize: number;
  readonly blockCount: number;
  readonly firstDataBlock: number;
  readonly blocksPerGroup: number;
  readonly clustersPerGroup: number;
  readonly inodesPerGroup: number;
  readonly inodeCount: number;
  readonly inodeSize: number;
  readonly firstInode: number;
  readonly groupCount: number;
  readonly descriptorSize: number;
  readonly reservedDescriptorBlocks: number;
  readonly uuid: string;
  readonly label: string;
  readonly checksumSeed: number;
  readonly featureCompat: number;
  readonly featureIncompat: number;
  readonly featureReadOnlyCompat: number;
  readonly hashSeed: readonly number[];
  readonly defaultHashVersion: number;
  readonly journalInode: number;
  readonly journalUuid: string;
  readonly journalDevice: number;
  readonly lastOrphan: number;
  readonly orphanFileInode: number;
  readonly quotaInodes: readonly number[];
  readonly mmpBlock: number;
  readonly firstMetaGroup: number;
  readonly logGroupsPerFlex: number;
  readonly backupGroups: readonly number[];
  readonly state: number;
  readonly mountTime: number;
  readonly writeTime: number;
  readonly encoding: number;
  /** Where it was read from. */
  readonly source: "primary" | "backup";
  /** Group whose copy this is, as it says itself. */
  readonly blockGroup: number;
  /** 0 for the first ext2, whose inodes have 128 bytes; 1 since. */
  readonly revision: number;
  /** Bit 0: directory hashes are of signed characters; bit 1: of unsigned ones. */
  readonly flags: number;
  readonly encodingFlags: number;
  readonly mountCount: number;
  /** 15 words of the journal inode's block map and its size, high word first; empty where there is no copy (s_jnl_blocks). */
  readonly journalBackup: readonly number[];
  /** KiB written in the file system's life. */
  readonly kibibytesWritten: number;
}

/** Bytes of a superblock. */
export const SUPERBLOCK_SIZE = 1024;

/** Where the primary stands, in bytes. */
export const SUPERBLOCK_OFFSET = 1024;

/** Ranges that nothing can be told without: where they are readable, a partly poisoned superblock still serves (offset, end). */
export const ESSENTIAL_FIELDS: readonly (readonly [number, number])[] = [
  [0x00, 0x08],
  [0x14, 0x2c],
  [0x38, 0x3a],
  [0x4c, 0x78],
  [0xce, 0xd0],
  [0xfe, 0x100],
  [0x104, 0x108],
  [0x150, 0x154],
  [0x168, 0x170],
  [0x174, 0x176],
  [0x24c, 0x254],
  [0x270, 0x274],
];

/** What `decodeSuperblock` answers: the fields, or why they cannot be ones. */
export type SuperblockResult =
  | { readonly superblock: Superblock; readonly checksumOk: boolean | undefined }
  | { readonly superblock: undefined; readonly why: string };

function uuidText(bytes: Uint8Array): string {
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return [
    hex.slice(0, 8),
    hex.slice(8, 12),
    hex.slice(12, 16),
    hex.slice(16, 20),
    hex.slice(20),
  ].join("-");
}

function text(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return new TextDecoder().decode(end < 0 ? bytes : bytes.subarray(0, end));
}

/** Whether 1024 bytes begin like a superblock: the magic number alone. */
export function hasSuperblockMagic(bytes: Uint8Array): boolean {
  return bytes[0x38] === 0x53 && bytes[0x39] === 0xef;
}

function words(view: DataView, offset: number, count: number): number[] {
  return Array.from({ length: count }, (_, index) => view.getUint32(offset + index * 4, true));
}

function wide(view: DataView, offset: number): number {
  return view.getUint32(offset, true) + view.getUint32(offset + 4, true) * 2 ** 32;
}

function sizes(view: DataView, flags: Flags): Sizes {
  const bigalloc = hasFeature(flags, "bigalloc");
  const wideCounts = hasFeature(flags, "64bit");
  const revision = view.getUint32(0x4c, true);
  const blockSize = 1024 * 2 ** view.getUint32(0x18, true);
  const blocksPerGroup = view.getUint32(0x20, true);
  return {
    revision,
    blockSize,
    clusterSize: bigalloc ? 1024 * 2 ** view.getUint32(0x1c, true) : blockSize,
    blockCount:
      view.getUint32(0x04, true) + (wideCounts ? view.getUint32(0x150, true) * 2 ** 32 : 0),
    firstDataBlock: view.getUint32(0x14, true),
    blocksPerGroup,
    clustersPerGroup: bigalloc ? view.getUint32(0x24, true) : blocksPerGroup,
    inodesPerGroup: view.getUint32(0x28, true),
    inodeCount: view.getUint32(0x00, true),
    inodeSize: revision === 0 ? 128 : view.getUint16(0x58, true),
    descriptorSize: wideCounts ? view.getUint16(0xfe, true) : 32,
    reservedDescriptorBlocks: view.getUint16(0xce, true),
  };
}

type Flags = Pick<Superblock, "featureCompat" | "featureIncompat" | "featureReadOnlyCompat">;
type Sizes = Pick<
  Superblock,
  | "revision"
  | "blockSize"
  | "clusterSize"
  | "blockCount"
  | "firstDataBlock"
  | "blocksPerGroup"
  | "clustersPerGroup"
  | "inodesPerGroup"
  | "inodeCount"
  | "inodeSize"
  | "descriptorSize"
  | "reservedDescriptorBlocks"
>;

/** Why a geometry cannot be one (kernel: ext4_fill_super and its helpers), or `undefined` where it can. */
function whyNonsense(size: Sizes): string | undefined {
  const { blockSize, clusterSize, blocksPerGroup, clustersPerGroup, inodesPerGroup, inodeSize } =
    size;
  if (blockSize > 65536) return `block size ${blockSize} is not one of 1024 to 65536`;
  if (clusterSize < blockSize || clusterSize > 2 ** 30)
    return `cluster size ${clusterSize} does not fit block size ${blockSize}`;
  if (!isPowerOfTwo(inodeSize) || inodeSize < 128 || inodeSize > blockSize) {
    return `inode size ${inodeSize} is not a power of two from 128 to the block size ${blockSize}`;
  }
  if (
    !isPowerOfTwo(size.descriptorSize) ||
    size.descriptorSize < 32 ||
    size.descriptorSize > blockSize
  ) {
    return `descriptor size ${size.descriptorSize} is not a power of two from 32 to the block size ${blockSize}`;
  }
  if (clustersPerGroup === 0 || clustersPerGroup > blockSize * 8) {
    return `${clustersPerGroup} clusters a group do not fit one bitmap block of ${blockSize} bytes`;
  }
  if (blocksPerGroup !== clustersPerGroup * (clusterSize / blockSize)) {
    return `${blocksPerGroup} blocks a group are not ${clustersPerGroup} clusters a group`;
  }
  if (inodesPerGroup === 0 || inodesPerGroup > blockSize * 8) {
    return `${inodesPerGroup} inodes a group do not fit one bitmap block of ${blockSize} bytes`;
  }
  return whyCountsNonsense(size);
}

function whyCountsNonsense(size: Sizes): string | undefined {
  const { blockCount, firstDataBlock, blockSize } = size;
  if (size.reservedDescriptorBlocks > blockSize / 4) {
    return `${size.reservedDescriptorBlocks} reserved descriptor blocks are more than the resize inode can hold`;
  }
  if (!Number.isSafeInteger(blockCount * blockSize))
    return `${blockCount} blocks of ${blockSize} bytes are past 2^53 bytes`;
  if (firstDataBlock > 1 || (firstDataBlock === 1 && blockSize !== 1024)) {
    return `first data block ${firstDataBlock} does not fit block size ${blockSize}`;
  }
  if (firstDataBlock === 0 && blockSize === 1024 && size.clusterSize === 1024)
    return "first data block 0 does not fit block size 1024";
  if (blockCount <= firstDataBlock)
    return `${blockCount} blocks are none after the first data block ${firstDataBlock}`;
  const groups = Math.ceil((blockCount - firstDataBlock) / size.blocksPerGroup);
  if (groups * size.inodesPerGroup !== size.inodeCount) {
    return `${size.inodeCount} inodes are not ${groups} groups of ${size.inodesPerGroup}`;
  }
  return undefined;
}

function checksumOf(bytes: Uint8Array): number {
  return crc32c(bytes.subarray(0, 0x3fc), 0xffffffff);
}

function journalBackup(bytes: Uint8Array, view: DataView): readonly number[] {
  return bytes[0xfd] === 1 ? words(view, 0x10c, 17) : [];
}

/**
 * Decodes 1024 bytes. Checks the magic and the geometry; tells whether the checksum is right (`undefined`: it has none).
 *
 * @param source which copy it is; goes into the result as it is
 */
export function decodeSuperblock(
  bytes: Uint8Array,
  source: "primary" | "backup",
): SuperblockResult {
  const view = new DataView(bytes.buffer, bytes.byteOffset, SUPERBLOCK_SIZE);
  if (!hasSuperblockMagic(bytes))
    return { superblock: undefined, why: "there is no ext4 magic number" };
  const flags: Flags = {
    featureCompat: view.getUint32(0x5c, true),
    featureIncompat: view.getUint32(0x60, true),
    featureReadOnlyCompat: view.getUint32(0x64, true),
  };
  if (hasFeature(flags, "journal_dev")) {
    // Its superblock has no inodes and no groups: a geometry would make no sense.
    return {
      superblock: undefined,
      why: `it is the external journal of another volume, UUID ${uuidText(bytes.subarray(0x68, 0x78))}`,
    };
  }
  const size = sizes(view, flags);
  const why = whyNonsense(size);
  if (why !== undefined) return { superblock: undefined, why };
  const uuid = bytes.subarray(0x68, 0x78);
  const superblock: Superblock = {
    ...flags,
    ...size,
    groupCount: Math.ceil((size.blockCount - size.firstDataBlock) / size.blocksPerGroup),
    firstInode: size.revision === 0 ? 11 : view.getUint32(0x54, true),
    uuid: uuidText(uuid),
    label: text(bytes.subarray(0x78, 0x88)),
    checksumSeed: hasFeature(flags, "metadata_csum_seed")
      ? view.getUint32(0x270, true)
      : crc32c(uuid, 0xffffffff),
    hashSeed: words(view, 0xec, 4),
    defaultHashVersion: view.getUint8(0xfc),
    ...journalFields(bytes, view),
    lastOrphan: view.getUint32(0xe8, true),
    orphanFileInode: view.getUint32(0x280, true),
    quotaInodes: [
      view.getUint32(0x240, true),
      view.getUint32(0x244, true),
      view.getUint32(0x26c, true),
    ],
    mmpBlock: wide(view, 0x168),
    firstMetaGroup: view.getUint32(0x104, true),
    logGroupsPerFlex: view.getUint8(0x174),
    backupGroups: words(view, 0x24c, 2),
    state: view.getUint16(0x3a, true),
    mountTime: view.getUint32(0x2c, true) + view.getUint8(0x275) * 2 ** 32,
    writeTime: view.getUint32(0x30, true) + view.getUint8(0x274) * 2 ** 32,
    mountCount: view.getUint16(0x34, true),
    encoding: view.getUint16(0x27c, true),
    encodingFlags: view.getUint16(0x27e, true),
    flags: view.getUint32(0x160, true),
    blockGroup: view.getUint16(0x5a, true),
    kibibytesWritten: wide(view, 0x178),
    source,
  };
  const checksumOk = hasFeature(flags, "metadata_csum")
    ? checksumOf(bytes) === view.getUint32(0x3fc, true)
    : undefined;
  return { superblock, checksumOk };
}

function journalFields(
  bytes: Uint8Array,
  view: DataView,
): Pick<Superblock, "journalInode" | "journalUuid" | "journalDevice" | "journalBackup"> {
  return {
    journalInode: view.getUint32(0xe0, true),
    journalUuid: uuidText(bytes.subarray(0xd0, 0xe0)),
    journalDevice: view.getUint32(0xe4, true),
    journalBackup: journalBackup(bytes, view),
  };
}
