/** OpenDonor: a donor by the name that a person gave: a directory, or a raw image or stack with whatever list belongs to it. */
import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { StorageError } from "../base/index.ts";
import {
  DIGEST_NAME,
  findDigests,
  imageDonor,
  openDirectoryDonor,
  type Donor,
  type FileDigest,
  type VolumeSource,
} from "../donor/index.ts";
import { nodeFiles } from "../os/index.ts";
import { describeTarget } from "./open-target.ts";
import type { StateRange } from "../poison/index.ts";
import { sourceOf } from "./plan/planner.ts";
import { identityPath } from "./salvage/salvage-identity.ts";
import { readMap } from "./salvage/salvage-map.ts";
import { imageSize, openImage } from "../mapper/index.ts";

/**
 * Opens a donor for reading.
 *
 * An image has its own list: of its sidecar, else of the map that a salvage wrote beside it (`NAME.map` with `NAME.map.theriac`), because the
 * holes of a salvaged copy are not data.
 *
 * @throws {StorageError} ENOENT, EACCES, EBUSY and others
 */
export async function openDonor(name: string): Promise<Donor> {
  const info = nodeFiles.info(name);
  if (info === undefined)
    throw new StorageError("ENOENT", `Cannot use donor "${name}": it is not there`, {
      path: name,
      syscall: "open",
    });
  if (info.kind === "directory") return openDirectoryDonor(name);
  const device = await openImage(name, { poison: salvageHoles(name, await imageSize(name)) });
  try {
    const target = await describeTarget(device, { path: name });
    const volumes = [...target.volumes.keys()]
      .map((index) => sourceOf(target, index))
      .filter((volume): volume is VolumeSource => volume !== undefined);
    return imageDonor({ name, device, volumes, close: () => target.close() });
  } catch (error) {
    await device.close();
    throw error;
  }
}

/** What a salvage did not put into an image that it made: bad there, and not zeros that were read. */
function salvageHoles(name: string, size: number): readonly StateRange[] {
  const map = `${name}.map`;
  const salvaged =
    nodeFiles.info(map) !== undefined && nodeFiles.info(identityPath(map)) !== undefined;
  if (!salvaged) return [];
  const holes = readMap(nodeFiles, map, size).gaps(0, size);
  return Array.from(holes, ({ offset, length }) => ({ offset, length, state: "poisoned" }));
}

/**
 * Refuses a target that is named as its own donor, under whatever name: it has no byte that it misses, and compares equal with itself.
 *
 * @throws {StorageError} ECANCELED
 */
export function refuseItself(target: string, names: readonly string[]): void {
  const own = statSync(target, { throwIfNoEntry: false });
  for (const name of names) {
    const other = statSync(name, { throwIfNoEntry: false });
    if (own === undefined || own.ino !== other?.ino || own.dev !== other.dev) continue;
    throw new StorageError("ECANCELED", `Refused donor "${name}": it is the target itself`, {
      path: name,
    });
  }
}

/** Opens all donors, or none. */
export async function openDonors(names: readonly string[]): Promise<readonly Donor[]> {
  const donors: Donor[] = [];
  try {
    for (const name of names) donors.push(await openDonor(name));
  } catch (error) {
    await closeDonors(donors);
    throw error;
  }
  return donors;
}

/** Closes all donors. */
export async function closeDonors(donors: readonly Donor[]): Promise<void> {
  for (const donor of donors) await donor.close();
}

/**
 * Where digests are looked up: the file that was asked for first, then those found at the roots of directory donors.
 *
 * @throws {StorageError} EBADMSG where one is no digest
 */
export function digestSource(
  file: string | undefined,
  donors: readonly Donor[],
): (paths: ReadonlySet<string>) => Promise<ReadonlyMap<string, FileDigest>> {
  const beside = donors
    .filter(({ kind }) => kind === "directory")
    .map(({ name }) => join(name, DIGEST_NAME));
  const names = [
    ...(file === undefined ? [] : [file]),
    ...beside.filter((name) => existsSync(name)),
  ];
  return async (paths) => {
    const found = new Map<string, FileDigest>();
    for (const name of names) {
      for (const [path, digest] of await findDigests(name, paths))
        if (!found.has(path)) found.set(path, digest);
    }
    return found;
  };
}
