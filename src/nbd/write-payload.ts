/**
 * write-payload: the data of one WRITE as it comes in: stored piece by piece, so that no client makes the server hold more than one piece.
 *
 * Pieces end at multiples of 1 MiB of the export, or of its clear unit, so that no unit is cut in two. What lies whole in the bytes that came is
 * stored from there; the rest is put together in a buffer, into which the socket can read at once. A write that fails takes the rest of its data,
 * and stores nothing of it.
 */
import { isPromise, roundDown, type MaybePromise } from "../base/index.ts";
import type { RequestHeader } from "../device/index.ts";
import type { NbdExport } from "./export.ts";
import type { Failure } from "./replies.ts";
import { store } from "./store.ts";

/** Bytes of a piece. */
const PIECE = 1024 * 1024;
/** Smallest rest of a piece that the socket reads into: below it a copy is cheaper than a read of its own. */
const DIRECT_MIN = 16 * 1024;

/** Where pieces are put together: one for a client, made with its first write that needs it, because only one write comes in at a time. */
export class PieceBuffer {
  #bytes: Uint8Array = new Uint8Array(0);

  /** The first `length` bytes. */
  bytes(length: number): Uint8Array {
    if (this.#bytes.length < length)
      this.#bytes = Buffer.allocUnsafeSlow(Math.max(length, 2 * this.#bytes.length));
    return this.#bytes;
  }
}

/** What the data of a write goes to. */
export interface PayloadOptions {
  readonly face: NbdExport;
  readonly buffer: PieceBuffer;
  /** Why nothing of the data is wanted. */
  readonly failure?: Failure | undefined;
}

/** One WRITE on its way. */
export class WritePayload {
  readonly request: RequestHeader;
  failure: Failure | undefined;
  readonly #face: NbdExport;
  readonly #pieceMax: number;
  /** First byte that is not stored, and not in the buffer either. */
  #at: number;
  readonly #buffer: PieceBuffer;
  /** Bytes of the piece in the buffer. */
  #have = 0;

  constructor(request: RequestHeader, options: PayloadOptions) {
    const { face, buffer, failure } = options;
    this.#face = face;
    this.#buffer = buffer;
    this.request = request;
    this.failure = failure;
    this.#at = request.offset;
    this.#pieceMax = Math.max(PIECE, face.device.capabilities.clearUnit);
    this.#left = request.length;
  }

  /** Bytes that have not come yet. */
  #left: number;

  /** Whether all has come. */
  get isWhole(): boolean {
    return this.#left === 0;
  }

  /** Where the next bytes may land, if that helps: the rest of a piece. */
  space(): Uint8Array | undefined {
    if (this.failure !== undefined || this.#left === 0) return undefined;
    const rest = this.#pieceLength() - this.#have;
    if (rest < DIRECT_MIN) return undefined;
    return this.#ownBuffer().subarray(this.#have, this.#have + rest);
  }

  /**
   * Takes bytes from `from` on, up to the end of a piece.
   *
   * @returns how many; and a promise where the piece is being stored: nothing may be given before it is kept
   */
  take(bytes: Uint8Array, from: number): { readonly count: number; readonly busy?: Promise<void> } {
    const available = Math.min(bytes.length - from, this.#left);
    if (this.failure !== undefined) {
      this.#left -= available;
      return { count: available };
    }
    const length = this.#pieceLength();
    const count = Math.min(available, length - this.#have);
    this.#left -= count;
    if (this.#have === 0 && count === length && this.#face.direct() !== undefined)
      return { count, ...this.#store(bytes.subarray(from, from + count)) };
    const buffer = this.#ownBuffer();
    const part = bytes.subarray(from, from + count);
    // Bytes that the socket read into the buffer are where they belong.
    if (part.byteOffset !== buffer.byteOffset + this.#have || part.buffer !== buffer.buffer)
      buffer.set(part, this.#have);
    this.#have += count;
    if (this.#have < length) return { count };
    this.#have = 0;
    return { count, ...this.#store(buffer.subarray(0, length)) };
  }

  #pieceLength(): number {
    const { length, offset } = this.request;
    if (length === 0) return 0;
    const end = roundDown(this.#at, this.#pieceMax) + this.#pieceMax;
    return Math.min(end, offset + length) - this.#at;
  }

  #ownBuffer(): Uint8Array {
    return this.#buffer.bytes(Math.min(this.#pieceMax, this.request.length));
  }

  #store(piece: Uint8Array): { busy?: Promise<void> } {
    const offset = this.#at;
    this.#at += piece.length;
    const stored: MaybePromise<Failure | undefined> = store(this.#face, piece, offset);
    if (!isPromise(stored)) {
      this.failure = stored;
      return {};
    }
    return {
      busy: this.#note(stored),
    };
  }

  async #note(stored: Promise<Failure | undefined>): Promise<void> {
    this.failure = await stored;
  }
}
