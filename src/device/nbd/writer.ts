/**
 * writer: bytes to an export, in pieces that the server takes, and how far they are durable.
 *
 * What is smaller than a block of the server's is read around first; where that cannot be read, nothing is written: no byte is invented (R2).
 * Durable means: answered with FUA, or covered by a flush of the connection that took the write (R4).
 */
import { alignOut, endOf, MediaError, StorageError, type ByteRange } from "../../base/index.ts";
import type { PendingReply } from "./pending-reply.ts";
import { NBD_COMMAND, NBD_COMMAND_FLAG, NBD_EXPORT } from "./protocol.ts";
import { allOf, isMediaReply, pieceOf, replyError, type NbdReader } from "./reader.ts";
import type { NbdSession } from "./session.ts";

/** How often a write is made again because the connection was lost between it and its flush. */
const DURABLE_TRIES = 4;

/** The writing half of a client. Callers hold the range alone, whole blocks of it. */
export class NbdWriter {
  readonly #session: NbdSession;
  readonly #reader: NbdReader;
  /** The oldest connection that took a write which no flush covers yet. */
  #unflushed: number | undefined;
  #failure: StorageError | undefined;

  constructor(session: NbdSession, reader: NbdReader) {
    this.#session = session;
    this.#reader = reader;
  }

  /** Whether a write is not durable yet. */
  get isDirty(): boolean {
    return this.#unflushed !== undefined;
  }

  /** Why durability is unknown: nothing is written any more. */
  get failure(): StorageError | undefined {
    return this.#failure;
  }

  /**
   * Writes; durable after `flush`.
   *
   * @throws {MediaError} if the media refuses; the first place that the server names, else the whole range; what of it was written is not known
   */
  async write(from: Uint8Array, offset: number): Promise<void> {
    const epoch = await this.#write(from, offset, 0);
    if (!this.#can(NBD_EXPORT.SEND_FLUSH)) return;
    this.#unflushed = Math.min(this.#unflushed ?? epoch, epoch);
  }

  /** Writes; durable on return. Where the connection is lost between a write and its flush, both are made again. */
  async writeDurably(from: Uint8Array, offset: number): Promise<void> {
    if (this.#can(NBD_EXPORT.SEND_FUA)) {
      await this.#write(from, offset, NBD_COMMAND_FLAG.FUA);
      return;
    }
    for (let attempt = 0; attempt < DURABLE_TRIES; attempt += 1) {
      const written = await this.#write(from, offset, 0);
      if (!this.#can(NBD_EXPORT.SEND_FLUSH) || (await this.#flushed()) <= written) return;
    }
    throw this.#lost();
  }

  /** @throws {StorageError} EIO if the connection that took a write was lost before a flush covered it: it may be gone */
  async flush(): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    const oldest = this.#unflushed;
    this.#unflushed = undefined;
    if (!this.#can(NBD_EXPORT.SEND_FLUSH)) return;
    try {
      const answered = await this.#flushed();
      if (oldest !== undefined && oldest < answered) throw this.#lost();
    } catch (error) {
      if (oldest !== undefined && error instanceof StorageError) this.#failure = error;
      throw error;
    }
  }

  #lost(): StorageError {
    const { uri } = this.#session.address;
    const message = `Cannot flush ${uri}: the connection was lost after writes that were not flushed, and the server may have lost them; open it again and write them again`;
    return new StorageError("EIO", message, { path: uri, syscall: "flush" });
  }

  #can(flag: number): boolean {
    return (this.#session.found.flags & flag) !== 0;
  }

  /** @returns the connection whose writes are durable now */
  async #flushed(): Promise<number> {
    const flush = { type: NBD_COMMAND.FLUSH, flags: 0, offset: 0, length: 0 };
    const reply = await this.#session.run(() => flush);
    if (reply.failure !== undefined) throw replyError(this.#session, reply, "flush");
    return reply.epoch;
  }

  /** @returns the oldest connection that took a part */
  async #write(from: Uint8Array, offset: number, flags: number): Promise<number> {
    if (from.length === 0) return Infinity;
    const { bytes, start } = await this.#wholeBlocks(from, offset);
    const step = pieceOf(this.#session);
    const replies: Promise<PendingReply>[] = [];
    for (let at = 0; at < bytes.length; at += step) {
      const payload = bytes.subarray(at, Math.min(at + step, bytes.length));
      const request = {
        type: NBD_COMMAND.WRITE,
        flags,
        offset: start + at,
        length: payload.length,
      };
      replies.push(this.#session.run(() => ({ ...request, payload })));
    }
    const all = await allOf(replies);
    const failed = all.find((reply) => reply.failure !== undefined);
    if (failed !== undefined) throw this.#errorOf(failed, { offset, length: from.length });
    return Math.min(...all.map(({ epoch }) => epoch));
  }

  #errorOf(reply: PendingReply, range: ByteRange): StorageError {
    const error = replyError(this.#session, reply, "write");
    if (!isMediaReply(reply)) return error;
    const { uri } = this.#session.address;
    const at = reply.failure?.offset;
    const { minimum, size } = this.#session.found;
    const place =
      at === undefined || at < range.offset || at >= endOf(range)
        ? range
        : { offset: at, length: Math.min(minimum, size - at) };
    const ranges = [{ ...place, state: "unread" as const }];
    return new MediaError(error.message.replace(/^EIO: /, ""), {
      device: uri,
      path: uri,
      syscall: "write",
      ranges,
    });
  }

  /** What is written, with what stands around it in the server's blocks. */
  async #wholeBlocks(
    from: Uint8Array,
    offset: number,
  ): Promise<{ bytes: Uint8Array; start: number }> {
    const { minimum, size } = this.#session.found;
    const range = { offset, length: from.length };
    const outer = alignOut(range, minimum);
    const end = Math.min(endOf(outer), size);
    if (outer.offset === offset && end === endOf(range)) return { bytes: from, start: offset };
    const bytes = new Uint8Array(end - outer.offset);
    const edges = [
      { offset: outer.offset, length: offset - outer.offset },
      { offset: endOf(range), length: end - endOf(range) },
    ];
    for (const edge of edges) {
      const at = edge.offset - outer.offset;
      const missing = await this.#reader.fetch(bytes.subarray(at, at + edge.length), edge.offset);
      if (missing.length > 0) throw this.#noEdge(edge);
    }
    bytes.set(from, offset - outer.offset);
    return { bytes, start: outer.offset };
  }

  #noEdge(edge: ByteRange): MediaError {
    const { uri } = this.#session.address;
    const { minimum } = this.#session.found;
    const message = `Cannot write ${uri}: the server takes blocks of ${minimum} bytes, and ${edge.offset}+${edge.length} beside the write cannot be read`;
    const ranges = [{ ...edge, state: "unread" as const }];
    return new MediaError(message, { device: uri, path: uri, syscall: "write", ranges });
  }
}
