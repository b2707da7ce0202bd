/** served-devices: the devices that `theriac serve` offers: opened, named, and told apart by whether memory may answer for them. */
import { basename } from "node:path";
import { SimulatedDevice, MediaDevice, type ManagedDevice } from "../device/index.ts";
import { exportsOf, type ExportOptions } from "../nbd/index.ts";
import { openListed } from "./open-listed.ts";

/** One image or stack that is served. */
export interface ServedDevice {
  readonly path: string;
  readonly device: ManagedDevice;
  readonly export: ExportOptions;
  /** Names of its exports. */
  readonly names: ReadonlySet<string>;
}

/** How devices are opened for serving. */
export interface ServeDevicesOptions {
  readonly readOnly: boolean;
  /** Names in place of the files' own, in order. */
  readonly names: readonly string[];
  /** File of `--poison`. */
  readonly poison: string | undefined;
  /** Hears what a list leaves open. */
  readonly warn: (message: string) => void;
}

/** Opens every path, and closes all where one fails. @throws {StorageError} as `openListed` */
export async function openServed(
  paths: readonly string[],
  options: ServeDevicesOptions,
): Promise<readonly ServedDevice[]> {
  const { names, poison } = options;
  if (names.length > paths.length)
    throw new RangeError(`Cannot name ${names.length} exports: want one --name for each image`);
  if (poison !== undefined && paths.length > 1)
    throw new RangeError("Cannot use --poison with several images: want one");
  const served: ServedDevice[] = [];
  try {
    for (const [index, path] of paths.entries())
      served.push(await openOne(path, names[index] ?? basename(path), options));
    return served;
  } catch (error) {
    await closeServed(served);
    throw error;
  }
}

async function openOne(
  path: string,
  name: string,
  { readOnly, poison, warn }: ServeDevicesOptions,
): Promise<ServedDevice> {
  const access = readOnly ? "read" : "write";
  const list = poison === undefined ? {} : { poison };
  const { device, notes } = await openListed(path, { access, map: true, ...list });
  for (const note of notes) warn(note);
  const isDirect = (): boolean => mayAnswerDirect(device);
  const offered = { name, description: path, device, readOnly, isDirect };
  const names = new Set(exportsOf(offered).map((face) => face.name));
  return { path, device, export: offered, names };
}

/** Whether the mapping may answer: of one image, and where no zone is slow on purpose. */
function mayAnswerDirect(device: ManagedDevice): boolean {
  if (!(device instanceof MediaDevice)) return false;
  return !(device instanceof SimulatedDevice) || !device.hasSlowZones;
}

/** Closes them, last first; every one is tried, and the first failure thrown. */
export async function closeServed(served: readonly ServedDevice[]): Promise<void> {
  const failures: unknown[] = [];
  for (const { device } of served.toReversed()) {
    try {
      await device.close();
    } catch (error) {
      failures.push(error);
    }
  }
  if (failures.length > 0) throw failures[0];
}
