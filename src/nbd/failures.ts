/** failures: what goes wrong in a device, as a client is told. */
import { MediaError, StorageError, type BadRange } from "../base/index.ts";
import { NBD_ERROR, nbdErrorOf } from "../device/index.ts";
import type { Failure } from "./replies.ts";

/** A bad range that a read met. The protocol has no number for it but EIO, so the text says what it is. */
export function badFailure(bad: BadRange): Failure {
  const what = bad.state === "unread" ? "could not be read" : `are ${bad.state}`;
  const wish = bad.state === "unread" ? "" : "; a write heals them";
  return {
    errno: NBD_ERROR.EIO,
    text: `${bad.length} bytes at offset ${bad.offset} ${what}${wish}`,
    offset: bad.offset,
  };
}

/**
 * A failure of the world, for the client whose request met it.
 *
 * @param offset where it happened, where the error itself names no place
 * @throws the error where it is no failure of the world, but a bug: the process stops
 */
export function failureOf(error: unknown, offset?: number): Failure {
  if (!(error instanceof StorageError)) throw error;
  const text = error.message.replace(/^[A-Z]+: /, "");
  const at = error instanceof MediaError ? (offset ?? error.ranges[0]?.offset) : offset;
  return { errno: nbdErrorOf(error.code), text, offset: at };
}
