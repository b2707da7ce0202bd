/**
 * reader: bytes of an export, in pieces that the server takes, and what of them did not come.
 *
 * A reply that tells where it failed leaves only that to look at again. Of one that does not, everything is unknown: it is halved down to the unit
 * in which media fail, so that every byte around is delivered. What is called bad has failed twice: as a part of something, and alone.
 */
import {
  alignOut,
  endOf,
  intersect,
  RangeSet,
  roundDown,
  StorageError,
  type ByteRange,
  type ErrorCode,
} from "../../base/index.ts";
import type { PendingReply } from "./pending-reply.ts";
import { POISON_CONTEXT } from "./poison-context.ts";
import { NBD_COMMAND, NBD_COMMAND_FLAG, NBD_ERROR, NBD_EXPORT, nbdErrorName } from "./protocol.ts";
import type { NbdSession } from "./session.ts";

/** Bytes of one request at most. Several are in flight, so larger ones bring nothing. */
const PIECE = 2 * 1024 * 1024;

/** Linux' numbers of errors that speak of bytes and not of the device: EIO, and what some servers hand through (ENODATA, EILSEQ, EREMOTEIO). */
const MEDIA_ERRORS: ReadonlySet<number> = new Set([5, 61, 84, 121]);

/** Whether a reply says that bytes are bad. */
export function isMediaReply(reply: PendingReply): boolean {
  return reply.failure !== undefined && MEDIA_ERRORS.has(reply.failure.errno);
}

/** Whether a server refuses a read that must come in one piece: of 64 KiB and less none does. */
function isTooLong(reply: PendingReply): boolean {
  return (
    reply.failure?.errno === NBD_ERROR.EOVERFLOW &&
    (reply.request.flags & NBD_COMMAND_FLAG.DF) !== 0 &&
    reply.request.length > 65_536
  );
}

/** Another failure of a reply than one of bytes. @param doing "read", "write" */
export function replyError(session: NbdSession, reply: PendingReply, doing: string): StorageError {
  const { errno = 0, text = "" } = reply.failure ?? {};
  const name = nbdErrorName(errno);
  const codes: Readonly<Record<typeof name, ErrorCode>> = {
    EPERM: "EPERM",
    EIO: "EIO",
    ENOMEM: "EIO",
    EINVAL: "EINVAL",
    ENOSPC: "ENOSPC",
    EOVERFLOW: "EINVAL",
    ENOTSUP: "EOPNOTSUPP",
    ESHUTDOWN: "ECONNREFUSED",
  };
  const { uri } = session.address;
  const { offset, length } = reply.request;
  const words = text === "" ? "" : ` ("${text.replace(/\p{Cc}+/gu, " ")}")`;
  const message = `Cannot ${doing} ${uri} at ${offset}+${length}: the server answers ${name}${words}`;
  return new StorageError(codes[name], message, { path: uri, syscall: doing });
}

/** The reading half of a client. Callers check ranges. */
export class NbdReader {
  readonly #session: NbdSession;
  /** Smallest range that fails on its own. */
  readonly #unit: number;
  /**
   * Whether the server hangs up where media fail, but for reads that must not be fragmented: qemu-nbd does, because it finds out after its reply
   * has begun.
   */
  #hangsUp = false;
  /** Whether it refuses what it says that it can: nbd-server's master does. */
  #refusesDf = false;

  constructor(session: NbdSession, unit: number) {
    this.#session = session;
    this.#unit = unit;
  }

