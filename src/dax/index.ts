/**
 * dax: direct access: iomap reads and writes, recovery read and recovery write, zeroing, memory failure.
 *
 * Promises the results of Linux' fs/dax.c and drivers/dax (kernel 7.1) for calls without the flag, except where R1 and R4 forbid them
 * (docs/linux.md). Stands on base, device and mapper.
 */
export { mediaError, unknownPlace, type DaxFile } from "./dax-file.ts";
export { daxRead } from "./dax-read.ts";
export { daxProveWhole, daxReadWhole, daxWriteWhole } from "./dax-whole.ts";
export { daxReadAround } from "./dax-read-around.ts";
export { dataPieces, readAroundOf, type DataPiece, type ReadAround } from "./read-around.ts";
export { daxWrite, nextHeal, shorterHeal } from "./dax-write.ts";
export { ExtentTable, type ExtentKind, type FileExtent } from "./extent-table.ts";
export { IoVector } from "./io-vector.ts";

// Mappings, zeroing and failure.
export { compareRanges, type FilePlace } from "./compare-ranges.ts";
export { copyAround, unshareRange, type NewBlocks } from "./copy-around.ts";
export { DaxDevice, daxDeviceOf } from "./dax-device.ts";
export {
  BUS_ADRERR,
  BUS_MCEERR_AO,
  BUS_MCEERR_AR,
  MF_ACTION_REQUIRED,
  MF_MEM_PRE_REMOVE,
  MF_MUST_KILL,
  type DaxHolder,
  type FailureResult,
  type MappingListener,
  type MemoryFailure,
} from "./memory-failure.ts";
export { zeroRange } from "./zero-range.ts";
