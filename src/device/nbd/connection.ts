/**
 * NbdConnection: one agreed connection with many requests in flight. It ends once, with one error that all its requests get.
 */
import type { Duplex } from "node:stream";
import type { Socket } from "node:net";
import { StorageError } from "../../base/index.ts";
import { ByteStream, connectionError } from "./byte-stream.ts";
import { handshake, type NbdExport } from "./handshake.ts";
import {
  EXTENDED_REQUEST_BYTES,
  putExtendedRequest,
  putRequest,
  REQUEST_BYTES,
  type RequestHeader,
} from "./headers.ts";
import { PendingReply, type NbdRequest } from "./pending-reply.ts";
import { NBD_COMMAND, NBD_COMMAND_FLAG } from "./protocol.ts";
import { ReplyParser } from "./reply-parser.ts";
import { openSocket, secure } from "./transport.ts";
import type { NbdAddress } from "./uri.ts";

/** How long a connection waits, in milliseconds. */
export interface NbdLimits {
  /** Until a server that was called has an export for us. @default 10,000 */
  readonly handshakeMs: number;
  /** Without a sign of life while something is asked. @default 60,000: a dying disk takes its time */
  readonly silenceMs: number;
}

/** How long a client that leaves waits for the server to hang up, in milliseconds. */
const GOODBYE_MS = 1000;

/**
 * Calls a server and agrees on an export.
 *
 * @throws {StorageError} what `handshake` and the socket throw; ETIMEDOUT after `handshakeMs`
 */
export async function openConnection(
  address: NbdAddress,
  limits: NbdLimits,
): Promise<NbdConnection> {
  const { tls } = address;
  let socket: Socket | undefined;
  let stream: ByteStream | undefined;
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      const error = new StorageError("ETIMEDOUT", `No export after ${limits.handshakeMs} ms`);
      stream?.fail(error);
      reject(error);
    }, limits.handshakeMs);
  });
  const work = async (): Promise<NbdConnection> => {
    socket = await openSocket(address);
    stream = new ByteStream(socket);
    const agreed = await handshake(stream, {
      exportName: address.exportName,
      secure: tls === undefined ? undefined : (plain) => secure(plain, address, tls),
    });
    return new NbdConnection(agreed.stream, agreed.found, limits);
  };
  const working = work();
  try {
    return await Promise.race([working, late]);
  } catch (error) {
    // A socket that opens after the time limit has nobody any more.
    working.then(
      (connection) => connection.destroy(),
      () => undefined,
    );
    abandon(socket);
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

function abandon(socket: Socket | undefined): void {
  socket?.on("error", () => undefined).destroy();
}

/** A connection in its transmission phase. */
export class NbdConnection {
  readonly found: NbdExport;
  /** How many connections of its session came before it. */
  epoch: number = 0;
  readonly #socket: Duplex;
  readonly #parser: ReplyParser;
  readonly #pending = new Map<number, PendingReply>();
  readonly #cookieHigh = Math.floor(Math.random() * 2 ** 32);
  #cookie = 0;
  #corked = false;
  #failure: StorageError | undefined;

  constructor(stream: ByteStream, found: NbdExport, limits: NbdLimits) {
    this.found = found;
    this.#socket = stream.socket;
    this.#parser = new ReplyParser(found.form, {
      find: (high, low) => (high === this.#cookieHigh ? this.#pending.get(low) : undefined),
      ended: (reply, low) => {
        this.#pending.delete(low);
        reply.resolve(reply);
      },
    });
    const early = stream.detach();
    const socket = this.#socket as Socket;
    socket.on("data", (bytes: Buffer) => this.#take(bytes));
    socket.on("error", (error: Error) => this.#fail(connectionError(error)));
    socket.on("close", () =>
      this.#fail(new StorageError("ECONNRESET", "The server closed the connection")),
    );
    socket.setTimeout(limits.silenceMs, () => {
      if (this.#pending.size > 0)
        this.#fail(new StorageError("ETIMEDOUT", `No answer for ${limits.silenceMs} ms`));
    });
    if (early.length > 0) this.#take(early);
  }

  /** Why it ended; `undefined` while it lives. */
  get failure(): StorageError | undefined {
    return this.#failure;
  }

  /** Sends a request. @returns its reply, which may tell of an error @throws {StorageError} why the connection ended before it */
  send(request: NbdRequest): Promise<PendingReply> {
    return new Promise((resolve, reject) => {
      if (this.#failure !== undefined) {
        reject(this.#failure);
        return;
      }
      const { form } = this.found;
      do this.#cookie = (this.#cookie + 1) >>> 0;
      while (this.#pending.has(this.#cookie));
      this.#pending.set(this.#cookie, new PendingReply(request, { form, resolve, reject }));
      this.#write(request, this.#cookie);
    });
  }

  /** What is sent in one turn of the event loop leaves in one call. */
  #write(request: NbdRequest, cookieLow: number): void {
    const socket = this.#socket;
    if (!this.#corked) {
      this.#corked = true;
      socket.cork();
      process.nextTick(() => {
        this.#corked = false;
        socket.uncork();
      });
    }
    socket.write(this.#header(request, cookieLow));
    if (request.payload !== undefined) socket.write(request.payload);
  }

  #header(request: NbdRequest, cookieLow: number): Uint8Array {
    const { type, offset, length } = request;
    const isExtended = this.found.form === "extended";
    const flags =
      isExtended && type === NBD_COMMAND.WRITE
        ? request.flags | NBD_COMMAND_FLAG.PAYLOAD_LEN
        : request.flags;
    const header: RequestHeader = {
      flags,
      type,
      cookieHigh: this.#cookieHigh,
      cookieLow,
      offset,
      length,
    };
    const bytes = new Uint8Array(isExtended ? EXTENDED_REQUEST_BYTES : REQUEST_BYTES);
    if (isExtended) putExtendedRequest(bytes, 0, header);
    else putRequest(bytes, 0, header);
    return bytes;
  }

  #take(bytes: Buffer): void {
    if (this.#failure !== undefined) return;
    try {
      this.#parser.push(bytes);
    } catch (error) {
      if (!(error instanceof StorageError)) throw error;
      this.#fail(error);
    }
  }

  #fail(error: StorageError): void {
    if (this.#failure !== undefined) return;
    this.#failure = error;
    this.#socket.destroy();
    const left = [...this.#pending.values()];
    this.#pending.clear();
    for (const reply of left) reply.reject(error);
  }

  /** Ends it at once. */
  destroy(): void {
    this.#fail(new StorageError("ECONNRESET", "The connection was given up"));
  }

  /** Says goodbye, and waits a moment for the server to hang up. What is still in flight fails. */
  async close(): Promise<void> {
    if (this.#failure !== undefined) return;
    const socket = this.#socket;
    const closed = new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, GOODBYE_MS);
      socket.once("close", () => {
        clearTimeout(timer);
        resolve();
      });
    });
    this.#write({ type: NBD_COMMAND.DISCONNECT, flags: 0, offset: 0, length: 0 }, 0);
    socket.end();
    await closed;
    this.destroy();
  }
}
