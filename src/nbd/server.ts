/**
 * server: listens, takes clients up to a number, and ends in order: what is under way ends first, and clients are told.
 *
 * While requests come it stays awake for a moment after each (`setImmediate` instead of a sleep in the kernel): that halves the time of a client
 * that waits for one answer at a time. An idle server sleeps.
 */
import { createServer, type Server, type Socket } from "node:net";
import { rmSync, statSync } from "node:fs";
import { connect } from "node:net";
import { dirname } from "node:path";
import { StorageError, toStorageError } from "../base/index.ts";
import { Connection, type ConnectionStatus } from "./connection.ts";
import { ExportList, type ExportOptions } from "./export.ts";
import { uriOf, type ListenAddress } from "./listen-address.ts";
import { socketLink, type TlsUpgrade } from "./wire.ts";

/** Milliseconds that a server stays awake after a request. */
const AWAKE_MS = 0.1;

/** How a server works. */
export interface NbdServerOptions {
  readonly exports: readonly ExportOptions[];
  /** @default there is no TLS */
  readonly tls?: TlsUpgrade | undefined;
  /** Clients at once. @default 100 */
  readonly clientsMax?: number;
  /** Milliseconds that a handshake may take. @default 10 000 */
  readonly handshakeMs?: number;
  /** Milliseconds that clients have to leave after the server began to end. @default 1000 */
  readonly farewellMs?: number;
}

/** A server of network block devices. Its devices are its caller's: it closes none. */
export class NbdServer {
  readonly exports: ExportList;
  readonly #options: NbdServerOptions;
  readonly #connections = new Set<Connection>();
  readonly #server: Server;
  #address: ListenAddress | undefined;
  #lastRequest = 0;
  #awake = false;
  #ending = false;
  #served = 0;

  /** @throws {RangeError} as `ExportList` */
  constructor(options: NbdServerOptions) {
    this.#options = options;
    this.exports = new ExportList(options.exports);
    // Nothing is read before a connection says where it wants it.
    this.#server = createServer(
      { pauseOnConnect: true, noDelay: true, allowHalfOpen: true },
      (socket) => this.#accept(socket),
    );
  }

  /** Clients at this moment. */
  get connections(): readonly ConnectionStatus[] {
    return [...this.#connections].map(({ status }) => status);
  }

  /** Clients so far. */
  get served(): number {
    return this.#served;
  }

  /**
   * Listens; a socket file that a dead server left is replaced.
   *
   * @returns the URI of each export
   * @throws {StorageError} EEXIST, EACCES and what else the system says; EBUSY where somebody listens there
   */
  async listen(address: ListenAddress): Promise<readonly string[]> {
    if (address.kind === "unix") await removeStale(address.path);
    await new Promise<void>((resolve, reject) => {
      this.#server.once("error", (error) => reject(listenError(error, address)));
      this.#server.listen(listenOptions(address), resolve);
    });
    this.#address = address;
    const bound = this.#server.address();
    const port = typeof bound === "object" && bound !== null ? bound.port : undefined;
    return this.exports.all.map(({ name }) =>
      uriOf(address, {
        name,
        tls: this.#options.tls !== undefined,
        ...(port === undefined ? {} : { port }),
      }),
    );
  }

  #accept(socket: Socket): void {
    socket.on("error", () => socket.destroy());
    if (this.#ending || this.#connections.size >= (this.#options.clientsMax ?? 100)) {
      socket.destroy();
      return;
    }
    this.#served += 1;
    const connection = new Connection(socketLink(socket, this.#options.tls), {
      exports: this.exports,
      handshakeMs: this.#options.handshakeMs ?? 10_000,
      onActivity: () => this.#stayAwake(),
      onClose: (closed) => {
        this.#connections.delete(closed);
        if (this.#connections.size === 0) this.#onLast?.();
      },
    });
    this.#connections.add(connection);
  }

  #onLast: (() => void) | undefined;

  #stayAwake(): void {
    this.#lastRequest = performance.now();
    if (this.#awake) return;
    this.#awake = true;
    setImmediate(this.#watch);
  }

  readonly #watch = (): void => {
    if (performance.now() - this.#lastRequest < AWAKE_MS) setImmediate(this.#watch);
    else this.#awake = false;
  };

  /** Ends: no new client, ESHUTDOWN for new requests, and the end of everything once clients left or their time is up. */
  async close(): Promise<void> {
    this.#ending = true;
    const closed = new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
    });
    for (const connection of this.#connections) connection.shutDown();
    if (this.#connections.size > 0) await this.#farewell();
    for (const connection of this.#connections) connection.destroy();
    await closed;
    if (this.#address?.kind === "unix") rmSync(this.#address.path, { force: true });
  }

  /** Waits for clients to leave; those with requests under way longer than those without. */
  async #farewell(): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const gone = new Promise<void>((resolve) => {
      this.#onLast = resolve;
    });
    const late = new Promise<void>((resolve) => {
      const check = (): void => {
        const isBusy = [...this.#connections].some(({ status }) => status.underWay > 0);
        if (isBusy) timer = setTimeout(check, 50);
        else resolve();
      };
      timer = setTimeout(check, this.#options.farewellMs ?? 1000);
    });
    await Promise.race([gone, late]);
    clearTimeout(timer);
  }
}

function listenOptions(
  address: ListenAddress,
): { path: string } | { host: string; port: number } | { fd: number } {
  if (address.kind === "unix") return { path: address.path };
  if (address.kind === "tcp") return { host: address.host, port: address.port };
  return { fd: address.fd };
}

function listenError(error: Error, address: ListenAddress): Error {
  const { code } = error as NodeJS.ErrnoException;
  const place = address.kind === "unix" ? address.path : JSON.stringify(address);
  if (code === "EADDRINUSE")
    return new StorageError("EBUSY", `Cannot listen at ${place}: somebody does already`, {
      syscall: "listen",
      path: place,
      cause: error,
    });
  // Node says EACCES of a folder that is not there.
  if (address.kind === "unix" && statSync(dirname(place), { throwIfNoEntry: false }) === undefined)
    return new StorageError("ENOENT", `Cannot listen at ${place}: its folder is not there`, {
      syscall: "listen",
      path: place,
      cause: error,
    });
  return toStorageError(error, { syscall: "listen", path: place });
}

/** Removes a socket file that nobody answers at. */
async function removeStale(path: string): Promise<void> {
  if (statSync(path, { throwIfNoEntry: false })?.isSocket() !== true) return;
  const isStale = await new Promise<boolean>((resolve) => {
    const probe = connect({ path }, () => {
      probe.destroy();
      resolve(false);
    });
    probe.on("error", (error: NodeJS.ErrnoException) => resolve(error.code === "ECONNREFUSED"));
  });
  if (isStale) rmSync(path, { force: true });
}
