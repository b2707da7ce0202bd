/**
 * NbdSession: requests to an export over whichever connection lives. What can go wrong, and what is promised:
 *
 * - A connection that is lost is opened again, a bounded number of times, and what was in flight is sent again: a read changes nothing, and a
 *   write puts the same bytes into the same place, whose range its caller holds alone.
 * - R4: what a server had answered before the connection was lost, and had not flushed, may be gone with it. A reply tells
 *   the `epoch` of its connection, so that who promises durability sees that a flush does not cover a write.
 * - An export that comes back with another size is another export: ESTALE, for good. So is one that broke the protocol: EPROTO.
 */
import { StorageError, type Clock } from "../../base/index.ts";
import { openConnection, type NbdConnection, type NbdLimits } from "./connection.ts";
import type { NbdExport } from "./handshake.ts";
import type { NbdRequest, PendingReply } from "./pending-reply.ts";
import { NBD_COMMAND, NBD_ERROR } from "./protocol.ts";
import { RequestWindow } from "./request-window.ts";
import type { NbdAddress } from "./uri.ts";

/** How a session holds on. */
export interface SessionOptions extends NbdLimits {
  /** Milliseconds before each new try of a connection that was lost; as many tries as there are. */
  readonly retryDelaysMs: readonly number[];
  readonly clock: Clock;
}

/** Failures that a new connection may mend. */
const PASSING: ReadonlySet<string> = new Set([
  "ECONNRESET",
  "ECONNREFUSED",
  "ETIMEDOUT",
  "EHOSTUNREACH",
  "ENOENT",
]);

/** Opens a session with its first connection, which is tried once. @throws {StorageError} as `openConnection` */
export async function openSession(
  address: NbdAddress,
  options: SessionOptions,
): Promise<NbdSession> {
  try {
    return new NbdSession(address, options, await openConnection(address, options));
  } catch (error) {
    throw named(address, error, "open");
  }
}

/** An error with the URI in front. */
function named(address: NbdAddress, error: unknown, doing: string): Error {
  if (!(error instanceof StorageError))
    return error instanceof Error ? error : new Error(String(error));
  const words = error.message.replace(/^[A-Z]+: /, "");
  if (words.startsWith("Cannot")) return error;
  return new StorageError(error.code, `Cannot ${doing} ${address.uri}: ${words}`, {
    path: address.uri,
    syscall: error.syscall ?? "nbd",
    cause: error,
  });
}

/** The requests of one client to one export. */
export class NbdSession {
  readonly address: NbdAddress;
  /** What the first connection agreed on. A later one may have other contexts and forms, never another size. */
  #found: NbdExport;
  readonly #options: SessionOptions;
  readonly #window = new RequestWindow();
  #connection: NbdConnection;
  #opening: Promise<NbdConnection> | undefined;
  /** Why there will be no connection any more. */
  #failure: Error | undefined;
  #epoch = 0;

  constructor(address: NbdAddress, options: SessionOptions, connection: NbdConnection) {
    this.address = address;
    this.#options = options;
    this.#connection = connection;
    this.#found = connection.found;
  }

  get found(): NbdExport {
    return this.#found;
  }

  /**
   * Sends a request, again where its connection is lost before the reply.
   *
   * @param build makes the request for a connection, whose context ids and flags are its own; told how many connections it has cost already
   * @throws {StorageError} why there is no connection
   */
  async run(build: (found: NbdExport, lost: number) => NbdRequest): Promise<PendingReply> {
    const bytes = transferred(build(this.#found, 0));
    await this.#window.enter(bytes);
    try {
      for (let attempt = 0; ; attempt += 1) {
        const connection = await this.#live();
        try {
          const reply = await connection.send(build(connection.found, attempt));
          reply.epoch = connection.epoch;
          if (reply.failure?.errno !== NBD_ERROR.ESHUTDOWN) return reply;
          connection.destroy();
        } catch (error) {
          if (!isPassing(error)) throw this.#giveUp(error);
        }
        if (attempt >= this.#options.retryDelaysMs.length)
          throw named(this.address, connection.failure, "reach");
      }
    } finally {
      this.#window.leave(bytes);
    }
  }

  async #live(): Promise<NbdConnection> {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#connection.failure === undefined) return this.#connection;
    this.#opening ??= this.#reopen().finally(() => {
      this.#opening = undefined;
    });
    return this.#opening;
  }

  async #reopen(): Promise<NbdConnection> {
    let last: unknown = this.#connection.failure;
    if (!isPassing(last)) throw this.#giveUp(last);
    for (const delayMs of this.#options.retryDelaysMs) {
      if (delayMs > 0) await this.#options.clock.sleep(delayMs);
      if (this.#failure !== undefined) throw this.#failure;
      try {
        return this.#adopt(await openConnection(this.address, this.#options));
      } catch (error) {
        if (!isPassing(error)) throw this.#giveUp(error);
        last = error;
      }
    }
    throw this.#giveUp(last);
  }

  /** @throws {StorageError} ESTALE where it is not the export that it was */
  #adopt(connection: NbdConnection): NbdConnection {
    const { size } = connection.found;
    if (size !== this.#found.size) {
      connection.destroy();
      const message = `Cannot go on with ${this.address.uri}: it had ${this.#found.size} bytes, and has ${size} since the connection was lost`;
      throw new StorageError("ESTALE", message, { path: this.address.uri, syscall: "nbd" });
    }
    if (this.#failure !== undefined) {
      connection.destroy();
      throw this.#failure;
    }
    this.#connection = connection;
    this.#found = connection.found;
    this.#epoch += 1;
    connection.epoch = this.#epoch;
    return connection;
  }

  #giveUp(error: unknown): Error {
    this.#failure ??= named(this.address, error, "reach");
    return this.#failure;
  }

  /** Ends it; what is in flight fails. */
  async close(): Promise<void> {
    const { uri } = this.address;
    this.#failure = new StorageError("EIO", `Cannot use ${uri}: it is closed`, { path: uri });
    await this.#connection.close();
  }
}

function isPassing(error: unknown): boolean {
  return error instanceof StorageError && PASSING.has(error.code);
}

function transferred(request: NbdRequest): number {
  const { type } = request;
  return type === NBD_COMMAND.READ || type === NBD_COMMAND.WRITE ? request.length : 0;
}
