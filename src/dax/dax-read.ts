/**
 * dax-read: `dax_iomap_rw` and `dax_iomap_iter` of fs/dax.c for reads, and the read that `RWF_RECOVERY_DATA` was to be.
 *
 * A plain read goes window by window. A window reaches from the page of the position to the page end of what is left of the request, not
 * cut at the end of the file, but at the extent and where the device says (`probe`: a chunk of a stripe). Known poison anywhere in it
 * refuses all of it. What was read of earlier windows is a short count; nothing at all is EIO. A read that meets latent poison is short
 * at its first byte.
 *
 * A recovery read does the same, and where that stops goes on to the first bad byte: never less than the plain one, nor than the
 * patches of 2021, which gave whole pages before the bad one.
 *
 * This is a hot path: what a turn needs is passed as numbers, and looked up again (a finger remembers the extent) where they are too many.
 */
import { mediaError, unknownPlace, type DaxFile } from "./dax-file.ts";
import type { IoVector } from "./io-vector.ts";

/**
 * Reads into the vector from its offset on, as hard as its mode says.
 *
 * @returns bytes read, from the start of the request; 0 at the end of the file
 * @throws {MediaError} EIO if the first byte is bad, or in a window that is refused
 * @throws {StorageError} EIO if nobody knows where the first byte lies
 */
export function daxRead(file: DaxFile, vector: IoVector): number {
  const { offset } = vector;
  const end = Math.min(vector.end, file.size);
  let position = offset;
  while (position < end) {
    const moved = readExtent(file, vector, position);
    if (moved === 0) {
      if (position > offset) break;
      throw failure(file, position, end);
    }
    position += moved;
  }
  return Math.max(0, position - offset);
}

/** Where the bytes that are wanted end, in the extent of a position. */
function stopOf(file: DaxFile, vector: IoVector, index: number): number {
  const end = Math.min(vector.end, file.size);
  return index < 0 ? end : Math.min(end, file.extents.stop(index));
}

/** @returns bytes read; 0 where the next one cannot be had */
function readExtent(file: DaxFile, vector: IoVector, position: number): number {
  const { extents } = file;
  const index = extents.find(position);
  const kind = index < 0 ? "hole" : extents.kind(index);
  if (kind === "data") return readWindow(file, vector, position);
  if (kind === "inline") return loadUpTo(file, vector, position);
  if (kind === "unknown") return 0;
  const count = stopOf(file, vector, index) - position;
  vector.zero(count);
  return count;
}

/** One turn of `dax_iomap_iter`'s loop. @returns bytes read */
function readWindow(file: DaxFile, vector: IoVector, position: number): number {
  const { direct, extents, pageSize } = file;
  const index = extents.find(position);
  const windowEnd = Math.min(vector.end, extents.stop(index));
  const inPage = position % pageSize;
  const at = extents.deviceOf(index, position);
  const pages = Math.ceil((inPage + windowEnd - position) / pageSize);
  const granted = direct.probe((at - inPage) / pageSize, pages, "access");
  const wanted = Math.min(windowEnd, file.size) - position;
  const step = Math.min(granted * pageSize - inPage, wanted);
  const moved = granted === 0 ? 0 : load(file, vector, { at, count: step });
  if (vector.mode === "access" || (granted > 0 && moved === step)) return moved;
  return moved + loadUpTo(file, vector, position + moved);
}

/** Copies out of memory until something is bad. */
function load(
  file: DaxFile,
  vector: IoVector,
  { at, count }: { readonly at: number; readonly count: number },
): number {
  for (let done = 0; done < count;) {
    const piece = vector.peek(count - done);
    const moved = file.direct.load(piece, at + done);
    vector.advance(moved);
    done += moved;
    if (moved < piece.length) return done;
  }
  return count;
}

/** Copies what is left of an extent up to the first bad byte. */
function loadUpTo(file: DaxFile, vector: IoVector, position: number): number {
  const { direct, extents } = file;
  const index = extents.find(position);
  const at = extents.deviceOf(index, position);
  const count = stopOf(file, vector, index) - position;
  const mode = vector.mode === "recovery" ? "recovery" : "failFast";
  for (let done = 0; done < count;) {
    const piece = vector.peek(count - done);
    const moved = direct.loadUpTo(piece, at + done, mode);
    vector.advance(moved);
    done += moved;
    if (moved < piece.length) return done;
  }
  return count;
}

function failure(file: DaxFile, position: number, end: number): Error {
  const { extents } = file;
  const index = extents.find(position);
  if (index < 0 || extents.kind(index) === "unknown")
    return unknownPlace(file.name, "preadv2", position);
  const length = Math.min(end, extents.stop(index)) - position;
  return mediaError(file, "preadv2", { offset: extents.deviceOf(index, position), length });
}
