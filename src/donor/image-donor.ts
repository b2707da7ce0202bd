/**
 * ImageDonor: a raw image (a whole disk or one file system) as a donor, through its own list and its own file maps.
 *
 * Its poisoned and lost bytes are never used as data: its device tells them as missing.
 */
import type { Device } from "../device/index.ts";
import type { Donor, DonorFile, DonorTwin, DonorVolume } from "./donor.ts";
import { VolumeFile, type VolumeSource } from "./volume-file.ts";

/** What an image donor is made of: an open device, and the volumes that were found on it. */
export interface ImageDonorParts {
  /** As the user gave it. */
  readonly name: string;
  readonly device: Device;
  /** The volumes whose file system is known. */
  readonly volumes: readonly VolumeSource[];
  /** Where it is a leg of the target's mirror. @default it is none */
  readonly twin?: DonorTwin;
  /** Closes the device. */
  close(): Promise<void> | void;
}

class ImageDonor implements Donor {
  readonly name: string;
  readonly kind = "image";
  readonly twin: DonorTwin | undefined;
  readonly #parts: ImageDonorParts;

  constructor(parts: ImageDonorParts) {
    this.name = parts.name;
    this.twin = parts.twin;
    this.#parts = parts;
  }

  /** The file of the volume with the wanted UUID; without a wish of the only volume, or of the first that has the path. */
  async file(path: string, uuid?: string): Promise<DonorFile | undefined> {
    const same = this.#parts.volumes.filter((volume) => volume.map.uuid === uuid);
    for (const volume of same.length > 0 ? same : this.#parts.volumes) {
      const inode = await volume.map.lookup(path);
      if (inode === undefined) continue;
      const info = await volume.map.info(inode);
      if (info?.kind === "file" && !info.encrypted)
        return new VolumeFile(volume, info, `${this.name}:${path}`);
    }
    return undefined;
  }

  volume(uuid: string): DonorVolume | undefined {
    return this.#parts.volumes.find((volume) => volume.map.uuid === uuid);
  }

  async close(): Promise<void> {
    await this.#parts.close();
  }
}

/** Makes a donor of an open image; closing the donor closes the image. */
export function imageDonor(parts: ImageDonorParts): Donor {
  return new ImageDonor(parts);
}
