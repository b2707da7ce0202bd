/**
 * Target: what a command works on: a device, and the volumes with their file maps that were found on it.
 */
import type { ManagedDevice } from "../device/index.ts";
import type { FileMap, MountedOptions } from "../fs/index.ts";

/** One file system, or a place where one might be. */
export interface Volume {
  /** "" for a device without partitions, else "partition 2". */
  readonly name: string;
  /** First byte on the device. */
  readonly offset: number;
  /** Bytes. */
  readonly length: number;
  /** `undefined` where no known file system is, or it cannot be read: `why` says so. */
  readonly map: FileMap | undefined;
  readonly why: string | undefined;
}

/** An open target. */
export interface Target {
  /** As the user gave it. */
  readonly path: string;
  readonly device: ManagedDevice;
  /** Ascending; parts of the device outside all volumes are in `outside`. */
  readonly volumes: readonly Volume[];
  /** What the rest of the device is: partition tables and unpartitioned space. */
  readonly outside: readonly {
    readonly offset: number;
    readonly length: number;
    readonly what: "partition-table" | "unpartitioned";
  }[];
  /** Sentences for people: what its list and its partition table left open. */
  readonly notes?: readonly string[];
  /** Set where it is a block device, or a file on one, of this live machine. */
  readonly live?: LiveTarget;
  close(): Promise<void>;
}

/** What a live target is beside what every target is. */
export interface LiveTarget {
  /** Where its list is kept, or would be: its log stands beside it. */
  readonly statePath: string;
  /** Of a single file: its path from the root of its file system. */
  readonly file?: string;
  /** Of a single file: what the kernel says of it now; without it the device's bytes tell. */
  again?(): Target;
}

/** How a target is opened. */
export interface TargetOptions {
  /** "write" takes the image's lock alone. @default "read" */
  readonly access?: "read" | "write";
  /** File with a list of bad ranges, in any of the texts. Never written to; never brings back what was healed since. */
  readonly poison?: string;
  /** Whether images are mapped where that can be done, so that they can lend their bytes. @default false */
  readonly map?: boolean;
  /** Whether a file is taken as one of this live machine, and not as an image. @default where the kernel lists bad bytes in it, and it is no image */
  readonly live?: boolean;
  /** Where the system tells of devices and mounts. @default the machine's own */
  readonly system?: MountedOptions;
}
