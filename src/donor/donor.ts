/**
 * Donor: a place that may hold good bytes, and the one contract that every such place fulfils. docs/donors.md says how to write another one;
 * `donorSuite` (src/testing) is the contract as tests.
 *
 * What they are worth is decided by grade.ts, never by the donor itself. What a donor promises is small:
 *
 * - It only reads. Nothing on its side changes.
 * - A byte that it does not have is told as missing, never made up (R1): not behind the end of a file, not where its own medium is bad, not where a
 *   copy has not got it yet, not where it was cut off, shrank or changed since it was opened.
 * - It says cheaply what it knows not to have (`lacks`), so that several donors can share a hole.
 * - No path leads out of it, whatever the path says: paths come from the target, and the target is a stranger's.
 * - Where it no longer answers at all it throws a `StorageError` that names it. Nothing hangs.
 */
import type { BadRange, ByteRange, MaybePromise } from "../base/index.ts";
import type { Device, ReadResult } from "../device/index.ts";
import type { FileMap } from "../fs/index.ts";

/** One file that a donor offers, open. Several may be open at once, and several reads of one may be under way. */
export interface DonorFile {
  /** Where it is, for people: a path, a path inside an image, a URL. */
  readonly name: string;
  /** Bytes, as it was when it was opened. */
  readonly size: number;
  /** Nanoseconds since 1970; whole seconds where the donor keeps no more. */
  readonly modifiedNs: bigint;
  /**
   * Fills `into` from `offset`, whole or in part.
   *
   * @returns the ranges of the file that `into` does not hold: ascending, apart, inside the request; what lies behind the end is missing too, "unread"
   * @throws {StorageError} where the donor as a whole no longer answers, or the file is another one now (ESTALE)
   */
  read(into: Uint8Array, offset: number): MaybePromise<ReadResult>;
  /**
   * What of a range, inside the file, it knows not to have, without reading data: ascending, apart, inside the range. A read may miss more.
   *
   * @default nothing is known: see `knownLacks`
   */
  lacks?(range: ByteRange): MaybePromise<readonly BadRange[]>;
  /** As `DonorTwin.inStep`, in bytes of the file. @default nothing */
  inStep?(range: ByteRange): MaybePromise<InStep | undefined>;
  /** Ends use of it. Closing twice is allowed. */
  close(): MaybePromise<void>;
}

/** A donor that is a copy of the whole volume: bytes at the same offset, and a map of its files. */
export interface DonorVolume {
  /** Its list says what the donor lacks. */
  readonly device: Device;
  /** First byte of the volume on the device. */
  readonly offset: number;
  /** Bytes of the volume. */
  readonly length: number;
  readonly map: FileMap;
  /** As `DonorTwin.inStep`, in bytes of the volume. @default nothing */
  inStep?(range: ByteRange): InStep | undefined;
}

/** That something keeps the donor's bytes equal to the target's, as a mirror does. */
export interface InStep {
  /** Who says so, for people: "md0 of raid.stack keeps them alike". */
  readonly by: string;
}

/** A copy of the target itself, byte for byte, that something keeps in step: the other legs of its mirror. */
export interface DonorTwin {
  /** Byte `o` of it is byte `o` of the target. Its list says what it lacks; what is not in step is lost there. */
  readonly device: Device;
  /** Whether all of a range is known to be in step. */
  inStep(range: ByteRange): InStep | undefined;
}

/** A place that may hold good bytes. */
export interface Donor {
  /** As the user gave it. */
  readonly name: string;
  /** What it can give: "directory": files by their path; "image": whole volumes as well. */
  readonly kind: "directory" | "image";
  /** Where it is a leg of the target's mirror: good for bytes of any kind, file system or not. @default it is none */
  readonly twin?: DonorTwin | undefined;
  /**
   * The file of an absolute path of the target, as file maps write paths (`\xHH` and `\\` are escapes). A path that is none gets `undefined`, never an error.
   *
   * @param uuid the file system that the path belongs to: of a donor with several, the one with this UUID is asked
   * @returns `undefined` where the donor has no such file
   * @throws {StorageError} where the donor as a whole does not answer
   */
  file(path: string, uuid?: string): MaybePromise<DonorFile | undefined>;
  /** The volume of a file system, by its UUID, for metadata; `undefined` where the donor has none. */
  volume(uuid: string): MaybePromise<DonorVolume | undefined>;
  /** Ends use of all of it. Closing twice is allowed. */
  close(): MaybePromise<void>;
}
