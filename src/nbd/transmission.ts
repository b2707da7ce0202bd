/**
 * transmission: the requests of one client after the handshake: read out of its bytes, bounded, carried out, answered.
 *
 * Takes arbitrary bytes in arbitrary pieces, and stops taking them where too much is under way or unsent: that is all the back-pressure there
 * is, and it is enough, because a client that is not read from cannot send. Requests are answered in the order in which they end.
 */
import {
  EXTENDED_REQUEST_BYTES,
  getExtendedRequest,
  getRequest,
  NBD_COMMAND,
  NBD_COMMAND_FLAG,
  NBD_ERROR,
  REQUEST_BYTES,
  type RequestHeader,
} from "../device/index.ts";
import { PAYLOAD_MAX } from "./export.ts";
import { failureOf } from "./failures.ts";
import type { Agreement } from "./handshake.ts";
import type { Output } from "./output.ts";
import { ReadCommand } from "./read-command.ts";
import { Replies, type Failure } from "./replies.ts";
import { problemOf } from "./request-check.ts";
import { replyStatus } from "./status-command.ts";
import { PieceBuffer, WritePayload } from "./write-payload.ts";
import { writeZeroes } from "./zero-command.ts";

/** Requests of one client that wait for the device, at most. */
const UNDER_WAY_MAX = 16;
/** Payload of a bad write that is passed over, in bytes; a longer one ends the connection. */
const DRAIN_MAX = 2 * PAYLOAD_MAX;

/** What the requests of a client work with. */
export interface TransmissionOptions extends Agreement {
  readonly output: Output;
  /** Bytes may be given again, after `take` left some. */
  readonly onReady: () => void;
  /** Whether the server ends: requests are refused then. */
  readonly isEnding: () => boolean;
  /** Hears what no device may throw. */
  readonly onBug: (error: unknown) => void;
}