  /**
   * One attempt to fill `into`. What does not come stays as it was.
   *
   * @returns what did not come, ascending, apart
   * @throws {StorageError} if the server fails otherwise, or is gone
   */
  async fetch(into: Uint8Array, offset: number): Promise<readonly ByteRange[]> {
    const pieces: Promise<readonly ByteRange[]>[] = [];
    const step = pieceOf(this.#session);
    for (let at = offset; at < offset + into.length;) {
      const end = Math.min(roundDown(at, step) + step, offset + into.length);
      pieces.push(this.#piece(into.subarray(at - offset, end - offset), at));
      at = end;
    }
    const missing = (await allOf(pieces)).flat();
    return missing.length < 2 ? missing : rangesOf(missing);
  }

  async #piece(into: Uint8Array, offset: number): Promise<readonly ByteRange[]> {
    const wanted = { offset, length: into.length };
    const { minimum, size } = this.#session.found;
    const outer = intersect(alignOut(wanted, minimum), { offset: 0, length: size }) ?? wanted;
    const reply = await this.#read(outer);
    if (reply.failure !== undefined && !isMediaReply(reply) && !isTooLong(reply))
      throw replyError(this.#session, reply, "read");
    if (outer.length === wanted.length) return reply.copyTo(into);
    const blocks = new Uint8Array(outer.length);
    const missing = RangeSet.from(reply.copyTo(blocks));
    for (const part of missing.gaps(offset, into.length)) {
      const from = part.offset - outer.offset;
      into.set(blocks.subarray(from, from + part.length), part.offset - offset);
    }
    return [...missing.within(offset, into.length)];
  }

  async #read(range: ByteRange): Promise<PendingReply> {
    const reply = await this.#session.run((found, lost) => {
      // A server that has a list tells where it failed; unfragmented it would tell less.
      const knowsMore = found.contexts.has(POISON_CONTEXT) || this.#refusesDf;
      const hasDf = (found.flags & NBD_EXPORT.SEND_DF) !== 0 && !knowsMore;
      const unfragmented = hasDf && (this.#hangsUp || lost > 0);
      const flags = unfragmented ? NBD_COMMAND_FLAG.DF : 0;
      return { type: NBD_COMMAND.READ, flags, ...range };
    });
    const isUnfragmented = (reply.request.flags & NBD_COMMAND_FLAG.DF) !== 0;
    if (isUnfragmented && reply.failure?.errno === NBD_ERROR.EINVAL) {
      this.#refusesDf = true;
      return this.#read(range);
    }
    // That it answers now, and with an error, is no chance.
    this.#hangsUp ||= isUnfragmented && isMediaReply(reply);
    return reply;
  }

  /**
   * Reads again what did not come, in halves, until the units that fail alone are known.
   *
   * @param into what `fetch` was given, with its offset
   * @returns the units that are bad, ascending, apart; they may reach past `into`
   */
  async narrow(
    missing: readonly ByteRange[],
    into: { readonly bytes: Uint8Array; readonly offset: number },
  ): Promise<readonly ByteRange[]> {
    const bad: ByteRange[] = [];
    const work = [...missing].reverse();
    for (let range = work.pop(); range !== undefined; range = work.pop()) {
      const units = this.#unitsOf(range);
      if (units.length <= this.#unit) {
        if ((await this.#again(range, into)).length > 0) bad.push(units);
        continue;
      }
      const half = units.offset + Math.floor(units.length / this.#unit / 2) * this.#unit;
      const left = { offset: range.offset, length: half - range.offset };
      const right = { offset: half, length: endOf(range) - half };
      // Of the left half first what it leaves, so that work goes on from low to high.
      const rest = [...(await this.#again(left, into)), ...(await this.#again(right, into))];
      work.push(...rest.reverse());
    }
    return rangesOf(bad);
  }

  #unitsOf(range: ByteRange): ByteRange {
    const whole = { offset: 0, length: this.#session.found.size };
    return intersect(alignOut(range, this.#unit), whole) ?? range;
  }

  #again(
    range: ByteRange,
    into: { readonly bytes: Uint8Array; readonly offset: number },
  ): Promise<readonly ByteRange[]> {
    const start = range.offset - into.offset;
    return this.fetch(into.bytes.subarray(start, start + range.length), range.offset);
  }
}

/** Bytes of one request of this server: whole blocks. */
export function pieceOf(session: NbdSession): number {
  const { minimum, maximum } = session.found;
  return Math.max(minimum, roundDown(Math.min(PIECE, maximum), minimum));
}

/** Waits for all, also where one fails: nothing may write into a caller's bytes after the caller has its answer. */
export async function allOf<T>(promises: readonly Promise<T>[]): Promise<T[]> {
  const results = await Promise.allSettled(promises);
  return results.map((result) => {
    if (result.status === "rejected") throw result.reason;
    return result.value;
  });
}

function rangesOf(ranges: readonly ByteRange[]): ByteRange[] {
  return [...RangeSet.from(ranges).within(0, Number.MAX_SAFE_INTEGER)];
}
