/**
 * PendingReply: one request on its way, and what has come of its reply. It holds the reply to the rules of the specification:
 * nothing outside the request, no byte twice, and a read that ends well has every byte (R1).
 *
 * Content is kept until the reply has ended, and only then copied: an error may follow that takes a part of it back.
 * Whatever a server sends, what is kept is bounded by the length of the request.
 */
import { endOf, RangeSet, StorageError, type ByteRange } from "../../base/index.ts";
import { decodeBlockStatus, decodeError, HOLE_BYTES, type StatusExtent } from "./chunks.ts";
import type { ChunkHeader } from "./headers.ts";
import { NBD_CHUNK, NBD_COMMAND, NBD_REPLY_DONE, NBD_STRING_MAX } from "./protocol.ts";
import { getU32, getU64 } from "./words.ts";

/** How a connection frames its replies. */
export type ReplyForm = "simple" | "structured" | "extended";

/** A request. */
export interface NbdRequest {
  /** One of `NBD_COMMAND`. */
  readonly type: number;
  /** `NBD_COMMAND_FLAG` bits. */
  readonly flags: number;
  readonly offset: number;
  readonly length: number;
  /** What a write carries. */
  readonly payload?: Uint8Array;
}

/** What a server said went wrong. */
export interface NbdFailure {
  readonly errno: number;
  readonly text: string;
  /** Where, in bytes of the export; `undefined` where one error at least came without a place. */
  readonly offset: number | undefined;
}

/** Pieces of content that are kept as they came; with more of them, all are copied together. */
const PIECES_MAX = 64;
/** Extents of a status chunk that are taken: what the specification advises servers to stay below. */
const EXTENTS_MAX = 1024 * 1024;
/** Bytes of an error chunk of a type that nobody knows yet. */
const UNKNOWN_ERROR_MAX = 64 * 1024;

interface Piece {
  readonly offset: number;
  /** `undefined` for zeros that did not travel. */
  readonly bytes: Uint8Array | undefined;
  readonly length: number;
}

/** The server does not speak the protocol: the connection ends. */
export function protocolError(what: string): StorageError {
  return new StorageError("EPROTO", `The server broke the NBD protocol: ${what}`, {
    syscall: "nbd",
  });
}

/** A request and its reply so far. */
export class PendingReply {
  readonly request: NbdRequest;
  readonly resolve: (reply: PendingReply) => void;
  readonly reject: (error: unknown) => void;
  /** Which connection of the session answered. */
  epoch: number = 0;
  /** The first error; where one has no offset, none is told. */
  failure: NbdFailure | undefined;
  /** Extents of each context, from the offset of the request on. */
  readonly extents: Map<number, readonly StatusExtent[]> = new Map();
  readonly #form: ReplyForm;
  #pieces: Piece[] = [];
  #joined: Uint8Array | undefined;
  /** Where content came, or was said to be zeros. */
  #covered: RangeSet | undefined;
  #coveredWhole = false;
  readonly #errors = new RangeSet();
  #at = 0;

  constructor(
    request: NbdRequest,
    hands: {
      readonly form: ReplyForm;
      readonly resolve: (reply: PendingReply) => void;
      readonly reject: (error: unknown) => void;
    },
  ) {
    this.request = request;
    this.#form = hands.form;
    this.resolve = hands.resolve;
    this.reject = hands.reject;
  }