/** One client's requests. */
export class Transmission {
  /** Requests that the client sent, for people. */
  requests = 0;
  readonly #options: TransmissionOptions;
  readonly #replies: Replies;
  readonly #reads: ReadCommand;
  readonly #headLength: number;
  /** The beginning of a request that has not come whole. */
  readonly #kept: Uint8Array;
  #have = 0;
  readonly #request: RequestHeader = {
    flags: 0,
    type: 0,
    cookieHigh: 0,
    cookieLow: 0,
    offset: 0,
    length: 0,
  };
  #payload: WritePayload | undefined;
  readonly #buffer = new PieceBuffer();
  #busy = false;
  #underWay = 0;
  #over = false;

  constructor(options: TransmissionOptions) {
    this.#options = options;
    this.#replies = new Replies(options.form, options.output);
    this.#reads = new ReadCommand(options.face, this.#replies);
    this.#headLength = options.form === "extended" ? EXTENDED_REQUEST_BYTES : REQUEST_BYTES;
    this.#kept = new Uint8Array(this.#headLength);
  }

  /** Whether the client said goodbye, or sent what no client sends: nothing more is taken. */
  get isOver(): boolean {
    return this.#over;
  }

  /** Requests that wait for the device. */
  get underWay(): number {
    return this.#underWay;
  }

  /** Where the next bytes may land, if that helps. */
  space(): Uint8Array | undefined {
    // While a piece is being stored, its buffer is in use.
    return this.#have > 0 || this.#busy ? undefined : this.#payload?.space();
  }

  /** Takes bytes from `from` on. @returns where it stopped: the end, or where nothing more can be taken now */
  take(bytes: Uint8Array, from: number): number {
    let at = from;
    while (at < bytes.length && !this.#over && !this.#isFull()) {
      at = this.#payload === undefined ? this.#head(bytes, at) : this.#data(bytes, at);
    }
    return at;
  }

  #isFull(): boolean {
    return this.#busy || this.#underWay >= UNDER_WAY_MAX || this.#options.output.backlog > 0;
  }

  #head(bytes: Uint8Array, from: number): number {
    const whole = this.#have === 0 && bytes.length - from >= this.#headLength;
    if (whole) {
      this.#received(bytes, from);
      return from + this.#headLength;
    }
    const count = Math.min(this.#headLength - this.#have, bytes.length - from);
    this.#kept.set(bytes.subarray(from, from + count), this.#have);
    this.#have += count;
    if (this.#have === this.#headLength) {
      this.#have = 0;
      this.#received(this.#kept, 0);
    }
    return from + count;
  }

  #received(bytes: Uint8Array, at: number): void {
    const request = this.#request;
    const get = this.#options.form === "extended" ? getExtendedRequest : getRequest;
    if (!get(bytes, at, request)) {
      this.#over = true;
      return;
    }
    this.requests += 1;
    if (request.type === NBD_COMMAND.DISCONNECT) {
      this.#over = true;
      return;
    }
    const failure = this.#problem(request);
    if (this.#hasPayload(request)) this.#begin(request, failure);
    else if (failure !== undefined) this.#replies.failed(request, failure);
    else this.#carryOut(request);
  }

  #problem(request: RequestHeader): Failure | undefined {
    const { face, form, contexts, isEnding } = this.#options;
    if (isEnding()) return { errno: NBD_ERROR.ESHUTDOWN, text: "This server is about to end" };
    return problemOf(request, { face, form, hasContexts: contexts.length > 0 });
  }

  #hasPayload({ type, flags }: RequestHeader): boolean {
    if (this.#options.form === "extended") return (flags & NBD_COMMAND_FLAG.PAYLOAD_LEN) !== 0;
    return type === NBD_COMMAND.WRITE;
  }

  /** Takes the payload of a request, or what a client takes for one. */
  #begin(request: RequestHeader, failure: Failure | undefined): void {
    if (request.length > DRAIN_MAX) {
      this.#over = true;
      return;
    }
    this.#payload = new WritePayload(
      { ...request },
      { face: this.#options.face, buffer: this.#buffer, failure },
    );
    if (request.length === 0) this.#written(this.#payload);
  }

  #data(bytes: Uint8Array, from: number): number {
    const payload = this.#payload as WritePayload;
    const { count, busy } = payload.take(bytes, from);
    if (busy === undefined) {
      if (payload.isWhole) this.#written(payload);
      return from + count;
    }
    this.#busy = true;
    this.#start(payload.request, this.#stored(payload, busy));
    return from + count;
  }

  async #stored(payload: WritePayload, busy: Promise<void>): Promise<void> {
    await busy;
    this.#busy = false;
    if (payload.isWhole) this.#written(payload);
  }

  /** All of a write has come, and is stored or has failed. */
  #written(payload: WritePayload): void {
    this.#payload = undefined;
    this.#finish(payload.request, payload.failure);
  }

  /** Answers a change; with FUA it is durable before. */
  #finish(request: RequestHeader, failure: Failure | undefined): void {
    if (failure !== undefined) this.#replies.failed(request, failure);
    else if ((request.flags & NBD_COMMAND_FLAG.FUA) !== 0) this.#flush(request);
    else this.#replies.done(request);
  }

  #flush(request: RequestHeader): void {
    try {
      const flushed = this.#options.face.device.flush();
      if (flushed === undefined) {
        this.#replies.done(request);
        return;
      }
      const copy = { ...request };
      this.#start(
        copy,
        flushed.then(() => this.#replies.done(copy)),
      );
    } catch (error) {
      this.#replies.failed(request, failureOf(error));
    }
  }

  #carryOut(request: RequestHeader): void {
    const { face, contexts } = this.#options;
    switch (request.type) {
      case NBD_COMMAND.READ: {
        if (this.#reads.now(request)) return;
        const copy = { ...request };
        this.#start(copy, this.#reads.later(copy));
        return;
      }
      case NBD_COMMAND.FLUSH:
        this.#flush(request);
        return;
      case NBD_COMMAND.WRITE_ZEROES: {
        const copy = { ...request };
        const zeroed = writeZeroes(face, copy);
        this.#start(
          copy,
          zeroed.then((failure) => this.#finish(copy, failure)),
        );
        return;
      }
      case NBD_COMMAND.BLOCK_STATUS:
        replyStatus(request, { face, replies: this.#replies, contexts });
        return;
      default:
        // TRIM and CACHE are hints: to free bytes would lose what they hold, and to fetch them could touch bad ones.
        this.#finish(request, undefined);
    }
  }

  #start(request: RequestHeader, work: Promise<void>): void {
    this.#underWay += 1;
    void this.#follow(request, work);
  }

  /** Waits for what is under way. */
  async #follow(request: RequestHeader, work: Promise<void>): Promise<void> {
    try {
      await work;
    } catch (error) {
      this.#failed(request, error);
    }
    this.#underWay -= 1;
    this.#options.output.flush();
    this.#options.onReady();
  }

  #failed(request: RequestHeader, error: unknown): void {
    try {
      this.#replies.failed(request, failureOf(error));
    } catch (bug) {
      this.#options.onBug(bug);
    }
  }
}
