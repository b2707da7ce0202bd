/**
 * LiveFile: whether a path names a file whose own bytes are the matter, and not an image: where the kernel lists bad bytes in it.
 *
 * A few files of sysfs are read; the file itself is opened only where its device lists anything.
 */
import { StorageError } from "../../base/index.ts";
import { findPlace, inFile, type MountedOptions, type MountedPlace } from "../../fs/index.ts";
import { nodeFiles, openDirectFile } from "../../os/index.ts";
import { kernelList, sidecarPath } from "../../poison/index.ts";

/** Whether the kernel lists bad bytes in a file that has no list of its own beside it. */
export function listsDamageIn(path: string, options: MountedOptions = {}): boolean {
  const place = placeOf(path, options);
  if (place === undefined) return false;
  const { ranges } = kernelList(place.node, options);
  if (ranges.length === 0) return false;
  try {
    const file = openDirectFile(path, { access: "read", unit: place.node.logicalBlock });
    try {
      const extents = file.extents();
      return ranges.some((range) => inFile(extents, range).next().done !== true);
    } finally {
      file.close();
    }
  } catch (error) {
    if (error instanceof StorageError) return false;
    throw error;
  }
}

/** Whether the kernel keeps a list of the device below a file that has none of its own beside it. */
export function mayBeLive(path: string, options: MountedOptions = {}): boolean {
  const place = placeOf(path, options);
  return place !== undefined && kernelList(place.node, options).isListed;
}

function placeOf(path: string, options: MountedOptions): MountedPlace | undefined {
  const info = nodeFiles.info(path);
  if (info?.kind !== "file" || info.size === 0) return undefined;
  if (nodeFiles.info(sidecarPath(nodeFiles.real?.(path) ?? path)) !== undefined) return undefined;
  const place = findPlace(path, options);
  return typeof place === "string" ? undefined : place;
}
