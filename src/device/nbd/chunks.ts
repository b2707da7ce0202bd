/**
 * chunks: the payloads of reply chunks: errors with text and offset, holes, block status.
 *
 * Readers take a payload of any length from anybody: they answer `undefined` where it is not of the form that the specification gives it.
 */
import { getU16, getU32, getU64, putU16, putU32, putU64 } from "./words.ts";
import { NBD_CHUNK, NBD_STRING_MAX } from "./protocol.ts";

/** What an error chunk says. */
export interface ErrorChunk {
  /** A value of `NBD_ERROR`, or any other that a server sends. */
  readonly errno: number;
  /** Words of the server for people; empty where it has none. */
  readonly text: string;
  /** Where it failed, in bytes of the export; `undefined` where the server does not tell. */
  readonly offset: number | undefined;
}

/** Payload of ERROR, or of ERROR_OFFSET where there is an offset. The text is cut to what the protocol allows. */
export function encodeError(error: ErrorChunk): Buffer {
  const text = cutText(error.text, NBD_STRING_MAX);
  const bytes = Buffer.alloc(6 + text.length + (error.offset === undefined ? 0 : 8));
  putU32(bytes, 0, error.errno);
  putU16(bytes, 4, text.length);
  bytes.set(text, 6);
  if (error.offset !== undefined) putU64(bytes, 6 + text.length, error.offset);
  return bytes;
}

/** A text as bytes, of at most `limit`, and never a part of a character. */
export function cutText(text: string, limit: number): Buffer {
  const bytes = Buffer.from(text.replaceAll("\0", " "), "utf8");
  if (bytes.length <= limit) return bytes;
  let end = limit;
  while (end > 0 && ((bytes[end] as number) & 0xc0) === 0x80) end -= 1;
  return bytes.subarray(0, end);
}

/** Reads the payload of an error chunk; of an error type that is not known, number and text alone. */
export function decodeError(type: number, payload: Uint8Array): ErrorChunk | undefined {
  if (payload.length < 6) return undefined;
  const length = getU16(payload, 4);
  const end = 6 + length;
  const withOffset = type === NBD_CHUNK.ERROR_OFFSET;
  if (length > NBD_STRING_MAX || payload.length < end + (withOffset ? 8 : 0)) return undefined;
  if (type === NBD_CHUNK.ERROR && payload.length !== end) return undefined;
  if (withOffset && payload.length !== end + 8) return undefined;
  const text = Buffer.from(payload.subarray(6, end)).toString("utf8");
  return {
    errno: getU32(payload, 0),
    text,
    offset: withOffset ? getU64(payload, end) : undefined,
  };
}

/** Bytes of the payload of OFFSET_HOLE: offset and length of what reads as zeros. */
export const HOLE_BYTES = 12;

/** Stores the payload of OFFSET_HOLE. */
export function putHole(
  bytes: Uint8Array,
  at: number,
  hole: { offset: number; length: number },
): void {
  putU64(bytes, at, hole.offset);
  putU32(bytes, at + 8, hole.length);
}

/** Bytes of a run of one status. */
export interface StatusExtent {
  readonly length: number;
  /** `NBD_ALLOCATION`, `POISON_STATUS`, or what the context means by it. */
  readonly flags: number;
}

/** Payload of BLOCK_STATUS: at least one extent, lengths below 2^32. */
export function encodeBlockStatus(context: number, extents: readonly StatusExtent[]): Buffer {
  const bytes = Buffer.allocUnsafe(4 + extents.length * 8);
  putU32(bytes, 0, context);
  for (const [index, extent] of extents.entries()) {
    putU32(bytes, 4 + index * 8, extent.length);
    putU32(bytes, 8 + index * 8, extent.flags);
  }
  return bytes;
}

/** Payload of BLOCK_STATUS_EXT: at least one extent. */
export function encodeExtendedStatus(context: number, extents: readonly StatusExtent[]): Buffer {
  const bytes = Buffer.allocUnsafe(8 + extents.length * 16);
  putU32(bytes, 0, context);
  putU32(bytes, 4, extents.length);
  for (const [index, extent] of extents.entries()) {
    putU64(bytes, 8 + index * 16, extent.length);
    putU64(bytes, 16 + index * 16, extent.flags);
  }
  return bytes;
}

/** The extents of a status chunk of either form, from the offset of the request on. */
export interface BlockStatus {
  readonly context: number;
  readonly extents: readonly StatusExtent[];
}

/** Reads a status chunk; `undefined` where it has no extent, an empty one, or a length that does not fit. */
export function decodeBlockStatus(type: number, payload: Uint8Array): BlockStatus | undefined {
  const extended = type === NBD_CHUNK.BLOCK_STATUS_EXT;
  const [head, step] = extended ? [8, 16] : [4, 8];
  const body = payload.length - head;
  if (body < step || body % step !== 0) return undefined;
  if (extended && getU32(payload, 4) !== body / step) return undefined;
  const extents: StatusExtent[] = [];
  for (let at = head; at < payload.length; at += step) {
    const length = extended ? getU64(payload, at) : getU32(payload, at);
    const flags = extended ? getU64(payload, at + 8) : getU32(payload, at + 4);
    if (length === 0) return undefined;
    extents.push({ length, flags });
  }
  return { context: getU32(payload, 0), extents };
}
