/**
 * block-write: writes of a file on a block device, by Linux' block table and by the flag.
 *
 * A plain direct write is cut into pages of the caller's buffer, as a bio is: a page with a listed sector is cleared and written
 * (`pmem_do_write`), the first that cannot be fails the call, and the pages before it are written. Through the page cache a part of a page
 * can be written only where the rest of it can be read, so a bad sector anywhere in it stops the write there.
 *
 * With the flag parts of bad units are healed too (R2, R3), or the write fails and what is named is still bad (R5).
 */
import { MediaError, roundDown, roundUp } from "../base/index.ts";
import { nextHeal, shorterHeal, type IoVector } from "../dax/index.ts";
import type { AccessMode } from "../device/index.ts";
import type { BlockFile } from "./block-read.ts";
import type { Face } from "./file.ts";

/** Bytes that one write of the device takes at most: the copy of a call with many buffers stays small. */
const CHUNK = 16 * 1024 * 1024;

/**
 * Writes the vector at its offset, as hard as its mode says. The caller has checked that all of the range is data inside the file.
 *
 * @returns bytes written, from the start of the request
 * @throws {MediaError} EIO if not even the first byte could be written, or where a direct write failed
 */
export async function blockWrite(file: BlockFile, vector: IoVector, face: Face): Promise<number> {
  const { offset, end, mode } = vector;
  let position = offset;
  try {
    while (position < end) {
      const index = file.extents.find(position);
      const at = file.extents.deviceOf(index, position);
      const stop = Math.min(end, file.extents.stop(index), position + chunkAt(file, at));
      const count = stepOf(file, { face, mode, position, stop, shift: position - at });
      if (count === 0) break;
      const stored = await store(file, vector.gather(count), { at, mode });
      vector.skip(stored);
      position += stored;
    }
  } catch (error) {
    // A direct request fails as a whole; elsewhere any progress hides the error.
    const isWhole = face === "direct" && mode === "access";
    if (position === offset || isWhole || !(error instanceof MediaError)) throw error;
    return position - offset;
  }
  if (position === offset && end > position) throw pageError(file, offset);
  return position - offset;
}

/** Chunks end at multiples of a page and of a clear unit of the device, so that no unit is cut in two. */
function chunkAt({ device, pageSize }: BlockFile, at: number): number {
  const unit = Math.max(device.capabilities.clearUnit, pageSize);
  return roundDown(at, unit) + Math.max(CHUNK, unit) - at;
}

interface Step {
  readonly face: Face;
  readonly mode: AccessMode;
  readonly position: number;
  readonly stop: number;
  /** Offset in the file minus offset on the device. */
  readonly shift: number;
}

/** How many bytes the next write takes; 0 where a part of a page cannot be written because the rest is bad. */
function stepOf(file: BlockFile, step: Step): number {
  const { position, stop, face, mode } = step;
  if (mode !== "access" || file.device.poison.empty) return stop - position;
  const wanted = face === "buffered" ? wholePages(file, step) : stop - position;
  const at = position - step.shift;
  const bad = firstBad(file, { from: at, to: at + wanted });
  if (bad === undefined) return wanted;
  // Pages of the file in the cache; of the caller's buffer, which is taken to begin at one, in a direct call.
  const start = face === "buffered" ? roundDown(position, file.pageSize) : position;
  const page = start + roundDown(bad + step.shift - start, file.pageSize);
  if (page > position) return page - position;
  return Math.min(page + file.pageSize - position, wanted);
}

/** Bytes up to the first page that is written in part and has something bad. */
function wholePages(file: BlockFile, { position, stop, shift }: Step): number {
  const { pageSize } = file;
  for (const edge of [position, stop]) {
    const page = roundDown(edge, pageSize);
    if (page === edge || page >= stop) continue;
    const to = Math.min(page + pageSize - shift, file.device.size);
    if (firstBad(file, { from: page - shift, to }) !== undefined)
      return Math.max(0, Math.min(page, stop) - position);
  }
  return stop - position;
}

function firstBad(
  file: BlockFile,
  { from, to }: { readonly from: number; readonly to: number },
): number | undefined {
  for (const bad of file.device.poison.bad({ offset: from, length: to - from })) return bad.offset;
  return undefined;
}

/** Writes all, or with the flag as much from the start as can be healed. @returns bytes written */
async function store(
  { device }: BlockFile,
  data: Uint8Array,
  { at, mode }: { readonly at: number; readonly mode: AccessMode },
): Promise<number> {
  let done = 0;
  // Of all that was asked for: later ones speak of a part.
  let failure: unknown;
  for (let step = data.length; done < data.length;) {
    try {
      await device.write(data.subarray(done, done + step), at + done, mode);
      done += step;
      step = nextHeal({ offset: at + done, length: data.length - done }, step, device);
    } catch (error) {
      if (mode !== "recovery") throw error;
      step = shorterHeal(error, { offset: at + done, length: step }, device);
      failure ??= error;
      if (step > 0) continue;
      if (done === 0) throw failure;
      break;
    }
  }
  return done;
}

function pageError(file: BlockFile, offset: number): MediaError {
  const index = file.extents.find(offset);
  const at = file.extents.deviceOf(index, offset);
  const page = roundDown(at, file.pageSize);
  const end = Math.min(roundUp(at + 1, file.pageSize), file.device.size);
  return new MediaError(
    `Cannot write ${file.name} at offset ${offset}: its page cannot be read, and only a part of it was given`,
    {
      device: file.device.identity.name,
      ranges: [...file.device.poison.bad({ offset: page, length: end - page })],
      syscall: "pwritev2",
      path: file.name,
    },
  );
}
