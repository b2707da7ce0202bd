/**
 * os: the operating system: files and locks, mappings, holes and aligned buffers. The only importer of koffi.
 *
 * Promises: every failure is a `StorageError` with its file; opening never blocks; small reads answer at once.
 */
export { alignedBuffer } from "./aligned-buffer.ts";
export {
  blockNodeNamed,
  blockNodeNumbered,
  blockNodeOf,
  deviceNumber,
  nodesUpon,
  sysfsNames,
  sysfsText,
  sysfsWhole,
  type BlockNode,
  type SysfsOptions,
} from "./block-node.ts";
export { crc32 } from "./crc32.ts";
export { duplicateDescriptor, enlargeSendBuffer } from "./descriptors.ts";
export {
  DirectFile,
  missingCapability,
  openDirectFile,
  type DirectFileOptions,
} from "./direct-file.ts";
export { askedOnce, dmTable, type DmTableOptions } from "./dm-table.ts";
export { type ExtentFlaw, type FileExtent, type FileExtentsOptions } from "./file-extents.ts";
export type { FileFlags } from "./file-flags.ts";
export type { FileLease } from "./file-lease.ts";
export { hostError, isMediaFailure } from "./host-error.ts";
export type { HostFile, HostFileInfo, HostFiles, OpenOptions } from "./host-files.ts";
export {
  openLiveFile,
  type LiveAnswer,
  type LiveFacts,
  type LiveFile,
  type LiveFileOptions,
} from "./live-file.ts";
export { mapFile, WINDOW, type FileMapping } from "./mapping.ts";
export { mounts, type Mount, type MountsOptions } from "./mounts.ts";
export { NodeFile, nodeFiles } from "./node-files.ts";
export {
  runProgram,
  type ProgramAnswer,
  type ProgramRunner,
  type RunProgramOptions,
} from "./run-program.ts";
export { dataRanges, fillHoles } from "./seek-hole.ts";
