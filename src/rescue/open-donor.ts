/**
 * OpenDonor: a donor by the name that a person gave (donor-name.ts): a tree, an image or stack with whatever list belongs to it, a leg of the target's
 * mirror, one file, or any of them on a web server. Another kind of place is one line in `SCHEMES`.
 */
import { existsSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { StorageError } from "../base/index.ts";
import type { Device, ManagedDevice } from "../device/index.ts";
import {
  DIGEST_NAME,
  findDigests,
  HttpDevice,
  httpFile,
  httpTreeDonor,
  imageDonor,
  openDirectoryDonor,
  openHttpResource,
  singleFileDonor,
  type Donor,
  type DonorFile,
  type FileDigest,
  type VolumeSource,
} from "../donor/index.ts";
import { imageSize, isStackPath, openImage } from "../mapper/index.ts";
import { nodeFiles } from "../os/index.ts";
import { PoisonList, type StateRange } from "../poison/index.ts";
import { deviceFile } from "./device-file.ts";
import { holesOfCopy, mapBeside } from "./donor-map.ts";
import { parseDonorName, type DonorName } from "./donor-name.ts";
import { openMirrorDonor } from "./mirror-donor.ts";
import { volumesOn } from "./describe-target.ts";

/** What is known where a donor is opened. */
export interface OpenDonorOptions {
  /** Path of what is to be healed: a stack that it is a leg of gives its other legs. @default nothing is known */
  readonly target?: string;
}

/** Openers by the scheme of a URL. */
const SCHEMES: Readonly<Record<string, (name: DonorName) => Promise<Donor>>> = {
  http: openHttp,
  https: openHttp,
  nbd: openExport,
  nbds: openExport,
  "nbd+unix": openExport,
  "nbds+unix": openExport,
};

/**
 * Opens a donor for reading.
 *
 * An image has its own list: of its sidecar; of a copy that is not whole, of the map that is named or lies beside it (donor-map.ts), because the holes of a copy are not data.
 *
 * @throws {StorageError} ENOENT, EACCES, EBUSY and others
 * @throws {RangeError} where the name is none
 */
export async function openDonor(name: string, options: OpenDonorOptions = {}): Promise<Donor> {
  const parsed = parseDonorName(name, existsSync);
  const { scheme, place, path, map } = parsed;
  if (scheme !== undefined) {
    const open = SCHEMES[scheme];
    if (open === undefined)
      throw new RangeError(
        `Cannot use donor "${name}": want one of ${Object.keys(SCHEMES).join("://, ")}://`,
      );
    return await open(parsed);
  }
  const info = nodeFiles.info(place);
  if (info === undefined)
    throw new StorageError("ENOENT", `Cannot use donor "${place}": it is not there`, {
      path: place,
      syscall: "open",
    });
  if (path !== undefined) return await openSingle(parsed, path);
  if (info.kind === "directory") {
    if (map !== undefined) throw new RangeError(`Want no map for a tree: got "${name}"`);
    return openDirectoryDonor(place, { holesOf: holesBeside });
  }
  const mirror =
    options.target !== undefined && isStackPath(place)
      ? await openMirrorDonor(place, options.target)
      : undefined;
  if (mirror !== undefined) return mirror;
  const device = await openImage(place, { poison: await holesIn(parsed) });
  return await imageOn(name, device);
}

/** An open device as a donor, which closes it. */
async function imageOn(name: string, device: Device): Promise<Donor> {
  try {
    const volumes: VolumeSource[] = [];
    for (const { offset, length, map } of await volumesOn(device))
      if (map !== undefined) volumes.push({ device, offset, length, map });
    return imageDonor({ name, device, volumes, close: () => device.close() });
  } catch (error) {
    await device.close();
    throw error;
  }
}

/** What of an image is no data, by the map that is named or lies beside it. */
async function holesIn({ place, map }: DonorName): Promise<readonly StateRange[]> {
  const found = map ?? mapBeside(place);
  return found === undefined ? [] : holesOfCopy(found, await imageSize(place));
}

/** What of a file of a tree is no data: where it is a copy that is not whole, the map beside it tells. */
function holesBeside(file: string, size: number): readonly StateRange[] {
  const found = mapBeside(file);
  return found === undefined ? [] : holesOfCopy(found, size);
}

/** `/PATH=PLACE`: a file of a directory as it is; with a map, only what the map has of it. */
async function openSingle(parsed: DonorName, path: string): Promise<Donor> {
  const { name, place, map } = parsed;
  const found = map ?? mapBeside(place);
  let file: DonorFile | undefined;
  if (found === undefined) {
    const beside = openDirectoryDonor(dirname(place));
    file = await beside.file(`/${basename(place).replaceAll("\\", "\\\\")}`);
  } else {
    const device: ManagedDevice = await openImage(place, { poison: await holesIn(parsed) });
    file = deviceFile(device, { name: place, modifiedNs: nodeFiles.info(place)?.modifiedNs ?? 0n });
  }
  if (file === undefined)
    throw new StorageError("ENOENT", `Cannot use donor "${place}": want a regular file`, {
      path: place,
      syscall: "open",
    });
  return singleFileDonor({ name, path, file });
}

/** An export of a block server: an image, wherever it is. */
async function openExport(parsed: DonorName): Promise<Donor> {
  const { name, place } = parsed;
  if (parsed.path !== undefined)
    throw new RangeError(`Want no path before the URI of a whole export: got "${name}"`);
  return await imageOn(name, await openImage(place, { poison: await holesIn(parsed) }));
}

/** A URL that ends in "/" is a tree, another one an image, or one file where the name says of which path. */
async function openHttp({ name, place, path, map }: DonorName): Promise<Donor> {
  if (path === undefined && new URL(place).pathname.endsWith("/")) {
    if (map !== undefined) throw new RangeError(`Want no map for a tree: got "${name}"`);
    return httpTreeDonor(place);
  }
  const resource = await openHttpResource(place);
  const list = new PoisonList(resource.size);
  if (map !== undefined)
    for (const hole of holesOfCopy(map, resource.size)) list.mark(hole, "poisoned");
  const device = new HttpDevice(resource, list);
  if (path === undefined) return await imageOn(name, device);
  const file =
    map === undefined
      ? httpFile(resource)
      : deviceFile(device, { name: resource.name, modifiedNs: resource.modifiedNs });
  return singleFileDonor({ name, path, file });
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
export async function openDonors(
  names: readonly string[],
  options: OpenDonorOptions = {},
): Promise<readonly Donor[]> {
  const donors: Donor[] = [];
  try {
    for (const name of names) donors.push(await openDonor(name, options));
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
