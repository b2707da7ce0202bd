/**
 * Donor: a place that may hold good bytes. What they are worth is decided by grade.ts, never by the donor itself.
 */
import type { MaybePromise } from "../base/index.ts";
import type { Device, ReadResult } from "../device/index.ts";
import type { FileMap } from "../fs/index.ts";

/** One file that a donor offers. */
export interface DonorFile {
  /** Where it is, for people: a path, or a path inside an image. */
  readonly name: string;
  /** Bytes. */
  readonly size: number;
  /** Nanoseconds since 1970. */
  readonly modifiedNs: bigint;
  /** Fills `into` from `offset`; what the donor itself misses is told as ranges of the file. */
  read(into: Uint8Array, offset: number): MaybePromise<ReadResult>;
  close(): MaybePromise<void>;
}

/** A donor that is a copy of the whole volume: bytes at the same offset, and a map of its files. */
export interface DonorVolume {
  readonly device: Device;
  /** First byte of the volume on the device. */
  readonly offset: number;
  /** Bytes of the volume. */
  readonly length: number;
  readonly map: FileMap;
}

/** A place that may hold good bytes. */
export interface Donor {
  /** As the user gave it. */
  readonly name: string;
  readonly kind: "directory" | "image";
  /**
   * The file of an absolute path of the target; `undefined` where the donor has none. Never leaves the donor's tree.
   *
   * @param uuid the file system that the path belongs to: of a donor with several, the one with this UUID is asked
   */
  file(path: string, uuid?: string): MaybePromise<DonorFile | undefined>;
  /** The volume of a file system, by its UUID, for metadata; `undefined` where the donor has none. */
  volume(uuid: string): MaybePromise<DonorVolume | undefined>;
  close(): MaybePromise<void>;
}
