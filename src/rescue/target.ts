/**
 * Target: what a command works on: a device, and the volumes with their file maps that were found on it.
 */
import type { ManagedDevice } from "../device/index.ts";
import type { FileMap } from "../fs/index.ts";

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
  close(): Promise<void>;
}

/** How a target is opened. */
export interface TargetOptions {
  /** "write" takes the image's lock alone. @default "read" */
  readonly access?: "read" | "write";
  /** File with a list of bad ranges, in any of the texts. Never written to; never brings back what was healed since. */
  readonly poison?: string;
  /** Whether images are mapped where that can be done, so that they can lend their bytes. @default false */
  readonly map?: boolean;
}
