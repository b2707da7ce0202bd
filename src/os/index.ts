/**
 * os: the operating system: files and locks now, mappings, holes and aligned buffers. The only importer of koffi.
 *
 * Promises: every failure is a `StorageError` with its file; opening never blocks; small reads answer at once.
 */
export { hostError, isMediaFailure } from "./host-error.ts";
export type { HostFile, HostFileInfo, HostFiles, OpenOptions } from "./host-files.ts";
export { NodeFile, nodeFiles } from "./node-files.ts";
