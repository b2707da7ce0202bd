/**
 * headers: requests and replies of the transmission phase, put into bytes and read out of them, in the three forms of the protocol:
 * simple, structured, and extended (64-bit lengths).
 *
 * A cookie is opaque to a server: it is kept as its two words and given back bit by bit. Readers fill an object that the caller keeps, so that a
 * request costs no allocation; they check the magic number and nothing else.
 */
import { NBD_CHUNK, NBD_MAGIC } from "./protocol.ts";
import { getU16, getU32, getU64, putU16, putU32, putU64 } from "./words.ts";

/** Bytes of a compact request. */
export const REQUEST_BYTES = 28;
/** Bytes of an extended request. */
export const EXTENDED_REQUEST_BYTES = 32;
/** Bytes of a simple reply, before its data. */
export const SIMPLE_REPLY_BYTES = 16;
/** Bytes of the header of a structured chunk. */
export const CHUNK_BYTES = 20;
/** Bytes of the header of an extended chunk. */
export const EXTENDED_CHUNK_BYTES = 32;

/** A request without its payload, in both forms. */
export interface RequestHeader {
  /** `NBD_COMMAND_FLAG` bits. */
  flags: number;
  /** One of `NBD_COMMAND`, or anything else that a client may send. */
  type: number;
  cookieHigh: number;
  cookieLow: number;
  /** Bytes; above 2^53 where the client sent that. */
  offset: number;
  /** Bytes of the effect, or of the payload where the flag PAYLOAD_LEN says so. */
  length: number;
}

/** Stores a compact request ("Request message"): 28 bytes. */
export function putRequest(bytes: Uint8Array, at: number, header: RequestHeader): void {
  putU32(bytes, at, NBD_MAGIC.REQUEST);
  putRequestBody(bytes, at, header);
  putU32(bytes, at + 24, header.length);
}

/** Stores an extended request ("Extended request message"): 32 bytes. */
export function putExtendedRequest(bytes: Uint8Array, at: number, header: RequestHeader): void {
  putU32(bytes, at, NBD_MAGIC.EXTENDED_REQUEST);
  putRequestBody(bytes, at, header);
  putU64(bytes, at + 24, header.length);
}

function putRequestBody(bytes: Uint8Array, at: number, header: RequestHeader): void {
  putU16(bytes, at + 4, header.flags);
  putU16(bytes, at + 6, header.type);
  putU32(bytes, at + 8, header.cookieHigh);
  putU32(bytes, at + 12, header.cookieLow);
  putU64(bytes, at + 16, header.offset);
}

/** Reads a compact request. @returns false where the magic is another one: the connection is out of step, and ends */
export function getRequest(bytes: Uint8Array, at: number, into: RequestHeader): boolean {
  if (getU32(bytes, at) !== NBD_MAGIC.REQUEST) return false;
  getRequestBody(bytes, at, into);
  into.length = getU32(bytes, at + 24);
  return true;
}

/** Reads an extended request, as `getRequest`. */
export function getExtendedRequest(bytes: Uint8Array, at: number, into: RequestHeader): boolean {
  if (getU32(bytes, at) !== NBD_MAGIC.EXTENDED_REQUEST) return false;
  getRequestBody(bytes, at, into);
  into.length = getU64(bytes, at + 24);
  return true;
}

function getRequestBody(bytes: Uint8Array, at: number, into: RequestHeader): void {
  into.flags = getU16(bytes, at + 4);
  into.type = getU16(bytes, at + 6);
  into.cookieHigh = getU32(bytes, at + 8);
  into.cookieLow = getU32(bytes, at + 12);
  into.offset = getU64(bytes, at + 16);
}

/** A simple reply without its data. */
export interface SimpleReply {
  cookieHigh: number;
  cookieLow: number;
  /** A value of `NBD_ERROR`, or 0. */
  errno: number;
}

/** Stores a simple reply ("Simple reply message"): 16 bytes. */
export function putSimpleReply(bytes: Uint8Array, at: number, reply: SimpleReply): void {
  putU32(bytes, at, NBD_MAGIC.SIMPLE_REPLY);
  putU32(bytes, at + 4, reply.errno);
  putU32(bytes, at + 8, reply.cookieHigh);
  putU32(bytes, at + 12, reply.cookieLow);
}

/** Reads a simple reply, whose magic the caller has looked at. */
export function getSimpleReply(bytes: Uint8Array, at: number, into: SimpleReply): void {
  into.errno = getU32(bytes, at + 4);
  into.cookieHigh = getU32(bytes, at + 8);
  into.cookieLow = getU32(bytes, at + 12);
}

/** The header of a chunk of a reply, structured or extended. */
export interface ChunkHeader {
  /** `NBD_REPLY_DONE`, or 0. */
  flags: number;
  /** One of `NBD_CHUNK`. */
  type: number;
  cookieHigh: number;
  cookieLow: number;
  /** Offset of the request; extended chunks only, elsewhere 0. */
  offset: number;
  /** Bytes of payload that follow. */
  length: number;
}

/** Stores the header of a structured chunk ("Structured reply chunk message"): 20 bytes. */
export function putChunk(bytes: Uint8Array, at: number, header: ChunkHeader): void {
  putU32(bytes, at, NBD_MAGIC.STRUCTURED_REPLY);
  putChunkBody(bytes, at, header);
  putU32(bytes, at + 16, header.length);
}

/** Stores the header of an extended chunk ("Extended reply chunk message"): 32 bytes. */
export function putExtendedChunk(bytes: Uint8Array, at: number, header: ChunkHeader): void {
  putU32(bytes, at, NBD_MAGIC.EXTENDED_REPLY);
  putChunkBody(bytes, at, header);
  putU64(bytes, at + 16, header.offset);
  putU64(bytes, at + 24, header.length);
}

function putChunkBody(bytes: Uint8Array, at: number, header: ChunkHeader): void {
  putU16(bytes, at + 4, header.flags);
  putU16(bytes, at + 6, header.type);
  putU32(bytes, at + 8, header.cookieHigh);
  putU32(bytes, at + 12, header.cookieLow);
}

/** Reads the header of a structured chunk, whose magic the caller has looked at. */
export function getChunk(bytes: Uint8Array, at: number, into: ChunkHeader): void {
  getChunkBody(bytes, at, into);
  into.offset = 0;
  into.length = getU32(bytes, at + 16);
}

/** Reads the header of an extended chunk, whose magic the caller has looked at. */
export function getExtendedChunk(bytes: Uint8Array, at: number, into: ChunkHeader): void {
  getChunkBody(bytes, at, into);
  into.offset = getU64(bytes, at + 16);
  into.length = getU64(bytes, at + 24);
}

function getChunkBody(bytes: Uint8Array, at: number, into: ChunkHeader): void {
  into.flags = getU16(bytes, at + 4);
  into.type = getU16(bytes, at + 6);
  into.cookieHigh = getU32(bytes, at + 8);
  into.cookieLow = getU32(bytes, at + 12);
}

/** Whether a chunk says that something failed; also one of a type that nobody knows yet ("must treat as an error"). */
export function isErrorChunk(type: number): boolean {
  return (type & NBD_CHUNK.ERROR_BIT) !== 0;
}
