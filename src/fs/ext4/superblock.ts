/** Superblock: the fields of an ext4 superblock, from the primary or a backup. */

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
}
