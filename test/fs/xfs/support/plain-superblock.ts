/** plain-superblock: a superblock of chosen geometry, for tests of what needs no image. */
import type { Superblock } from "../../../../src/fs/xfs/superblock.ts";

/** A superblock of blocks of 4096 bytes and inodes of 512. */
export function superblockOf({
  version,
  agBlocks,
  agCount,
}: {
  readonly version: 4 | 5;
  readonly agBlocks: number;
  readonly agCount: number;
}): Superblock {
  return {
    version,
    features: {
      checksums: version === 5,
      fileTypes: true,
      sparseInodes: true,
      freeInodeTree: true,
      reverseMap: true,
      reflink: true,
      parentPointers: false,
      metadataDirectories: false,
    },
    unknownFeatures: [],
    uuid: "",
    stamp: new Uint8Array(16),
    label: "",
    blockSize: 4096,
    sectorSize: 512,
    inodeSize: 512,
    directoryBlockSize: 4096,
    blockCount: agBlocks * agCount,
    agBlocks,
    agCount,
    agBlockBits: Math.ceil(Math.log2(agBlocks)),
    inodesPerBlock: 8,
    inodesPerBlockBits: 3,
    logStart: 0,
    logBlocks: 0,
    logSectorSize: 512,
    rootInode: 128,
    quotaInodes: [],
    realtimeBitmap: undefined,
    realtimeSummary: undefined,
    state: "",
    inProgress: false,
  };
}
