/**
 * fs: whose bytes are these? Offset to extent, extent to owners, for any file system that is known here.
 *
 * Promises: reads only; what cannot be known is told as unknown with the reason, never guessed. Stands on base and device.
 */
export {
  OWNER_WHATS,
  type Extent,
  type ExtentOptions,
  type FileInfo,
  type FileMap,
  type JournalState,
  type OwnedRange,
  type Owner,
  type OwnerKind,
  type OwnerWhat,
  type Problem,
} from "./file-map.ts";
export { nameToText, textToName } from "./names.ts";
export { openFileMap, type FileMapOptions, type MapSource } from "./detect.ts";
export { inFile, MountedMap, onDevice, type MountedFacts } from "./mounted/mounted-map.ts";
export {
  findPlace,
  mountedPlace,
  type MountedOptions,
  type MountedPlace,
} from "./mounted/mounted-place.ts";
