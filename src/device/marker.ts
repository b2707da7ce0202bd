/**
 * marker: the pattern that stands where bytes are gone, so that an image copied without its sidecar does not look clean.
 *
 * 64 bytes at every multiple of 64 bytes of the image; a range that begins or ends between two multiples holds what of the
 * patterns falls into it:
 *
 *     0   20  "theriac: lost bytes\n"
 *     20   8  offset of this pattern in the image, little endian
 *     28   4  CRC-32C of bytes 0 to 27, little endian
 *     32  32  bytes 0 to 31 once more
 */
import { crc32c, roundDown, roundUp, type ByteRange } from "../base/index.ts";

/** Bytes of one pattern; it stands at multiples of this. */
export const MARKER_SIZE = 64;

const MAGIC = new TextEncoder().encode("theriac: lost bytes\n");
const HALF = MARKER_SIZE / 2;
const CHECKED = HALF - 4;

/** The pattern that stands at `offset`, a multiple of `MARKER_SIZE`. */
function patternAt(offset: number): Uint8Array {
  const bytes = new Uint8Array(MARKER_SIZE);
  bytes.set(MAGIC);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(MAGIC.length, BigInt(offset), true);
  view.setUint32(CHECKED, crc32c(bytes.subarray(0, CHECKED), 0xffff_ffff), true);
  bytes.copyWithin(HALF, 0, HALF);
  return bytes;
}

/** Fills `into`, which stands at `offset` of the image, with the marker. */
export function fillMarker(into: Uint8Array, offset: number): void {
  const end = offset + into.length;
  for (let at = roundDown(offset, MARKER_SIZE); at < end; at += MARKER_SIZE) {
    const from = Math.max(at, offset);
    const to = Math.min(at + MARKER_SIZE, end);
    into.set(patternAt(at).subarray(from - at, to - at), from - offset);
  }
}

/** Whether bytes at `offset`, fewer than a pattern, could be a piece of one: by the text in it, which a few of its bytes are not. */
export function isPieceOfMarker(bytes: Uint8Array, offset: number): boolean {
  for (let at = 0; at < bytes.length; at += 1) {
    const place = (offset + at) % HALF;
    if (place < MAGIC.length && bytes[at] !== MAGIC[place]) return false;
  }
  return bytes.length > 0;
}

/** Whether `findMarkers` may find any in bytes that begin at a multiple of `MARKER_SIZE`: the quick look at bytes that nearly never hold one. */
export function mayHoldMarker(bytes: Uint8Array): boolean {
  const end = bytes.length - MAGIC.length;
  for (let at = 0; at <= end; at += MARKER_SIZE)
    if (bytes[at] === 0x74 && bytes[at + 1] === 0x68 && bytes[at + 2] === 0x65) return true;
  return false;
}

/**
 * Finds markers in bytes read from `offset` of an image that has no list of its own.
 *
 * Found is every whole pattern with a right check, wherever it was copied from, and the beginning of one that is cut off after
 * its magic. Bytes there are not data (R1): markedMedia() makes faults of them. What holds no whole pattern and no whole magic, in ranges that are
 * smaller than 64 bytes or not aligned to them, cannot be told.
 *
 * @returns ranges of the image, ascending, apart
 */
export function findMarkers(bytes: Uint8Array, offset: number): ByteRange[] {
  const found: ByteRange[] = [];
  const first = roundUp(offset, MARKER_SIZE) - offset;
  for (let at = first; at + MAGIC.length <= bytes.length; at += MARKER_SIZE) {
    if (bytes[at] !== MAGIC[0] || bytes[at + 1] !== MAGIC[1]) continue;
    const length = markerLength(bytes, at, offset + at);
    if (length > 0) append(found, offset + at, length);
  }
  return found.map((range) => withHead(range, bytes, offset));
}

function append(found: ByteRange[], offset: number, length: number): void {
  const last = found.at(-1);
  if (last !== undefined && last.offset + last.length === offset) {
    found[found.length - 1] = { offset: last.offset, length: last.length + length };
  } else {
    found.push({ offset, length });
  }
}

/** Bytes of a marker that begins at `at`: 64, fewer where it is cut off or overwritten behind its magic, or 0. */
function markerLength(bytes: Uint8Array, at: number, offset: number): number {
  if (MAGIC.some((byte, index) => bytes[at + index] !== byte)) return 0;
  const piece = bytes.subarray(at, at + MARKER_SIZE);
  if (piece.length === MARKER_SIZE && isPattern(piece)) return MARKER_SIZE;
  const wanted = patternAt(offset);
  let length = MAGIC.length;
  while (length < piece.length && piece[length] === wanted[length]) length += 1;
  return length;
}

function isPattern(piece: Uint8Array): boolean {
  const view = new DataView(piece.buffer, piece.byteOffset, MARKER_SIZE);
  if (view.getUint32(CHECKED, true) !== crc32c(piece.subarray(0, CHECKED), 0xffff_ffff))
    return false;
  for (let index = 0; index < HALF; index += 1)
    if (piece[index] !== piece[HALF + index]) return false;
  return true;
}

/** A range of markers with the cut-off end of a pattern before it, where there is one. */
function withHead(range: ByteRange, bytes: Uint8Array, offset: number): ByteRange {
  const start = range.offset - MARKER_SIZE;
  if (start < 0) return range;
  const wanted = patternAt(start);
  let head = 0;
  while (head < MARKER_SIZE) {
    const at = range.offset - offset - head - 1;
    if (at < 0 || bytes[at] !== wanted[MARKER_SIZE - head - 1]) break;
    head += 1;
  }
  // A few equal bytes are chance; the copy's whole second half without its first is not.
  return head < 8 ? range : { offset: range.offset - head, length: range.length + head };
}
