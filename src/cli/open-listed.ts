/** openListed: a device with the list that `--poison` brings, for commands that need no file system. */
import { StorageError } from "../base/index.ts";
import type { ManagedDevice, OpenDeviceOptions } from "../device/index.ts";
import { openImage } from "../mapper/index.ts";
import { listFor } from "../rescue/index.ts";

/** What is opened, and how. */
export interface OpenListedOptions {
  readonly access: "read" | "write";
  /** File of `--poison`. */
  readonly poison?: string;
  /** Whether to map images. @default false */
  readonly map?: boolean;
}

/**
 * Opens an image or a stack with a list in any of the texts; the image's own list wins.
 *
 * @returns the device, and what the list leaves open
 * @throws {StorageError} of image and list
 */
export async function openListed(
  image: string,
  options: OpenListedOptions,
): Promise<{ readonly device: ManagedDevice; readonly notes: readonly string[] }> {
  const { access, poison, map = false } = options;
  const list = await listFor(image, poison);
  const given = list === undefined ? {} : { poison: list.ranges };
  return { device: await openFilled(image, { access, map, ...given }), notes: list?.notes ?? [] };
}

/** An empty file is no image: a list of nothing would look like good news. */
async function openFilled(image: string, options: OpenDeviceOptions): Promise<ManagedDevice> {
  const device = await openImage(image, options);
  if (device.size > 0) return device;
  await device.close();
  throw new StorageError("EBADMSG", `Cannot open ${image}: it is empty`, {
    path: image,
    syscall: "open",
  });
}
