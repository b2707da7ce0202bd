/**
 * Journal superblock: the first block of a journal, big-endian (kernel: journal_superblock_t, checked as jbd2_journal_get_superblock and load_superblock do).
 */
import { crc32c } from "../../base/index.ts";

/** What every block of the journal's own begins with. */
export const JOURNAL_MAGIC = 0xc03b3998;

/** Types of the journal's own blocks. */
export const BLOCK_TYPE = {
  descriptor: 1,
  commit: 2,
  superblock1: 3,
  superblock2: 4,
  revoke: 5,
} as const;

const CHECKSUM_1 = 0x1;
const REVOKE = 0x1;
const WIDE = 0x2;
const ASYNC_COMMIT = 0x4;
const CHECKSUM_2 = 0x8;
const CHECKSUM_3 = 0x10;
const FAST_COMMIT = 0x20;
const KNOWN_INCOMPATIBLE = REVOKE | WIDE | ASYNC_COMMIT | CHECKSUM_2 | CHECKSUM_3 | FAST_COMMIT;
const CRC32C = 4;
const SIZE = 1024;
/** Smallest log that the kernel accepts beside a fast-commit area. */
const SMALLEST_LOG = 1024;
const DEFAULT_FAST_COMMIT_BLOCKS = 256;

/** A journal superblock, decoded. Places in the log are blocks of the journal, from its first block, 0. */
export interface JournalSuperblock {
  /** Blocks of the journal. */
  readonly length: number;
  /** First block of the log. */
  readonly first: number;
  /** First block after the log; with fast commits their area begins at `last + 1`. */
  readonly last: number;
  /** First transaction expected in the log. */
  readonly sequence: number;
  /** Where it begins; 0: the journal is empty. */
  readonly start: number;
  readonly wide: boolean;
  readonly asyncCommit: boolean;
  readonly fastCommit: boolean;
  /** 0: none; 1: one sum of a whole transaction; 2 and 3: of each block. */
  readonly checksum: 0 | 1 | 2 | 3;
  /** Seed of version 2 and 3 sums. */
  readonly seed: number;
}

/** A journal superblock, or why it serves none. */
export type JournalSuperblockResult =
  | { readonly journal: JournalSuperblock; readonly why?: undefined }
  | { readonly journal?: undefined; readonly why: string };

interface Features {
  readonly compat: number;
  readonly incompat: number;
}

function whyFeatures(features: Features, checksumType: number): string | undefined {
  const unknown = features.incompat & ~KNOWN_INCOMPATIBLE;
  if (unknown !== 0) return `has unknown features 0x${(unknown >>> 0).toString(16)}`;
  const each = (features.incompat & (CHECKSUM_2 | CHECKSUM_3)) !== 0;
  if ((features.incompat & CHECKSUM_2) !== 0 && (features.incompat & CHECKSUM_3) !== 0)
    return "has checksums of versions 2 and 3 at once";
  if (each && (features.compat & CHECKSUM_1) !== 0)
    return "has checksums of version 1 and a later one at once";
  if (each && checksumType !== CRC32C) return `has checksums of unknown type ${checksumType}`;
  return undefined;
}

function checksumVersion(features: Features): 0 | 1 | 2 | 3 {
  if ((features.incompat & CHECKSUM_3) !== 0) return 3;
  if ((features.incompat & CHECKSUM_2) !== 0) return 2;
  return (features.compat & CHECKSUM_1) !== 0 ? 1 : 0;
}

function logEnd(view: DataView, length: number, fastCommit: boolean): number {
  if (!fastCommit) return length;
  const named = view.getUint32(0x54);
  const area = named === 0 ? DEFAULT_FAST_COMMIT_BLOCKS : named;
  return length - area >= SMALLEST_LOG ? length - area : length;
}

/**
 * Decodes the first block of a journal.
 *
 * @param bytes at least its first 1024 bytes
 * @param blockSize of the volume: the journal's must be the same
 * @param blocks how many the journal's inode has: it may say fewer itself, never more
 */
export function decodeJournalSuperblock(
  bytes: Uint8Array,
  blockSize: number,
  blocks: number,
): JournalSuperblockResult {
  const view = new DataView(bytes.buffer, bytes.byteOffset, SIZE);
  if (view.getUint32(0) !== JOURNAL_MAGIC) return { why: "has no magic number" };
  const type = view.getUint32(4);
  if (type !== BLOCK_TYPE.superblock1 && type !== BLOCK_TYPE.superblock2)
    return { why: `is a block of type ${type}` };
  if (view.getUint32(0x0c) !== blockSize)
    return { why: `has block size ${view.getUint32(0x0c)} and the volume ${blockSize}` };
  const length = view.getUint32(0x10);
  if (length > blocks) return { why: `has ${length} blocks and its inode ${blocks}` };
  const features =
    type === BLOCK_TYPE.superblock1
      ? { compat: 0, incompat: 0 }
      : { compat: view.getUint32(0x24), incompat: view.getUint32(0x28) };
  const why = whyFeatures(features, bytes[0x50] as number);
  if (why !== undefined) return { why };
  const checksum = checksumVersion(features);
  if (checksum >= 2 && !checksumOk(bytes)) return { why: "has a wrong checksum" };
  const fastCommit = (features.incompat & FAST_COMMIT) !== 0;
  const first = view.getUint32(0x14);
  const last = logEnd(view, length, fastCommit);
  const start = view.getUint32(0x1c);
  if (first === 0 || first >= last) return { why: `has its log from block ${first} to ${last}` };
  if (start !== 0 && (start < first || start >= last))
    return { why: `begins at block ${start}, outside its log from ${first} to ${last}` };
  return {
    journal: {
      length,
      first,
      last,
      start,
      sequence: view.getUint32(0x18),
      wide: (features.incompat & WIDE) !== 0,
      asyncCommit: (features.incompat & ASYNC_COMMIT) !== 0,
      fastCommit,
      checksum,
      seed: crc32c(bytes.subarray(0x30, 0x40), 0xffffffff),
    },
  };
}

function checksumOk(bytes: Uint8Array): boolean {
  const copy = bytes.slice(0, SIZE);
  const view = new DataView(copy.buffer);
  const stored = view.getUint32(0xfc);
  view.setUint32(0xfc, 0);
  return crc32c(copy, 0xffffffff) === stored;
}
