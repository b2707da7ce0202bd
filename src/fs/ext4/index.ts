/** ext4: the map of an ext2, ext3 or ext4 file system, from its own metadata. */
export { openExt4Map } from "./ext4-map.ts";
export { isExt4 } from "./superblock-search.ts";
