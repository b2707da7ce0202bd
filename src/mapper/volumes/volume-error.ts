/** volume-error: how metadata of volumes that cannot be used is told: who, where, what is wanted. */
import { StorageError, type ByteRange } from "../../base/index.ts";

/** "Bytes 512 to 1024": half-open. */
export function describeRange({ offset, length }: ByteRange): string {
  return `Bytes ${offset} to ${offset + length}`;
}

/**
 * The error of metadata that is not of its form, or not enough: EBADMSG.
 *
 * @param who what was read: the name of a device, a volume group
 * @param reason what is wrong, and the wish
 */
export function volumeError(who: string, reason: string): StorageError {
  return new StorageError("EBADMSG", `Cannot use ${who}: ${reason}`, { path: who });
}
