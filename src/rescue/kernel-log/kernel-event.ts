/** KernelEvent: one thing that a kernel line says went wrong, and where. */
import type { ByteRange } from "../../base/index.ts";

/** Where a line comes from. */
export type KernelEventKind =
  /** The block layer: `I/O error, dev sda, sector N`. */
  | "block"
  /** The page cache over a block device: `Buffer I/O error on dev sda1, logical block N`. */
  | "buffer"
  /** A SCSI disk: sense data, or the command that failed. */
  | "scsi"
  /** libata, which knows ports, not disks: its `device` is `ata3.00`. */
  | "ata"
  | "nvme"
  | "ext4"
  | "journal"
  | "xfs"
  | "btrfs"
  | "md"
  | "device-mapper"
  /** Persistent memory: nd_pmem, nfit, CXL. */
  | "pmem"
  /** Memory by its physical address: machine checks, firmware's records, EDAC, the page that was given up. */
  | "memory";

/** What went wrong. "media": the bytes are gone; "corrected": they were read in the end; "other": not the media's fault, as a timeout. */
export type KernelEventCause = "media" | "corrected" | "other" | "unknown";

/** One event. Lines that say the same are one event with a count. */
export interface KernelEvent {
  readonly kind: KernelEventKind;
  /** Name as the kernel prints it (`sda`, `nvme0n1p2`, `dm-0`, `ata3.00`); `undefined` where the line names none. */
  readonly device: string | undefined;
  /** The state in the kernel's own words: "critical medium error", "Unrecovered read error". */
  readonly status: string;
  readonly cause: KernelEventCause;
  /** What was tried, where the line says. */
  readonly operation: "read" | "write" | undefined;
  /** Where, in bytes of `device`; or of physical memory where `space` says so. `undefined` where the line does not say. */
  readonly range: ByteRange | undefined;
  readonly space: "device" | "physical";
  /**
   * How to take the range. "exact": these bytes; "from": the error is at the first byte, and how far it goes is not told;
   * "within": some bytes of it, because the range is that of a whole request.
   */
  readonly precision: "exact" | "from" | "within";
  /** The size of a block was guessed: the line counts in blocks and does not say how large they are. */
  readonly unitGuessed: boolean;
  /** Inode that a file system named. */
  readonly inode: number | undefined;
  /** Block of the file that a file system named, in its own blocks. */
  readonly fileBlock: number | undefined;
  /** Number of the first such line, from 1, and its text without time and host. */
  readonly line: number;
  readonly text: string;
  /** How many lines said so. */
  readonly count: number;
}

/** What a line gives; the rest of an event has defaults. */
export interface KernelFinding {
  readonly kind: KernelEventKind;
  readonly device?: string | undefined;
  readonly status: string;
  readonly cause: KernelEventCause;
  readonly operation?: "read" | "write" | undefined;
  readonly range?: ByteRange | undefined;
  readonly space?: "device" | "physical";
  readonly precision?: "exact" | "from" | "within";
  readonly unitGuessed?: boolean;
  readonly inode?: number | undefined;
  readonly fileBlock?: number | undefined;
}

/** What the lines before this one, and the caller, told. */
export interface KernelLineContext {
  /** Bytes of a file system's or buffer's block on a device, and whether that is a guess. */
  blockSize(device: string, block: number): { readonly bytes: number; readonly guessed: boolean };
  /** Bytes of a logical block of a disk (the LBA of SCSI and NVMe), and whether that is a guess. */
  logicalBlockSize(
    device: string,
    lba: number,
  ): { readonly bytes: number; readonly guessed: boolean };
  /** Sense data of a disk's last failed command: set by the lines before the command's own. */
  readonly sense: Map<string, string>;
  /** Disk whose line ended with "CDB:" (kernels before 3.18 print the command on a line of its own). */
  pendingCommand: string | undefined;
}
