/**
 * ByteStream: a socket as the handshake reads it, a known number of bytes at a time; afterwards it is handed on with what came too early.
 */
import type { Duplex } from "node:stream";
import { StorageError } from "../../base/index.ts";
import { protocolError } from "./pending-reply.ts";

/** Bytes that a server may send before the handshake asks for them. */
const EARLY_MAX = 1024 * 1024;

/** The reading side of a socket, and its end. */
export class ByteStream {
  readonly socket: Duplex;
  #chunks: Buffer[] = [];
  #bytes = 0;
  #failure: StorageError | undefined;
  #waiting: { readonly count: number; readonly wake: () => void } | undefined;
  readonly #stop: () => void;

  constructor(socket: Duplex) {
    this.socket = socket;
    const onData = (chunk: Buffer): void => this.#take(chunk);
    const onEnd = (): void =>
      this.fail(new StorageError("ECONNRESET", "The server closed the connection"));
    const onError = (error: Error): void => this.fail(connectionError(error));
    socket.on("data", onData).on("end", onEnd).on("close", onEnd).on("error", onError);
    this.#stop = () =>
      socket.off("data", onData).off("end", onEnd).off("close", onEnd).off("error", onError);
  }

  #take(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    if (this.#bytes > EARLY_MAX) this.fail(protocolError("more than it was asked for"));
    if (this.#waiting !== undefined && this.#bytes >= this.#waiting.count) this.#waiting.wake();
  }

  /** Ends all waiting with an error; the first one stays. */
  fail(error: StorageError): void {
    this.#failure ??= error;
    this.#waiting?.wake();
  }

  /** Exactly `count` bytes. @throws {StorageError} why they do not come */
  async read(count: number): Promise<Buffer> {
    if (this.#bytes < count && this.#failure === undefined) {
      await new Promise<void>((wake) => {
        this.#waiting = { count, wake };
      });
      this.#waiting = undefined;
    }
    if (this.#bytes < count) throw this.#failure ?? protocolError("less than it promised");
    const all =
      this.#chunks.length === 1 ? (this.#chunks[0] as Buffer) : Buffer.concat(this.#chunks);
    this.#bytes -= count;
    this.#chunks = this.#bytes === 0 ? [] : [all.subarray(count)];
    return all.subarray(0, count);
  }

  write(bytes: Uint8Array): void {
    this.socket.write(bytes);
  }

  /** Stops reading. @returns what came and nobody asked for @throws {StorageError} if the connection is gone */
  detach(): Buffer {
    this.#stop();
    if (this.#failure !== undefined) throw this.#failure;
    return Buffer.concat(this.#chunks);
  }
}

/** Codes of Node that a connection fails with, in our table. */
const CODES: Readonly<
  Record<string, "ECONNREFUSED" | "ECONNRESET" | "ETIMEDOUT" | "EHOSTUNREACH" | "ENOENT" | "EACCES">
> = {
  ECONNREFUSED: "ECONNREFUSED",
  ECONNRESET: "ECONNRESET",
  EPIPE: "ECONNRESET",
  ETIMEDOUT: "ETIMEDOUT",
  EHOSTUNREACH: "EHOSTUNREACH",
  ENETUNREACH: "EHOSTUNREACH",
  ENOTFOUND: "EHOSTUNREACH",
  EAI_AGAIN: "EHOSTUNREACH",
  ENOENT: "ENOENT",
  EACCES: "EACCES",
  EPERM: "EACCES",
};

/** A failure of a socket, in our words. What Node has a code for that is not of connections (TLS, for one) is a connection refused by us. */
export function connectionError(error: unknown): StorageError {
  if (error instanceof StorageError) return error;
  const { code, message } = error as NodeJS.ErrnoException;
  const known = code === undefined ? undefined : CODES[code];
  return new StorageError(known ?? "EPROTO", message, { cause: error, syscall: "connect" });
}
