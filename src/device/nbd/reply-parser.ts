/**
 * ReplyParser: the bytes of a server, cut wherever the network cut them, become replies to requests.
 *
 * It keeps at most a header, or the part of a payload that must be whole, and looks at lengths before it keeps anything. What is no reply
 * is a StorageError EPROTO, after which the connection is of no use.
 */
import {
  CHUNK_BYTES,
  EXTENDED_CHUNK_BYTES,
  getChunk,
  getExtendedChunk,
  getSimpleReply,
  SIMPLE_REPLY_BYTES,
  type ChunkHeader,
  type SimpleReply,
} from "./headers.ts";
import { protocolError, type PendingReply, type ReplyForm } from "./pending-reply.ts";
import { NBD_MAGIC, NBD_REPLY_DONE } from "./protocol.ts";
import { getU32 } from "./words.ts";

/** The requests of a connection, for its parser. */
export interface ReplySink {
  /** The request of a cookie, or `undefined`. */
  find(cookieHigh: number, cookieLow: number): PendingReply | undefined;
  /** Called when a reply has ended; its request is over. */
  ended(reply: PendingReply, cookieLow: number): void;
}

/** One direction of a connection. */
export class ReplyParser {
  readonly #sink: ReplySink;
  readonly #form: ReplyForm;
  readonly #chunk: ChunkHeader = {
    flags: 0,
    type: 0,
    cookieHigh: 0,
    cookieLow: 0,
    offset: 0,
    length: 0,
  };
  readonly #simple: SimpleReply = { cookieHigh: 0, cookieLow: 0, errno: 0 };
  /** What is being gathered: a header, or a payload that is wanted whole. */
  #kept = new Uint8Array(64);
  #keptBytes = 0;
  #wanted: number;
  #step: "header" | "payload" = "header";
  #reply: PendingReply | undefined;
  /** Bytes of content that are still to come. */
  #content = 0;

  constructor(form: ReplyForm, sink: ReplySink) {
    this.#form = form;
    this.#sink = sink;
    this.#wanted = form === "extended" ? EXTENDED_CHUNK_BYTES : SIMPLE_REPLY_BYTES;
  }

  /** Takes what came. @throws {StorageError} EPROTO; nothing may be pushed after that */
  push(bytes: Uint8Array): void {
    let at = 0;
    while (at < bytes.length) {
      if (this.#content > 0) {
        const count = Math.min(this.#content, bytes.length - at);
        this.#reply?.data(bytes.subarray(at, at + count));
        this.#content -= count;
        at += count;
        if (this.#content === 0) this.#endChunk();
        continue;
      }
      const missing = this.#wanted - this.#keptBytes;
      const count = Math.min(missing, bytes.length - at);
      const part = bytes.subarray(at, at + count);
      at += count;
      if (count < missing) this.#keep(part);
      else this.#gathered(this.#keptBytes === 0 ? part : this.#joinedWith(part));
    }
  }

  /** A copy: what the socket gave may be used again. It grows with what came, not with what a length promises. */
  #keep(part: Uint8Array): void {
    const bytes = this.#keptBytes + part.length;
    if (bytes > this.#kept.length) {
      const grown = new Uint8Array(Math.max(bytes, this.#kept.length * 2));
      grown.set(this.#kept.subarray(0, this.#keptBytes));
      this.#kept = grown;
    }
    this.#kept.set(part, this.#keptBytes);
    this.#keptBytes = bytes;
  }

  #joinedWith(part: Uint8Array): Uint8Array {
    this.#keep(part);
    const whole = this.#kept.subarray(0, this.#keptBytes);
    this.#keptBytes = 0;
    return whole;
  }

  #gathered(bytes: Uint8Array): void {
    if (this.#step === "payload") this.#takePayload(bytes);
    else this.#takeHeader(bytes);
  }

  #takeHeader(bytes: Uint8Array): void {
    const magic = getU32(bytes, 0);
    if (this.#form === "extended") {
      if (magic !== NBD_MAGIC.EXTENDED_REPLY) throw this.#badMagic(magic);
      getExtendedChunk(bytes, 0, this.#chunk);
      this.#beginChunk();
    } else if (magic === NBD_MAGIC.SIMPLE_REPLY) {
      getSimpleReply(bytes, 0, this.#simple);
      this.#beginSimple();
    } else if (magic === NBD_MAGIC.STRUCTURED_REPLY && this.#form === "structured") {
      // Its header is four bytes longer than the sixteen that tell the two kinds apart.
      if (bytes.length < CHUNK_BYTES) {
        this.#wanted = CHUNK_BYTES;
        this.#keep(bytes.slice());
        return;
      }
      getChunk(bytes, 0, this.#chunk);
      this.#beginChunk();
    } else {
      throw this.#badMagic(magic);
    }
  }

  #badMagic(magic: number): Error {
    return protocolError(`0x${magic.toString(16).padStart(8, "0")} in place of a reply`);
  }

  #find(cookieHigh: number, cookieLow: number): PendingReply {
    const reply = this.#sink.find(cookieHigh, cookieLow);
    if (reply === undefined) throw protocolError("a reply to no request");
    this.#reply = reply;
    return reply;
  }

  #beginSimple(): void {
    const { errno, cookieHigh, cookieLow } = this.#simple;
    const reply = this.#find(cookieHigh, cookieLow);
    this.#chunk.flags = NBD_REPLY_DONE;
    this.#chunk.cookieLow = cookieLow;
    this.#content = reply.simple(errno);
    if (this.#content === 0) this.#endChunk();
  }

  #beginChunk(): void {
    const { cookieHigh, cookieLow } = this.#chunk;
    this.#wanted = this.#find(cookieHigh, cookieLow).chunk(this.#chunk);
    this.#step = "payload";
    if (this.#wanted === 0) this.#takePayload(new Uint8Array(0));
  }

  #takePayload(bytes: Uint8Array): void {
    this.#content = this.#reply?.payload(this.#chunk, bytes) ?? 0;
    if (this.#content === 0) this.#endChunk();
  }

  #endChunk(): void {
    const reply = this.#reply;
    this.#reply = undefined;
    this.#step = "header";
    this.#wanted = this.#form === "extended" ? EXTENDED_CHUNK_BYTES : SIMPLE_REPLY_BYTES;
    if (reply === undefined || (this.#chunk.flags & NBD_REPLY_DONE) === 0) return;
    reply.end();
    this.#sink.ended(reply, this.#chunk.cookieLow);
  }
}
