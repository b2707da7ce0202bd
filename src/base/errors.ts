/**
 * Errors: the world's failures, with Node's own fields, and the one table of their codes.
 *
 * Three looks (design, "Errors"): the caller's mistake is a `TypeError` or `RangeError`; the world's failure is a
 * `StorageError` or its subclass `MediaError`; a bug of ours is an assertion (assert.ts). A short count is a result.
 * Every code here has a heading in docs/errors.md, and a test holds the two together.
 */
import type { ByteRange } from "./byte-range.ts";

/** Every code that a `StorageError` can carry. */
export type ErrorCode =
  | "EIO"
  | "ENOENT"
  | "EACCES"
  | "EPERM"
  | "EEXIST"
  | "EBUSY"
  | "ENOSPC"
  | "ENXIO"
  | "EISDIR"
  | "ENOTDIR"
  | "EINVAL"
  | "EOPNOTSUPP"
  | "EBADMSG"
  | "ESTALE"
  | "ECANCELED"
  | "ECONNREFUSED"
  | "ECONNRESET"
  | "EHOSTUNREACH"
  | "ETIMEDOUT"
  | "EPROTO";

/** Linux' errno (positive), and the exit code that a command ends with. */
export const ERROR_CODES: Readonly<
  Record<ErrorCode, { readonly errno: number; readonly exitCode: 1 | 3 | 4 }>
> = {
  /** Bytes cannot be read or healed: media, or a device that refuses to clear. */
  EIO: { errno: 5, exitCode: 1 },
  /** A file, directory or device is not there. */
  ENOENT: { errno: 2, exitCode: 3 },
  /** Not allowed. */
  EACCES: { errno: 13, exitCode: 3 },
  EPERM: { errno: 1, exitCode: 3 },
  /** Something is there already. */
  EEXIST: { errno: 17, exitCode: 3 },
  /** Another process holds the image. */
  EBUSY: { errno: 16, exitCode: 4 },
  /** The disk that we write to is full. */
  ENOSPC: { errno: 28, exitCode: 3 },
  /** The device or its part is not there, or its firmware failed. */
  ENXIO: { errno: 6, exitCode: 3 },
  /** The thing exists but is of the wrong kind (a directory, a pipe). */
  EISDIR: { errno: 21, exitCode: 3 },
  ENOTDIR: { errno: 20, exitCode: 3 },
  /** An argument that the call or the device refuses: an offset, an alignment, flags that exclude each other, a text of another form. */
  EINVAL: { errno: 22, exitCode: 3 },
  /** The device or target has no such operation. */
  EOPNOTSUPP: { errno: 95, exitCode: 3 },
  /** The text or structure is not of the form that its name promises. */
  EBADMSG: { errno: 74, exitCode: 3 },
  /** The state beside the image belongs to another image, plan or map. */
  ESTALE: { errno: 116, exitCode: 4 },
  /** Refused: it could be done, but must not (unproven donor, pending journal, plan out of date). */
  ECANCELED: { errno: 125, exitCode: 4 },
  /** Nobody answers where a server should be, or it does not want us now. */
  ECONNREFUSED: { errno: 111, exitCode: 3 },
  /** A connection ended, and could not be opened again. */
  ECONNRESET: { errno: 104, exitCode: 3 },
  /** The host has no name or no way to it. */
  EHOSTUNREACH: { errno: 113, exitCode: 3 },
  /** A server says nothing for too long. */
  ETIMEDOUT: { errno: 110, exitCode: 3 },
  /** What answers does not speak the protocol. */
  EPROTO: { errno: 71, exitCode: 3 },
};

/** What a failure says beside its code. */
export interface StorageErrorOptions {
  /** System call or operation that failed: "open", "read", "recovery write". */
  readonly syscall?: string;
  /** File or device that it failed on. */
  readonly path?: string;
  /** The failure below, kept whole. */
  readonly cause?: unknown;
}

/** The world's failure. The message names the thing, the value and the wish. */
export class StorageError extends Error {
  override readonly name: string = "StorageError";
  readonly code: ErrorCode;
  /** Negative, as Node gives it. */
  readonly errno: number;
  readonly syscall: string | undefined;
  readonly path: string | undefined;

  constructor(code: ErrorCode, message: string, options: StorageErrorOptions = {}) {
    super(`${code}: ${message}`, options.cause === undefined ? {} : { cause: options.cause });
    this.code = code;
    this.errno = -ERROR_CODES[code].errno;
    this.syscall = options.syscall;
    this.path = options.path;
  }
}

/** A range that an operation could not deliver, with why. */
export interface BadRange extends ByteRange {
  /** "unread" where nobody tried: a fail-fast read stopped before it, or a list says so. */
  readonly state: "poisoned" | "lost" | "unread";
}

/** What a media failure says beside its ranges. */
export interface MediaErrorOptions extends StorageErrorOptions {
  /** Name of the device, as its identity gives it. */
  readonly device: string;
  /** The ranges that failed: ascending, apart from each other, in bytes of that device. */
  readonly ranges: readonly BadRange[];
}

/** Bytes that the media cannot give back, or that it refuses to heal. Always EIO. */
export class MediaError extends StorageError {
  override readonly name: string = "MediaError";
  readonly device: string;
  readonly ranges: readonly BadRange[];

  constructor(message: string, options: MediaErrorOptions) {
    super("EIO", message, options);
    this.device = options.device;
    this.ranges = options.ranges;
  }
}

/**
 * Any error of Node's file calls as a `StorageError`; what is one already, the caller's mistakes and our own bugs pass through.
 * A code outside the table becomes EIO with the original as `cause`.
 */
export function toStorageError(error: unknown, options: StorageErrorOptions = {}): Error {
  if (error instanceof StorageError) return error;
  if (!(error instanceof Error)) return new StorageError("EIO", String(error), options);
  const code = (error as NodeJS.ErrnoException).code;
  // Node gives codes to its TypeErrors and RangeErrors as well: those are the caller's mistake, not the world's failure.
  if (code === undefined || error instanceof TypeError || error instanceof RangeError) return error;
  const name: ErrorCode = Object.hasOwn(ERROR_CODES, code) ? (code as ErrorCode) : "EIO";
  const path = options.path ?? (error as NodeJS.ErrnoException).path;
  const syscall = options.syscall ?? (error as NodeJS.ErrnoException).syscall;
  return new StorageError(
    name,
    name === code ? error.message.replace(/^[A-Z0-9]+: /, "") : error.message,
    {
      cause: error,
      ...(path === undefined ? {} : { path }),
      ...(syscall === undefined ? {} : { syscall }),
    },
  );
}
