/** Partition: a part of a disk, as its table names it, and the table with what is wrong in it. */
import type { ByteRange } from "../base/index.ts";

/** One partition that can be used. Offsets and lengths are bytes of the disk. */
export interface Partition extends ByteRange {
  /** Number as Linux gives it: the 2 of `sda2`; logical ones count from 5. */
  readonly index: number;
  /** GPT: the type's GUID in lower case; MBR: `0x83`. */
  readonly type: string;
  /** Name that a GPT gives it; "" where there is none. */
  readonly name: string;
  /** PARTUUID in lower case: a GUID, or disk signature and number as Linux joins them (`8f3b1c2a-02`); "" where unknown. */
  readonly uuid: string;
}

/** Something wrong in a table, and what follows from it. */
export interface TableProblem {
  /** Where, in bytes of the disk; absent where it has no one place. */
  readonly range?: ByteRange;
  /** A sentence for people. */
  readonly message: string;
}

/** The partition table of a disk. */
export interface PartitionTable {
  readonly kind: "gpt" | "mbr";
  /** Bytes of a sector that the table counts in: 512 or 4096. */
  readonly sectorSize: number;
  /** Disk GUID, or the eight digits of the disk signature; "" where unknown. */
  readonly uuid: string;
  /** Which copy was read: "both" where each had parts that the other misses. An MBR has no backup. */
  readonly source: "primary" | "backup" | "both";
  /** Partitions that can be used, ascending by offset, none overlapping another, none past the end. */
  readonly partitions: readonly Partition[];
  /** Bytes that the table itself takes (MBR, headers, entries, links of an extended partition): ascending, merged. */
  readonly occupied: readonly ByteRange[];
  /** Whether every partition is known. Where not, space outside the known ones must not be called unpartitioned. */
  readonly complete: boolean;
  readonly problems: readonly TableProblem[];
}
