/** Request: what of a call can be refused before any byte moves: its flags, its place, its buffers, and what lies there. */
import { StorageError } from "../base/index.ts";
import type { ExtentTable } from "../dax/index.ts";
import { recoversIn, type Device } from "../device/index.ts";
import { BUFFERS_MAX, type Buffers } from "./file.ts";

/** What is written to, as far as a request must know it. */
export interface WritePlace {
  readonly name: string;
  readonly size: number;
  readonly extents: ExtentTable;
  /** Whether it is a whole device, whose end is ENOSPC. */
  readonly isDevice: boolean;
  /** Why nothing here may be written; `undefined` where it may. */
  readonly frozen: { readonly code: "EOPNOTSUPP" | "ECANCELED"; readonly why: string } | undefined;
}

/** The call as errors name it. */
export type Syscall = "preadv2" | "pwritev2";

/**
 * Checks an offset as the system call does: -1 is the position.
 *
 * @returns where the call begins
 * @throws {TypeError} if it is no whole number
 * @throws {StorageError} EINVAL below -1
 */
export function placeOf(offset: number, position: number, name: string): number {
  if (offset >= 0 && Number.isSafeInteger(offset)) return offset;
  if (offset === -1) return position;
  if (!Number.isSafeInteger(offset))
    throw new TypeError(
      `Cannot use offset: want a whole number of bytes up to 2^53 - 1: got ${offset}`,
    );
  throw new StorageError(
    "EINVAL",
    `Cannot use ${name}: want an offset from 0 on, or -1: got ${offset}`,
    {
      path: name,
    },
  );
}

/**
 * Checks the buffers of a call.
 *
 * @throws {TypeError} if one is not a `Uint8Array`
 * @throws {StorageError} EINVAL for more than 1,024
 */
export function checkBuffers(buffers: Buffers, name: string): void {
  if (buffers instanceof Uint8Array) return;
  if (!Array.isArray(buffers) || !buffers.every((part: unknown) => part instanceof Uint8Array))
    throw new TypeError("Cannot use buffers: want a Uint8Array, or an array of them");
  if (buffers.length <= BUFFERS_MAX) return;
  throw new StorageError(
    "EINVAL",
    `Cannot use ${name}: want at most ${BUFFERS_MAX} buffers a call: got ${buffers.length}`,
    { path: name },
  );
}

/** One call, for the question whether it can be asked for recovery. */
export interface RecoveryCall {
  readonly device: Device;
  readonly place: Pick<WritePlace, "name" | "size" | "extents">;
  readonly syscall: Syscall;
}

/**
 * Checks that all of a call's range can be asked for recovery, before any byte moves.
 *
 * @param offset first byte in the file; what is past its end is not asked
 * @throws {StorageError} EOPNOTSUPP where a part lies on a device that knows nothing of poison
 */
export function checkRecovers(call: RecoveryCall, offset: number, length: number): void {
  const { device, place, syscall } = call;
  if (device.capabilities.recovers) return;
  const { name, extents } = place;
  const end = Math.min(offset + length, place.size, extents.end);
  for (let at = offset; at < end;) {
    const index = extents.find(at);
    const stop = Math.min(end, extents.stop(index));
    const kind = extents.kind(index);
    const isOnDevice = kind === "data" || kind === "inline";
    const range = isOnDevice && { offset: extents.deviceOf(index, at), length: stop - at };
    if (range !== false && !recoversIn(device, range)) {
      throw new StorageError(
        "EOPNOTSUPP",
        `Cannot recover ${name} at offset ${at}: its device knows nothing of poison`,
        { syscall, path: name },
      );
    }
    at = stop;
  }
}

/**
 * Checks where a write goes, before any byte moves.
 *
 * @param length bytes
 * @returns bytes that may be written: fewer than `length` at the end of a device
 * @throws {StorageError} EOPNOTSUPP, ENOSPC, ECANCELED
 */
export function checkWrite(place: WritePlace, offset: number, length: number): number {
  const { name, size, extents } = place;
  if (length === 0) return 0;
  if (place.frozen !== undefined)
    throw new StorageError(
      place.frozen.code,
      `Cannot write ${name}: ${place.frozen.why}`,
      told(name),
    );
  if (place.isDevice) {
    // `blkdev_write_iter`: at the end there is no space, before it a write is cut.
    if (offset < size) return Math.min(length, size - offset);
    throw new StorageError(
      "ENOSPC",
      `Cannot write ${name}: it ends at ${size}: got offset ${offset}`,
      told(name),
    );
  }
  const end = offset + length;
  if (end > size) {
    throw new StorageError(
      "EOPNOTSUPP",
      `Cannot write ${name}: it ends at ${size}, and a file in an image is never extended: got offset ${offset}, length ${length}`,
      told(name),
    );
  }
  for (let at = offset; at < end;) {
    const index = extents.find(at);
    const kind = index < 0 ? "hole" : extents.kind(index);
    if (kind !== "data") {
      throw new StorageError(
        "EOPNOTSUPP",
        `Cannot write ${name} at offset ${at}: want data: it is ${KIND_WORDS[kind]}, and an image's metadata is never changed`,
        told(name),
      );
    }
    at = extents.stop(index);
  }
  return length;
}

const KIND_WORDS = {
  hole: "a hole",
  unwritten: "unwritten",
  inline: "inside the inode",
  unknown: "in a part whose map cannot be read",
} as const;

function told(name: string): { readonly syscall: string; readonly path: string } {
  return { syscall: "pwritev2", path: name };
}
