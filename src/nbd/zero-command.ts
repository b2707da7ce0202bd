/**
 * zero-command: WRITE_ZEROES: zeros are data, and heal what they cover.
 *
 * Holes of the image are zeros already, so they are left alone, but where the client wants none. Other connections go on between two pieces.
 */
import { endOf, roundDown, type ByteRange } from "../base/index.ts";
import { NBD_COMMAND_FLAG, NBD_ERROR, type RequestHeader } from "../device/index.ts";
import type { NbdExport } from "./export.ts";
import type { Failure } from "./replies.ts";
import { store } from "./store.ts";

/** Bytes that are written at once. */
const PIECE = 1024 * 1024;
let zeros: Uint8Array | undefined;

/** Zeroes the range of a request. @returns why and where it stopped */
export async function writeZeroes(
  face: NbdExport,
  request: RequestHeader,
): Promise<Failure | undefined> {
  const { flags, offset, length } = request;
  const end = offset + length;
  const keepsHoles = (flags & NBD_COMMAND_FLAG.NO_HOLE) === 0;
  if ((flags & NBD_COMMAND_FLAG.FAST_ZERO) !== 0 && (!keepsHoles || !isHole(face, request)))
    return { errno: NBD_ERROR.ENOTSUP, text: "Zeros here are no faster than a write" };
  zeros ??= new Uint8Array(PIECE);
  const unit = Math.max(PIECE, face.device.capabilities.clearUnit);
  for (let at = offset; at < end;) {
    const hole = keepsHoles ? Math.min(face.holeFrom(at), end - at) : 0;
    const step = hole > 0 ? hole : Math.min(end, roundDown(at, unit) + unit) - at;
    const bytes = hole > 0 || step <= PIECE ? zeros.subarray(0, step) : new Uint8Array(step);
    const failure = hole > 0 ? undefined : await store(face, bytes, at);
    if (failure !== undefined) return failure;
    at += step;
    if (at < end) await new Promise((resolve) => setImmediate(resolve));
  }
  return undefined;
}

function isHole(face: NbdExport, range: ByteRange): boolean {
  return range.offset + face.holeFrom(range.offset) >= endOf(range);
}
