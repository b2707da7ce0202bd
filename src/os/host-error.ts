/** hostError: an error of Node's file calls as a `StorageError` whose code tells the user what to do. */
import { StorageError, toStorageError, type ErrorCode } from "../base/index.ts";

/** Codes outside our table that mean the same as one inside it. */
const SAME: Readonly<Record<string, ErrorCode>> = {
  EROFS: "EACCES",
  EDQUOT: "ENOSPC",
  EFBIG: "ENOSPC",
  ELOOP: "ENOENT",
  ENAMETOOLONG: "ENOENT",
  ENOTSUP: "EOPNOTSUPP",
  ETXTBSY: "EBUSY",
  EWOULDBLOCK: "EBUSY",
  EAGAIN: "EBUSY",
};

/** Codes of a failed read that speak of the bytes and not of the device: `blk_errors` in block/blk-core.c. */
const MEDIA: ReadonlySet<string> = new Set(["EIO", "ENODATA", "EILSEQ", "EREMOTEIO"]);

/** Any error of a file call, with the file's name. What is a `StorageError` already, and our own bugs, pass through. */
export function hostError(error: unknown, syscall: string, path: string): Error {
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  const same = code === undefined ? undefined : SAME[code];
  if (same === undefined || !(error instanceof Error))
    return toStorageError(error, { syscall, path });
  return new StorageError(same, error.message, { syscall, path, cause: error });
}

/** Whether a failed read says that the bytes are bad, and not that the device is gone or the call was wrong. */
export function isMediaFailure(error: unknown): boolean {
  if (!(error instanceof StorageError) || error.code !== "EIO") return false;
  const code = (error.cause as NodeJS.ErrnoException | undefined)?.code;
  return code === undefined || MEDIA.has(code);
}
