/** openListed: a device with the list that `--poison` brings, for commands that need no file system. */
import { openDevice, type MediaDevice } from "../device/index.ts";
import { readPoisonListFor } from "../rescue/index.ts";

/** What is opened, and how. */
export interface OpenListedOptions {
  readonly access: "read" | "write";
  /** File of `--poison`. */
  readonly poison?: string;
}

/**
 * Opens an image with a list in any of the texts; the image's own list wins.
 *
 * @returns the device, and what the list leaves open
 * @throws {StorageError} of image and list
 */
export async function openListed(
  image: string,
  options: OpenListedOptions,
): Promise<{ readonly device: MediaDevice; readonly notes: readonly string[] }> {
  const { access, poison } = options;
  if (poison === undefined) return { device: openDevice(image, { access }), notes: [] };
  const { ranges, notes, incomplete } = await readPoisonListFor(image, poison);
  const more = incomplete ? [`List ${poison} is not whole: more may be bad than it names`] : [];
  return { device: openDevice(image, { access, poison: ranges }), notes: [...notes, ...more] };
}
