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
 */
import type { ByteRange } from "../base/index.ts";
import { mediaError, unknownPlace, type CallMode, type DaxFile } from "./dax-file.ts";
import type { IoVector } from "./io-vector.ts";

/**
 * Reads from `offset` into the vector.
 *
 * @returns bytes read, from the start of the request; 0 at the end of the file
 * @throws {MediaError} EIO if the first byte is bad, or in a window that is refused
 * @throws {StorageError} EIO if nobody knows where the first byte lies
 */
export function daxRead(
  file: DaxFile,
  vector: IoVector,
  options: { readonly offset: number; readonly mode: CallMode },
): number {
  const { offset, mode } = options;
  const requestEnd = offset + vector.length;
  const end = Math.min(requestEnd, file.size);
  let position = offset;
  while (position < end) {
    const { extents } = file;
    const index = extents.find(position);
    const kind = index < 0 ? "hole" : extents.kind(index);
    const stop = index < 0 ? end : Math.min(end, extents.stop(index));
    let moved = 0;
    if (kind === "data") {
      const window = { position, stop, windowEnd: Math.min(requestEnd, extents.stop(index)) };
      moved = readWindow(file, vector, { ...window, index, mode });
    } else if (kind === "hole" || kind === "unwritten") {
      moved = stop - position;
      vector.zero(moved);
    } else if (kind === "inline") {
      moved = loadUpTo(file, vector, {
        at: extents.deviceOf(index, position),
        count: stop - position,
        mode,
      });
    }
    if (moved === 0) {
      if (position > offset) break;
      throw failure(file, position, stop);
    }
    position += moved;
  }
  return Math.max(0, position - offset);
}

interface Window {
  /** Index of the extent. */
  readonly index: number;
  readonly position: number;
  /** Where the bytes that are wanted end, in this extent. */
  readonly stop: number;
  /** Where the request ends, in this extent: what the kernel's window is counted from. */
  readonly windowEnd: number;
  readonly mode: CallMode;
}

/** One turn of `dax_iomap_iter`'s loop. @returns bytes read */
function readWindow(file: DaxFile, vector: IoVector, window: Window): number {
  const { direct, extents, pageSize } = file;
  const { index, position, stop, windowEnd, mode } = window;
  const inPage = position % pageSize;
  const at = extents.deviceOf(index, position);
  const pages = Math.ceil((inPage + windowEnd - position) / pageSize);
  const granted = direct.probe((at - inPage) / pageSize, pages, "access");
  const step = Math.min(granted * pageSize - inPage, stop - position);
  const moved = granted === 0 ? 0 : load(file, vector, { offset: at, length: step });
  if (mode === "access" || (granted > 0 && moved === step)) return moved;
  return moved + loadUpTo(file, vector, { at: at + moved, count: stop - position - moved, mode });
}

/** Copies out of memory until something is bad. */
function load(file: DaxFile, vector: IoVector, { offset, length }: ByteRange): number {
  for (let done = 0; done < length;) {
    const piece = vector.peek(length - done);
    const moved = file.direct.load(piece, offset + done);
    vector.advance(moved);
    done += moved;
    if (moved < piece.length) return done;
  }
  return length;
}

/** Copies to the first bad byte. */
function loadUpTo(
  file: DaxFile,
  vector: IoVector,
  { at, count, mode }: { readonly at: number; readonly count: number; readonly mode: CallMode },
): number {
  for (let done = 0; done < count;) {
    const piece = vector.peek(count - done);
    const moved = file.direct.loadUpTo(piece, at + done, mode === "recovery" ? mode : "failFast");
    vector.advance(moved);
    done += moved;
    if (moved < piece.length) return done;
  }
  return count;
}

function failure(file: DaxFile, position: number, stop: number): Error {
  const index = file.extents.find(position);
  if (index >= 0 && file.extents.kind(index) === "unknown")
    return unknownPlace(file.name, "preadv2", position);
  const range = { offset: file.extents.deviceOf(index, position), length: stop - position };
  return mediaError(file, "preadv2", range);
}
