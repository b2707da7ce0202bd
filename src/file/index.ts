/**
 * file: what programs call: preadv2 and pwritev2 with their flags, on a device and on a file in an image.
 *
 * Promises Linux' results for calls without RWF_RECOVERY_DATA, on memory and on block devices, and with it all clean bytes, and clear and
 * data in one step or a failure. Stands on base, device, dax and fs.
 */
export type { ReadAround } from "../dax/index.ts";
export {
  BUFFERS_MAX,
  CALL_BYTES_MAX,
  type Answer,
  type Buffers,
  type Face,
  type File,
  type FileCalls,
} from "./file.ts";
export { failFastHandle, recoveryHandle } from "./handles.ts";
export { openFile, type OpenFileOptions } from "./open-file.ts";
export {
  formatFlags,
  RWF_APPEND,
  RWF_ATOMIC,
  RWF_DONTCACHE,
  RWF_DSYNC,
  RWF_HIPRI,
  RWF_NOAPPEND,
  RWF_NOSIGNAL,
  RWF_NOWAIT,
  RWF_RECOVERY_DATA,
  RWF_SYNC,
} from "./rwf-flags.ts";

// Mapped files.
export type { MappingEvent, RingContent } from "./event-ring.ts";
export type { MapOptions } from "./map-options.ts";
export { mapFile, type MappedFile } from "./mapped-file.ts";
export { MemoryError, type MemoryErrorOptions } from "./memory-error.ts";
export type { Section, SectionResult } from "./section.ts";
