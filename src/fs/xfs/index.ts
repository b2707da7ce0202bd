/** xfs: the map of an XFS file system, version 4 or 5, from its own metadata. */
export { hasXfsSuperblock, isXfs } from "./superblock-search.ts";
export { openXfsMap } from "./xfs-map.ts";
