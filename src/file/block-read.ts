/**
 * block-read: reads of a file on a block device, by Linux' block table and by the flag.
 *
 * What a plain read makes of a bad byte depends on the face. O_DIRECT: the request is one bio, and a bad sector fails it whole
 * (`pmem_submit_bio`). Through the page cache a bad sector hides its page: pages before it are a short count (`filemap_read`).
 * With the flag, or failing fast, every byte before the first bad one counts.
 */
import { alignOut, endOf, isPromise, roundDown, type MaybePromise } from "../base/index.ts";
import { mediaError, unknownPlace, type DaxFile, type IoVector } from "../dax/index.ts";
import type { AccessMode, ReadResult } from "../device/index.ts";
import type { Face } from "./file.ts";

/** A file on any device: memory is not needed. */
export type BlockFile = Omit<DaxFile, "direct">;

/**
 * Reads into the vector from its offset on, as hard as its mode says.
 *
 * @returns bytes read, from the start of the request; 0 at the end of the file
 * @throws {MediaError} EIO if nothing could be read
 * @throws {StorageError} EIO if nobody knows where the first byte lies
 */
export async function blockRead(file: BlockFile, vector: IoVector, face: Face): Promise<number> {
  const { offset, mode } = vector;
  const end = Math.min(vector.end, file.size);
  let position = offset;
  while (position < end) {
    const moved = readExtent(file, vector, { face, mode, position, end });
    const count = isPromise(moved) ? await moved : moved;
    if (count <= 0) {
      if (position > offset && !isWholeFailure({ face, mode })) break;
      throw failure(file, position, end);
    }
    position += count;
  }
  return Math.max(0, position - offset);
}

/** What a face makes of a bad byte depends on both. */
interface Manner {
  readonly face: Face;
  readonly mode: AccessMode;
}

/** A direct request fails as a whole: what was read before the bad sector does not count. */
function isWholeFailure({ face, mode }: Manner): boolean {
  return face === "direct" && mode === "access";
}

interface Step extends Manner {
  readonly position: number;
  readonly end: number;
}

/** @returns bytes read; 0 or less where the next byte cannot be had */
function readExtent(file: BlockFile, vector: IoVector, step: Step): MaybePromise<number> {
  const { extents } = file;
  const { position, end } = step;
  const index = extents.find(position);
  const kind = index < 0 ? "hole" : extents.kind(index);
  const stop = index < 0 ? end : Math.min(end, extents.stop(index));
  if (kind === "unknown") return 0;
  if (kind === "hole" || kind === "unwritten") {
    vector.zero(stop - position);
    return stop - position;
  }
  const at = extents.deviceOf(index, position);
  const piece = vector.peek(readable(file, step, { at, stop }));
  if (piece.length === 0) return 0;
  const result = file.device.read(piece, at, step.mode);
  const counted = (read: ReadResult): number => {
    const first = read.missing[0];
    const count =
      first === undefined ? piece.length : goodBytes(step, first.offset - at, file.pageSize);
    if (count > 0) vector.advance(count);
    return count;
  };
  return isPromise(result) ? result.then(counted) : counted(result);
}

/** Whether a bad sector hides its whole page: the page cache reads pages, also those of which a part is wanted. */
function isPaged({ face, mode }: Manner): boolean {
  return face === "buffered" && mode === "access";
}

/** Bytes of a step up to the first page that holds something bad on the list, wherever in the page. */
function readable(
  file: BlockFile,
  step: Step,
  { at, stop }: { readonly at: number; readonly stop: number },
): number {
  const length = stop - step.position;
  if (!isPaged(step) || file.device.poison.empty) return length;
  const pages = alignOut({ offset: at, length }, file.pageSize);
  const end = Math.min(endOf(pages), file.device.size);
  for (const bad of file.device.poison.bad({ offset: pages.offset, length: end - pages.offset }))
    return Math.min(length, Math.max(0, roundDown(bad.offset, file.pageSize) - at));
  return length;
}

/** Bytes of a step that count, where `bad` is where the first missing byte stands in it. */
function goodBytes(step: Step, bad: number, pageSize: number): number {
  if (isWholeFailure(step)) return 0;
  return isPaged(step) ? roundDown(step.position + bad, pageSize) - step.position : bad;
}

function failure(file: BlockFile, position: number, end: number): Error {
  const index = file.extents.find(position);
  if (index < 0 || file.extents.kind(index) === "unknown")
    return unknownPlace(file.name, "preadv2", position);
  const stop = Math.min(end, file.extents.stop(index));
  const range = { offset: file.extents.deviceOf(index, position), length: stop - position };
  return mediaError(file, "preadv2", range);
}