  /** Takes a simple reply. @returns bytes of data that follow */
  simple(errno: number): number {
    const { type, offset, length } = this.request;
    if (errno !== 0) {
      this.failure = { errno, text: "", offset: undefined };
      return 0;
    }
    if (type === NBD_COMMAND.BLOCK_STATUS)
      throw protocolError("a simple reply to a request for block status");
    if (type !== NBD_COMMAND.READ) return 0;
    if (this.#form !== "simple") throw protocolError("a simple reply with data to a read");
    this.#begin({ offset, length });
    return length;
  }

  /** Checks the header of a chunk before any of its payload is kept. @returns how much of the payload is wanted whole: the rest is content */
  chunk(header: ChunkHeader): number {
    const { type, length } = header;
    if (this.#form === "extended" && header.offset !== this.request.offset)
      throw protocolError(
        `a chunk for offset ${header.offset} of a request at ${this.request.offset}`,
      );
    if (type === NBD_CHUNK.OFFSET_DATA) {
      this.#checkType(header, NBD_COMMAND.READ);
      if (length < 9 || length - 8 > this.request.length)
        throw protocolError(`a data chunk of ${length} bytes for a read of ${this.request.length}`);
      return 8;
    }
    if (length > this.#limitOf(header))
      throw protocolError(`a chunk of type ${type} with ${length} bytes`);
    return length;
  }

  #limitOf(header: ChunkHeader): number {
    const { type, flags } = header;
    const isExtended = this.#form === "extended";
    if (type === NBD_CHUNK.NONE) {
      if ((flags & NBD_REPLY_DONE) === 0) throw protocolError("an empty chunk that ends no reply");
      return 0;
    }
    if (type === NBD_CHUNK.OFFSET_HOLE) {
      this.#checkType(header, NBD_COMMAND.READ);
      return HOLE_BYTES;
    }
    if (type === (isExtended ? NBD_CHUNK.BLOCK_STATUS_EXT : NBD_CHUNK.BLOCK_STATUS)) {
      this.#checkType(header, NBD_COMMAND.BLOCK_STATUS);
      return isExtended ? 8 + 16 * EXTENTS_MAX : 4 + 8 * EXTENTS_MAX;
    }
    if (type === NBD_CHUNK.ERROR) return 6 + NBD_STRING_MAX;
    if (type === NBD_CHUNK.ERROR_OFFSET) return 14 + NBD_STRING_MAX;
    if ((type & NBD_CHUNK.ERROR_BIT) !== 0) return UNKNOWN_ERROR_MAX;
    throw protocolError(`a chunk of unknown type ${type}`);
  }

  #checkType(header: ChunkHeader, command: number): void {
    if (this.request.type !== command)
      throw protocolError(
        `a chunk of type ${header.type} for a request of type ${this.request.type}`,
      );
  }

  /** Takes the part of a payload that `chunk` wanted whole. @returns bytes of content that follow */
  payload(header: ChunkHeader, bytes: Uint8Array): number {
    const { type } = header;
    if (type === NBD_CHUNK.OFFSET_DATA) {
      const range = { offset: getU64(bytes, 0), length: header.length - 8 };
      this.#begin(range);
      return range.length;
    }
    if (type === NBD_CHUNK.OFFSET_HOLE) this.#hole(bytes);
    else if (type === NBD_CHUNK.BLOCK_STATUS || type === NBD_CHUNK.BLOCK_STATUS_EXT)
      this.#status(type, bytes);
    else if (type !== NBD_CHUNK.NONE) this.#error(type, bytes);
    return 0;
  }

  #hole(bytes: Uint8Array): void {
    if (bytes.length !== HOLE_BYTES) throw protocolError(`a hole chunk of ${bytes.length} bytes`);
    const range = { offset: getU64(bytes, 0), length: getU32(bytes, 8) };
    if (range.length === 0) throw protocolError("a hole of no bytes");
    this.#begin(range);
    this.#keep({ ...range, bytes: undefined });
  }

