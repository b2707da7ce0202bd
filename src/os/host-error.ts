/** hostError: an error of Node's file calls as a `StorageError` whose code tells the user what to do. */
import { StorageError, toStorageError, type ErrorCode } from "../base/index.ts";

/** Codes outside our table that mean the same as one inside it. */
const SAME: Readonly<Record<string, ErrorCode>> = {
  EROFS: "EACCES",
  EDQUOT: "ENOSPC",
  EFBIG: "ENOSPC",
  ELOOP: "ENOENT",
  ENAMETOOLONG: "ENOENT",
  ENXIO: "ENOENT",
  ENODEV: "ENOENT",
  ENOMEDIUM: "ENOENT",
  ENOTSUP: "EOPNOTSUPP",
  ETXTBSY: "EBUSY",
  EWOULDBLOCK: "EBUSY",
  EAGAIN: "EBUSY",
};

/** Codes of a failed read that speak of the bytes and not of the device: `blk_errors` in block/blk-core.c. */
const MEDIA: ReadonlySet<string> = new Set(["EIO", "ENODATA", "EILSEQ", "EREMOTEIO"]);

/**
 * Any error of a file call, with the file's name: Node's own message has none where the call was given a descriptor. What is a
 * `StorageError` already, and our own bugs, pass through.
 */
export function hostError(error: unknown, syscall: string, path: string): Error {
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  const ours = error instanceof StorageError || error instanceof TypeError;
  if (code === undefined || ours || !(error instanceof Error))
    return toStorageError(error, { syscall, path });
  const { message } = error;
  const named = message.includes(path) ? message : `${message} "${path}"`;
  const same = SAME[code];
  if (same !== undefined) return new StorageError(same, named, { syscall, path, cause: error });
  const known = toStorageError(error, { syscall, path });
  if (named === message || !(known instanceof StorageError)) return known;
  const plain = known.message.replace(`${known.code}: `, "");
  return new StorageError(known.code, `${plain} "${path}"`, { syscall, path, cause: error });
}

/** Whether a failed read says that the bytes are bad, and not that the device is gone or the call was wrong. */
export function isMediaFailure(error: unknown): boolean {
  if (!(error instanceof StorageError) || error.code !== "EIO") return false;
  const code = (error.cause as NodeJS.ErrnoException | undefined)?.code;
  return code === undefined || MEDIA.has(code);
}
