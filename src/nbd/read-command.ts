/**
 * read-command: READ: every clean byte of a range and one error with its offset for each bad one, in one reply.
 *
 * A client of simple replies gets EIO before anything else, or all of the data. Larger reads go out in pieces, each as the device is at that
 * time, and wait for the client to take the one before: so a slow client holds one piece and no more.
 */
import { endOf, isPromise, type BadRange, type ByteRange } from "../base/index.ts";
import { NBD_COMMAND_FLAG, NBD_ERROR, type RequestHeader } from "../device/index.ts";
import type { NbdExport } from "./export.ts";
import { badFailure, failureOf } from "./failures.ts";
import { ROOM_MAX } from "./output.ts";
import type { Failure, Replies } from "./replies.ts";
import { isClean } from "./store.ts";

/** Largest piece of a reply, in bytes. */
const PIECE = 1024 * 1024;
/** Largest read that goes straight into the output. */
const INLINE_MAX = Math.min(64 * 1024, ROOM_MAX - 64);
/** Smallest part of a read that is asked for holes: a look-up is a system call. */
const HOLE_MIN = 64 * 1024;

/** Buffers of `PIECE` bytes that larger reads of the mapping land in, while nobody uses them. */
const free: Uint8Array[] = [];
/** Free buffers that are kept, at most. */
const FREE_MAX = 8;

function giveBack(buffer: Uint8Array): void {
  if (free.length < FREE_MAX) free.push(buffer);
}

/** Answers reads of one client. */
export class ReadCommand {
  readonly #face: NbdExport;
  readonly #replies: Replies;

  constructor(face: NbdExport, replies: Replies) {
    this.#face = face;
    this.#replies = replies;
  }

  /** Answers at once where nothing is bad and the bytes are memory. @returns whether it did */
  now(request: RequestHeader): boolean {
    const { offset, length } = request;
    const face = this.#face;
    if (length === 0) {
      this.#replies.done(request);
      return true;
    }
    const direct = face.direct();
    if (length > PIECE || direct === undefined || !isClean(face, offset, length)) return false;
    const { output } = this.#replies;
    const part = { offset, length, isLast: true };
    const head = this.#replies.dataHead;
    if (length > INLINE_MAX) {
      const view = direct.goodView?.(offset, length);
      if (view !== undefined) {
        this.#replies.putDataHead(output.room(), request, part);
        // What the system does not take is copied: nothing refers to the memory afterwards.
        output.takeWith(head, view);
        return true;
      }
      const buffer = free.pop() ?? Buffer.allocUnsafeSlow(PIECE);
      const bytes = buffer.subarray(0, length);
      if (direct.load(bytes, offset) < length) return false;
      this.#replies.putDataHead(output.room(), request, part);
      output.takeWithKept(head, bytes, () => giveBack(buffer));
      return true;
    }
    const at = output.room();
    const into = output.bytes.subarray(at + head, at + head + length);
    if (direct.load(into, offset) < length) return false;
    this.#replies.putDataHead(at, request, part);
    output.take(head + length);
    return true;
  }

  /** Answers by the device's own read, piece by piece. */
  async later(request: RequestHeader): Promise<void> {
    if (this.#replies.form === "simple") return this.#simple(request);
    if ((request.flags & NBD_COMMAND_FLAG.DF) !== 0) return this.#whole(request);
    const end = endOf(request);
    let told = false;
    for (let at = request.offset; at < end;) {
      const rest = { offset: at, length: end - at };
      const hole = this.#hole(rest);
      const length = hole > 0 ? hole : Math.min(PIECE, rest.length);
      const part = { offset: at, length, isLast: at + length === end && !told };
      if (hole > 0) this.#replies.hole(request, part);
      else {
        const failure = await this.#piece(request, part);
        if (failure === "failed") return undefined;
        told ||= failure;
      }
      at += length;
      if (at === end && told) this.#replies.done(request);
      if (at < end) await this.#replies.output.drained();
    }
    return undefined;
  }

  #hole(rest: ByteRange): number {
    if (rest.length < HOLE_MIN) return 0;
    const hole = Math.min(this.#face.holeFrom(rest.offset), rest.length);
    return hole < HOLE_MIN ? 0 : hole;
  }

  /** Sends one piece. @returns whether something of it was told as missing; "failed" where the reply is over */
  async #piece(
    request: RequestHeader,
    part: ByteRange & { isLast: boolean },
  ): Promise<boolean | "failed"> {
    const bytes = new Uint8Array(part.length);
    let missing: readonly BadRange[];
    try {
      missing = await this.#read(bytes, part.offset);
    } catch (error) {
      this.#replies.failed(request, failureOf(error, part.offset));
      return "failed";
    }
    if (missing.length === 0) {
      this.#replies.data(request, part, bytes);
      return false;
    }
    let at = part.offset;
    for (const bad of [...missing, { offset: endOf(part), length: 0, state: "unread" as const }]) {
      if (bad.offset > at) {
        const clean = { offset: at, length: bad.offset - at, isLast: false };
        const from = at - part.offset;
        this.#replies.data(request, clean, bytes.subarray(from, from + clean.length));
      }
      if (bad.length > 0) this.#replies.missing(request, badFailure(bad));
      at = endOf(bad);
    }
    return true;
  }

  async #read(into: Uint8Array, offset: number): Promise<readonly BadRange[]> {
    const { device, mode } = this.#face;
    const result = device.read(into, offset, mode);
    return (isPromise(result) ? await result : result).missing;
  }

  /** One chunk: all of it, or what is clean up to the first bad byte, which is told behind it (R1). */
  async #whole(request: RequestHeader): Promise<void> {
    const bytes = new Uint8Array(request.length);
    try {
      const [first] = await this.#read(bytes, request.offset);
      const length = first === undefined ? request.length : first.offset - request.offset;
      const part = { offset: request.offset, length, isLast: first === undefined };
      if (length > 0 || part.isLast) this.#replies.data(request, part, bytes.subarray(0, length));
      if (first !== undefined) this.#replies.failed(request, badFailure(first));
    } catch (error) {
      this.#replies.failed(request, failureOf(error, request.offset));
    }
  }

  async #simple(request: RequestHeader): Promise<void> {
    const failure = this.#known(request) ?? (await this.#simpleData(request));
    if (failure !== undefined) this.#replies.failed(request, failure);
  }

  /** A failure that the list tells without a read. */
  #known(request: RequestHeader): Failure | undefined {
    for (const bad of this.#face.device.poison.bad(request)) return badFailure(bad);
    return undefined;
  }

  async #simpleData(request: RequestHeader): Promise<Failure | undefined> {
    const bytes = new Uint8Array(request.length);
    try {
      const [first] = await this.#read(bytes, request.offset);
      if (first !== undefined) return { ...badFailure(first), errno: NBD_ERROR.EIO };
    } catch (error) {
      return failureOf(error);
    }
    const { offset, length } = request;
    this.#replies.data(request, { offset, length, isLast: true }, bytes);
    return undefined;
  }
}
