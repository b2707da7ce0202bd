/**
 * dax-write: `dax_iomap_rw` and `dax_iomap_iter` of fs/dax.c for writes, with their recovery write, and the write that
 * `RWF_RECOVERY_DATA` was to be.
 *
 * A plain write asks for a window as a read does. Where known poison refuses it, it asks again in recovery, gets a stride (up to the page of
 * the first bad record, `__pmem_direct_access`), and hands the data to `recoveryWrite`, which takes whole pages where they hold poison
 * (`pmem_recovery_write`): so whether an unaligned write heals depends on where its poison begins. What does not go is EIO, or a
 * short count after progress.
 *
 * A recovery write heals what it covers, whole clear units or parts of them: clear and data are one step (R3), clean neighbours are kept
 * (R2), what it stores is read back, so that it does not land on latent poison unseen, or it fails, and what is named is still bad (R5).
 */
import { MediaError, roundDown, roundUp, type ByteRange } from "../base/index.ts";
import type { Device } from "../device/index.ts";
import { mediaError, type DaxFile } from "./dax-file.ts";
import type { IoVector } from "./io-vector.ts";

/**
 * Writes the vector at its offset, as hard as its mode says. The caller has checked that all of the range is data inside the file.
 *
 * @returns bytes written, from the start of the request
 * @throws {MediaError} EIO if not even the first byte could be written
 */
export function daxWrite(file: DaxFile, vector: IoVector): number {
  const { offset, end } = vector;
  let position = offset;
  try {
    while (position < end) {
      const moved = writeWindow(file, vector, position);
      if (moved > 0) position += moved;
      else if (position > offset) break;
      else throw mediaError(file, "pwritev2", deviceRange(file, position, end));
    }
  } catch (error) {
    // `dax_iomap_rw`: any progress hides the error.
    if (position === offset || !(error instanceof MediaError)) throw error;
  }
  return position - offset;
}

function deviceRange(file: DaxFile, position: number, end: number): ByteRange {
  const index = file.extents.find(position);
  const length = Math.min(end, file.extents.stop(index)) - position;
  return { offset: file.extents.deviceOf(index, position), length };
}

/** One turn of `dax_iomap_iter`'s loop. @returns bytes written */
function writeWindow(file: DaxFile, vector: IoVector, position: number): number {
  const { direct, extents, pageSize } = file;
  const index = extents.find(position);
  const wanted = Math.min(vector.end, extents.stop(index)) - position;
  const inPage = position % pageSize;
  const at = extents.deviceOf(index, position);
  const page = (at - inPage) / pageSize;
  const pages = Math.ceil((inPage + wanted) / pageSize);
  const granted = direct.probe(page, pages, "access");
  if (granted > 0) {
    const step = Math.min(granted * pageSize - inPage, wanted);
    const stored = store(file, vector, { offset: at, length: step });
    // Not even the first bytes stand: latent poison, which is known now.
    return stored > 0 ? stored : heal(file, vector, { offset: at, length: step });
  }
  if (vector.mode === "failFast") return 0;
  if (vector.mode === "recovery") return heal(file, vector, { offset: at, length: wanted });
  const stride = direct.probe(page, pages, "recovery");
  if (stride === 0) return 0;
  const step = Math.min(stride * pageSize - inPage, wanted);
  const moved = direct.recoveryWrite(vector.gather(step), at);
  vector.skip(moved);
  return moved;
}

/** Stores where the list knows nothing bad; in recovery what was stored is read back. @returns bytes that stand */
function store(file: DaxFile, vector: IoVector, { offset, length }: ByteRange): number {
  for (let done = 0; done < length;) {
    const piece = vector.peek(length - done);
    if (vector.mode !== "recovery") file.direct.store(piece, offset + done);
    else if (!storeAndProve(file, piece, offset + done)) return done;
    vector.advance(piece.length);
    done += piece.length;
  }
  return length;
}

/** A store of a recovery write. @returns whether it stands: not where the memory refuses it, nor where it hides poison */
export function storeAndProve({ direct }: DaxFile, piece: Uint8Array, at: number): boolean {
  try {
    direct.store(piece, at);
  } catch (error) {
    if (error instanceof MediaError) return false;
    throw error;
  }
  return direct.stands(piece, at);
}

/** Heals all of a run, or as much from its start as can be healed. @returns bytes healed */
function heal(file: DaxFile, vector: IoVector, { offset, length }: ByteRange): number {
  const data = vector.gather(length);
  let done = 0;
  // Of all that was asked for: later ones speak of a part.
  let failure: unknown;
  for (let step = length; done < length;) {
    try {
      file.direct.heal(data.subarray(done, done + step), offset + done);
      done += step;
      step = nextHeal({ offset: offset + done, length: length - done }, step, file.device);
    } catch (error) {
      step = shorterHeal(error, { offset: offset + done, length: step }, file.device);
      failure ??= error;
      if (step > 0) continue;
      if (done === 0) throw failure;
      break;
    }
  }
  vector.skip(done);
  return done;
}

/** What of a device decides how a heal is cut. */
type Cut = Pick<Device, "capabilities">;

/** Bytes of a write up to the end of its first page, or clear unit where that is larger. */
function pageStep({ offset, length }: ByteRange, { capabilities }: Cut): number {
  const unit = Math.max(capabilities.pageSize, capabilities.clearUnit);
  return Math.min(length, unit - (offset % unit));
}

/** Bytes of a write up to the end of a clear unit: of the last that `count` bytes reach, or of the first. */
function unitStep({ offset, length }: ByteRange, count: number, { capabilities }: Cut): number {
  const { clearUnit } = capabilities;
  const end = Math.max(roundDown(offset + count, clearUnit), roundUp(offset + 1, clearUnit));
  return Math.min(length, end - offset);
}

/** How much of the rest of a recovery write is tried next, once a part of `done` bytes has worked: twice that, at most to the end of the page. */
export function nextHeal(rest: ByteRange, done: number, device: Cut): number {
  return Math.min(pageStep(rest, device), unitStep(rest, 2 * done, device));
}

/**
 * How much of a recovery write that failed is tried next: what comes before the first range that is still bad; else its first page, half of
 * that, and so on to one clear unit, because firmware may clear less at a time than it is asked: so no plain write gets further.
 *
 * @param error what the write threw; thrown again where it is no failure of the media
 * @returns bytes from the start of the write, fewer than it has; 0 where nothing is left to try
 */
export function shorterHeal(error: unknown, write: ByteRange, device: Cut): number {
  if (!(error instanceof MediaError)) throw error;
  const bad = error.ranges[0]?.offset ?? write.offset;
  const before = roundDown(bad, device.capabilities.clearUnit) - write.offset;
  if (before > 0 && before < write.length) return before;
  const page = pageStep(write, device);
  const step = page < write.length ? page : unitStep(write, write.length / 2, device);
  return step < write.length ? step : 0;
}
