/** memory-failure: the words in which a failure of memory is told: signal codes, flags, results, and who hears of it. */
import type { ByteRange } from "../base/index.ts";

/** `si_code` of a SIGBUS whose address cannot be mapped: what kernels before 6.5 send for known poison (asm-generic/siginfo.h). */
export const BUS_ADRERR = 2;
/** `si_code` of a SIGBUS for poison that this very access met: action required. */
export const BUS_MCEERR_AR = 4;
/** `si_code` of a SIGBUS for poison that somebody else met: action optional. */
export const BUS_MCEERR_AO = 5;

/** Flag of a failure that the running access met (`enum mf_flags`, include/linux/mm.h). */
export const MF_ACTION_REQUIRED = 0x02;
/** Flag: a signal that was caught or blocked still ends the process. */
export const MF_MUST_KILL = 0x04;
/** Flag: nothing has failed; the device is about to go. */
export const MF_MEM_PRE_REMOVE = 0x80;

/** What a holder made of a failure; Linux' 0 is "handled", and its errno are themselves. */
export type FailureResult = "handled" | "ENXIO" | "EOPNOTSUPP" | "EIO" | "EFSCORRUPTED";

/** Who holds a device: a file system that can tell which files a failure hits (`struct dax_holder_operations`). */
export interface DaxHolder {
  /**
   * Hears of a failure.
   *
   * @param range bytes of the device, whole pages
   * @param flags MF_ flags
   * @returns "EOPNOTSUPP" where it cannot tell: then all that map the range hear of it
   */
  notifyFailure(range: ByteRange, flags: number): FailureResult;
}

/** Who has the device's memory mapped. Ranges are bytes of the device. */
export interface MappingListener {
  /** Whether any byte of a range is mapped. */
  maps(range: ByteRange): boolean;
  /** A part of the memory is bad: BUS_MCEERR_AR where this mapping's own access met it, else BUS_MCEERR_AO. */
  failed(range: ByteRange, siCode: typeof BUS_MCEERR_AR | typeof BUS_MCEERR_AO): void;
  /** Data is durable over what was bad. */
  healed(range: ByteRange): void;
  /** The device is gone. */
  removed(): void;
}

/** One failure of memory. */
export interface MemoryFailure {
  /** First bad byte, or any in the unit that failed. */
  readonly offset: number;
  /** Least significant bit of the address that means something: 6 for a line, 8 for 256 bytes, 12 for a page. From 0 to 30. */
  readonly lsb: number;
  /**
   * Who says so. "machineCheck" is the hardware: the unit joins the device's list, as `nfit_handle_mce` has it, and its page is taken out of
   * the kernel's map. "madvise" is MADV_HWPOISON: neither. @default "machineCheck"
   */
  readonly source?: "machineCheck" | "madvise";
}