  #status(type: number, bytes: Uint8Array): void {
    const status = decodeBlockStatus(type, bytes);
    if (status === undefined) throw protocolError("block status of another form");
    if (this.extents.has(status.context)) throw protocolError("block status of one context twice");
    this.extents.set(status.context, status.extents);
  }

  #error(type: number, bytes: Uint8Array): void {
    const error = decodeError(type, bytes);
    if (error === undefined) throw protocolError("an error chunk of another form");
    const { errno, text, offset } = error;
    if (offset !== undefined) {
      if (!this.#isInside({ offset, length: 1 }))
        throw protocolError(`an error at offset ${offset}, outside the request`);
      if (this.#errors.intersects(offset, 1)) throw protocolError(`two errors at offset ${offset}`);
      this.#errors.add(offset, 1);
    }
    const first = this.failure ?? { errno, text, offset };
    this.failure = offset === undefined ? { ...first, offset: undefined } : first;
  }

  #isInside(range: ByteRange): boolean {
    const { offset, length } = this.request;
    return (
      Number.isSafeInteger(range.offset) &&
      range.offset >= offset &&
      range.length <= offset + length - range.offset
    );
  }

  /** Begins a piece of content. */
  #begin(range: ByteRange): void {
    const { offset, length } = range;
    if (!this.#isInside(range))
      throw protocolError(`content at ${offset}+${length}, outside the request`);
    if (this.#coveredWhole || this.#covered?.intersects(offset, length) === true)
      throw protocolError(`content at ${offset}+${length} twice`);
    if (this.#errors.size > 0 && this.#errors.intersects(offset, length))
      throw protocolError(`content at ${offset}+${length} behind an error there`);
    if (length === this.request.length) this.#coveredWhole = true;
    else (this.#covered ??= new RangeSet()).add(offset, length);
    this.#at = offset;
  }

  /** Takes content, in pieces as they come. */
  data(bytes: Uint8Array): void {
    this.#keep({ offset: this.#at, length: bytes.length, bytes });
    this.#at += bytes.length;
  }

  #keep(piece: Piece): void {
    if (this.#joined === undefined && this.#pieces.length < PIECES_MAX) {
      this.#pieces.push(piece);
      return;
    }
    const { offset: start } = this.request;
    this.#joined ??= new Uint8Array(this.request.length);
    const joined = this.#joined;
    for (const { offset, bytes } of this.#pieces)
      if (bytes !== undefined) joined.set(bytes, offset - start);
    this.#pieces = [];
    if (piece.bytes !== undefined) joined.set(piece.bytes, piece.offset - start);
  }

  /** Called when the reply has ended. @throws {StorageError} EPROTO where it promises what did not come */
  end(): void {
    const { type, offset, length } = this.request;
    if (this.failure !== undefined) return;
    if (type === NBD_COMMAND.READ && !this.#coveredWhole) {
      const whole = length === 0 || this.#covered?.covers(offset, length) === true;
      if (!whole)
        throw protocolError(`a read at ${offset}+${length} that ended well without all its bytes`);
    }
    if (type === NBD_COMMAND.BLOCK_STATUS && this.extents.size === 0)
      throw protocolError("a request for block status that ended well without any");
  }

  /**
   * Copies what can be trusted to where it belongs; the rest of `into` stays as it was (R1).
   *
   * @returns the ranges that did not come, ascending
   */
  copyTo(into: Uint8Array): readonly ByteRange[] {
    const { offset: start, length } = this.request;
    if (this.failure === undefined) {
      this.#copy(into, { offset: start, length });
      return [];
    }
    const trusted = this.#trusted();
    for (const range of trusted.within(start, length)) this.#copy(into, range);
    return [...trusted.gaps(start, length)];
  }

  /** What the specification lets a client believe of a reply with errors ("Structured reply types", ERROR_OFFSET). */
  #trusted(): RangeSet {
    const { offset, length } = this.request;
    if (this.failure?.offset === undefined) return new RangeSet();
    const trusted = this.#coveredWhole
      ? RangeSet.from([{ offset, length }])
      : (this.#covered ?? new RangeSet());
    for (const error of this.#errors.within(offset, length)) {
      // Touching errors come as one range. Behind an error the rest of its content is padding.
      const run = [...trusted.within(error.offset, offset + length - error.offset)][0];
      if (run !== undefined && run.offset < endOf(error)) trusted.delete(run.offset, run.length);
    }
    return trusted;
  }

  #copy(into: Uint8Array, range: ByteRange): void {
    const start = this.request.offset;
    const from = range.offset;
    const end = endOf(range);
    if (this.#joined !== undefined) {
      into.set(this.#joined.subarray(from - start, end - start), from - start);
      return;
    }
    for (const piece of this.#pieces) {
      const first = Math.max(from, piece.offset);
      const last = Math.min(end, piece.offset + piece.length);
      if (first >= last) continue;
      if (piece.bytes === undefined) into.fill(0, first - start, last - start);
      else into.set(piece.bytes.subarray(first - piece.offset, last - piece.offset), first - start);
    }
  }
}
