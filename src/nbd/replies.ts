/**
 * replies: what a server says to a request, in the form that was agreed on: simple, structured or extended.
 *
 * The rules that shape a reply with a hole in it (doc/proto.md, "Structured reply types"): content chunks lie inside the request and apart from each
 * other and from errors; an error with an offset stands for what got no content; no offset is told twice; DONE comes last, and never on content
 * while an error is still possible.
 */
import {
  CHUNK_BYTES,
  encodeBlockStatus,
  encodeError,
  encodeExtendedStatus,
  EXTENDED_CHUNK_BYTES,
  HOLE_BYTES,
  NBD_CHUNK,
  NBD_COMMAND,
  NBD_REPLY_DONE,
  putChunk,
  putExtendedChunk,
  putHole,
  putSimpleReply,
  putU64,
  SIMPLE_REPLY_BYTES,
  type RequestHeader,
  type StatusExtent,
} from "../device/index.ts";
import type { ByteRange } from "../base/index.ts";
import type { Agreement } from "./handshake.ts";
import type { Output } from "./output.ts";

/** Why a request failed. */
export interface Failure {
  /** A value of `NBD_ERROR`. */
  readonly errno: number;
  /** For people. */
  readonly text: string;
  /** Where it failed, in bytes of the export; `undefined` where that is no place. */
  readonly offset?: number | undefined;
}

/** Bytes before the data of a content chunk. */
const OFFSET_BYTES = 8;

interface ChunkShape {
  /** `NBD_REPLY_DONE`, or 0. */
  readonly flags: number;
  readonly type: number;
  /** Bytes of payload. */
  readonly length: number;
}

/** Writes the replies of one client. */
export class Replies {
  readonly form: Agreement["form"];
  readonly output: Output;
  readonly #head: number;
  readonly #simple = { errno: 0, cookieHigh: 0, cookieLow: 0 };
  readonly #chunk = { flags: 0, type: 0, cookieHigh: 0, cookieLow: 0, offset: 0, length: 0 };

  constructor(form: Agreement["form"], output: Output) {
    this.form = form;
    this.output = output;
    this.#head = form === "extended" ? EXTENDED_CHUNK_BYTES : CHUNK_BYTES;
  }

  /** Bytes that stand before the data of a read that went well. */
  get dataHead(): number {
    return this.form === "simple" ? SIMPLE_REPLY_BYTES : this.#head + OFFSET_BYTES;
  }

  /** Stores what stands before `length` bytes of data from `offset` on. @param isLast whether nothing else belongs to the reply */
  putDataHead(at: number, request: RequestHeader, part: ByteRange & { isLast: boolean }): void {
    if (this.form === "simple") {
      this.#putSimple(at, request, 0);
      return;
    }
    this.#putHead(at, request, {
      flags: part.isLast ? NBD_REPLY_DONE : 0,
      type: NBD_CHUNK.OFFSET_DATA,
      length: OFFSET_BYTES + part.length,
    });
    putU64(this.output.bytes, at + this.#head, part.offset);
  }

  /** Data of a read; its bytes may change after the call. */
  data(request: RequestHeader, part: ByteRange & { isLast: boolean }, bytes: Uint8Array): void {
    this.putDataHead(this.output.room(), request, part);
    if (part.length > 4096) {
      this.output.takeWith(this.dataHead, bytes);
      return;
    }
    this.output.bytes.set(bytes, this.output.room() + this.dataHead);
    this.output.take(this.dataHead + part.length);
  }

  /** A part of a read that reads as zeros. */
  hole(request: RequestHeader, part: ByteRange & { isLast: boolean }): void {
    const at = this.output.room();
    this.#putHead(at, request, {
      flags: part.isLast ? NBD_REPLY_DONE : 0,
      type: NBD_CHUNK.OFFSET_HOLE,
      length: HOLE_BYTES,
    });
    putHole(this.output.bytes, at + this.#head, part);
    this.output.take(this.#head + HOLE_BYTES);
  }

  /** A part of a read that is missing; not the end of the reply. */
  missing(request: RequestHeader, failure: Failure): void {
    this.#error(request, failure, 0);
  }

  /** The extents of one context. */
  status(
    request: RequestHeader,
    context: { readonly id: number; readonly isLast: boolean },
    extents: readonly StatusExtent[],
  ): void {
    const isExtended = this.form === "extended";
    const encode = isExtended ? encodeExtendedStatus : encodeBlockStatus;
    this.#payload(request, encode(context.id, extents), {
      flags: context.isLast ? NBD_REPLY_DONE : 0,
      type: isExtended ? NBD_CHUNK.BLOCK_STATUS_EXT : NBD_CHUNK.BLOCK_STATUS,
    });
  }

  /** The end of a reply that went well, or whose failures were told. */
  done(request: RequestHeader): void {
    const at = this.output.room();
    if (this.#isSimple(request)) {
      this.#putSimple(at, request, 0);
      this.output.take(SIMPLE_REPLY_BYTES);
      return;
    }
    this.#putHead(at, request, { flags: NBD_REPLY_DONE, type: NBD_CHUNK.NONE, length: 0 });
    this.output.take(this.#head);
  }

  /** The whole reply to a request that failed, or the end of one. */
  failed(request: RequestHeader, failure: Failure): void {
    if (this.form !== "simple") {
      this.#error(request, failure, NBD_REPLY_DONE);
      return;
    }
    this.#putSimple(this.output.room(), request, failure.errno);
    this.output.take(SIMPLE_REPLY_BYTES);
  }

  /** A client that negotiated structured replies still gets simple ones, but to READ and BLOCK_STATUS, or in the extended form. */
  #isSimple({ type }: RequestHeader): boolean {
    return (
      this.form === "simple" ||
      (this.form === "structured" && type !== NBD_COMMAND.READ && type !== NBD_COMMAND.BLOCK_STATUS)
    );
  }

  #error(request: RequestHeader, { errno, text, offset }: Failure, flags: number): void {
    const type = offset === undefined ? NBD_CHUNK.ERROR : NBD_CHUNK.ERROR_OFFSET;
    this.#payload(request, encodeError({ errno, text, offset }), { flags, type });
  }

  #payload(
    request: RequestHeader,
    payload: Uint8Array,
    { flags, type }: { readonly flags: number; readonly type: number },
  ): void {
    this.#putHead(this.output.room(), request, { flags, type, length: payload.length });
    this.output.take(this.#head);
    this.output.put(payload);
  }

  #putSimple(at: number, request: RequestHeader, errno: number): void {
    const reply = this.#simple;
    reply.errno = errno;
    reply.cookieHigh = request.cookieHigh;
    reply.cookieLow = request.cookieLow;
    putSimpleReply(this.output.bytes, at, reply);
  }

  #putHead(at: number, request: RequestHeader, { flags, type, length }: ChunkShape): void {
    const chunk = this.#chunk;
    chunk.flags = flags;
    chunk.type = type;
    chunk.cookieHigh = request.cookieHigh;
    chunk.cookieLow = request.cookieLow;
    chunk.offset = request.offset;
    chunk.length = length;
    const put = this.form === "extended" ? putExtendedChunk : putChunk;
    put(this.output.bytes, at, chunk);
  }
}
