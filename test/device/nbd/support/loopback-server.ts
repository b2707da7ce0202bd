/**
 * A small NBD server for tests of the client: over a device of ours, in every form of the protocol, and bent at will. It is written for misbehaviour and
 * not for speed; src/nbd has the real one.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { endOf, MediaError, StorageError, type ByteRange } from "../../../../src/base/index.ts";
import {
  decodeContextRequest,
  decodeInfoRequest,
  decodeOption,
  deviceFlags,
  encodeBlockStatus,
  encodeContextReply,
  encodeError,
  encodeExtendedStatus,
  encodeGreeting,
  encodeInfo,
  encodeOptionReply,
  getExtendedRequest,
  getRequest,
  NBD_CHUNK,
  NBD_COMMAND,
  NBD_EXPORT,
  NBD_OPTION,
  NBD_OPTION_REPLY,
  NBD_REPLY_DONE,
  nbdErrorOf,
  poisonFlags,
  putChunk,
  putExtendedChunk,
  putSimpleReply,
  putU64,
  RECOVERY_SUFFIX,
  type Device,
  type RequestHeader,
} from "../../../../src/device/index.ts";

/** A request as a hook sees it, with the hands to answer it. */
export interface ServedRequest extends RequestHeader {
  readonly payload: Buffer;
  readonly socket: Socket;
  readonly connection: number;
  /** Whether the export was the one of recovery. */
  readonly recovery: boolean;
  /** A simple reply. */
  simple(errno: number, data?: Uint8Array): void;
  /** A chunk of the form that was agreed on. */
  chunk(type: number, payload: Uint8Array, options?: { readonly done?: boolean }): void;
}

/** How a server behaves. */
export interface LoopbackOptions {
  readonly device: Device;
  /** @default "structured" */
  readonly form?: "simple" | "structured" | "extended";
  /** Tells poison and device, and has the export of recovery. @default false */
  readonly theriac?: boolean;
  /** Knows EXPORT_NAME only. @default false */
  readonly old?: boolean;
  /** Transmission flags. @default flush, FUA, and read-only where the device is */
  readonly flags?: number;
  readonly sizes?: {
    readonly minimum: number;
    readonly preferred: number;
    readonly maximum: number;
  };
  /** Size that a connection is told, by its number. @default the device's */
  readonly sizeOf?: (connection: number) => number;
  /** Called for each request; true where it was answered. */
  readonly onRequest?: (request: ServedRequest) => boolean | Promise<boolean>;
  /** Called for each connection; true where it is served otherwise. */
  readonly onConnection?: (socket: Socket, connection: number) => boolean;
}

const CONTEXTS = new Set(["base:allocation", "x-theriac:poison", "x-theriac:device"]);

/** A server on a Unix socket of its own folder. */
export class LoopbackServer {
  readonly options: LoopbackOptions;
  readonly folder: string;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  connections = 0;
  /** Requests by type and connection, in their order. */
  readonly seen: {
    readonly type: number;
    readonly connection: number;
    readonly range: ByteRange;
    readonly flags: number;
  }[] = [];

  constructor(options: LoopbackOptions) {
    this.options = options;
    this.folder = mkdtempSync(join(tmpdir(), "theriac-nbd-"));
    this.#server = createServer((socket) => this.#accept(socket));
  }

  static async start(options: LoopbackOptions): Promise<LoopbackServer> {
    const server = new LoopbackServer(options);
    await new Promise<void>((resolve) => {
      server.#server.listen(join(server.folder, "s"), resolve);
    });
    return server;
  }

  get uri(): string {
    return `nbd+unix:///disk?socket=${join(this.folder, "s")}`;
  }

  #accept(socket: Socket): void {
    const number = this.connections;
    this.connections += 1;
    this.#sockets.add(socket);
    socket.on("error", () => undefined).on("close", () => this.#sockets.delete(socket));
    if (this.options.onConnection?.(socket, number) !== true)
      new Served(this, socket, number).start();
  }

  /** Ends all connections at once, as a crash does. */
  drop(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async stop(): Promise<void> {
    this.drop();
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
    });
    rmSync(this.folder, { recursive: true, force: true });
  }
}

class Served {
  readonly #owner: LoopbackServer;
  readonly #socket: Socket;
  readonly #number: number;
  #bytes = Buffer.alloc(0);
  #step: (() => boolean) | undefined;
  #form: "simple" | "structured" | "extended" = "simple";
  #contexts: string[] = [];
  #recovery = false;

  constructor(owner: LoopbackServer, socket: Socket, number: number) {
    this.#owner = owner;
    this.#socket = socket;
    this.#number = number;
  }

  get #options(): LoopbackOptions {
    return this.#owner.options;
  }

  start(): void {
    this.#socket.write(encodeGreeting(3));
    this.#step = () => this.#flags();
    this.#socket.on("data", (bytes) => {
      this.#bytes = Buffer.concat([this.#bytes, bytes]);
      while (this.#step?.() === true);
    });
  }

  #takeBytes(count: number): Buffer | undefined {
    if (this.#bytes.length < count) return undefined;
    const taken = this.#bytes.subarray(0, count);
    this.#bytes = this.#bytes.subarray(count);
    return taken;
  }

  #flags(): boolean {
    if (this.#takeBytes(4) === undefined) return false;
    this.#step = () => this.#option();
    return true;
  }

  #option(): boolean {
    const header = decodeOption(this.#bytes);
    if (header === undefined || this.#bytes.length < 16 + header.length) return false;
    this.#takeBytes(16);
    this.#answer(header.option, this.#takeBytes(header.length) ?? Buffer.alloc(0));
    return true;
  }

  #answer(option: number, payload: Buffer): void {
    const { form = "structured", old = false } = this.#options;
    const reply = (type: number, bytes?: Uint8Array): void => {
      this.#socket.write(encodeOptionReply(option, type, bytes));
    };
    const { ACK, ERR_UNSUP } = NBD_OPTION_REPLY;
    if (option === NBD_OPTION.EXPORT_NAME) return this.#exportName();
    if (old) return reply(ERR_UNSUP);
    if (option === NBD_OPTION.EXTENDED_HEADERS && form === "extended") this.#form = form;
    else if (option === NBD_OPTION.STRUCTURED_REPLY && form === "structured") this.#form = form;
    else if (option === NBD_OPTION.SET_META_CONTEXT) this.#setContexts(payload, reply);
    else if (option === NBD_OPTION.GO) return this.#go(payload, reply);
    else return reply(ERR_UNSUP);
    reply(ACK);
  }

  #setContexts(payload: Buffer, reply: (type: number, bytes: Uint8Array) => void): void {
    const { queries = [] } = decodeContextRequest(payload) ?? {};
    const { theriac = false } = this.#options;
    this.#contexts = queries.filter(
      (query) => CONTEXTS.has(query) && (theriac || !query.startsWith("x-")),
    );
    for (const [index, name] of this.#contexts.entries())
      reply(NBD_OPTION_REPLY.META_CONTEXT, encodeContextReply(index + 7, name));
  }

  get #main(): { readonly size: number; readonly flags: number } {
    const { device, flags, sizeOf } = this.#options;
    const { SEND_FLUSH, SEND_FUA, READ_ONLY, HAS_FLAGS } = NBD_EXPORT;
    const usual = SEND_FLUSH | SEND_FUA | (device.capabilities.readOnly ? READ_ONLY : 0);
    return { size: sizeOf?.(this.#number) ?? device.size, flags: HAS_FLAGS | (flags ?? usual) };
  }

  #exportName(): void {
    const info = encodeInfo({ kind: "export", ...this.#main });
    this.#socket.write(info.subarray(2));
    this.#step = () => this.#request();
  }

  #go(payload: Buffer, reply: (type: number, bytes?: Uint8Array) => void): void {
    const name = decodeInfoRequest(payload)?.name ?? "";
    this.#recovery = name.endsWith(RECOVERY_SUFFIX) && this.#options.theriac === true;
    if (name !== "disk" && !this.#recovery)
      return reply(NBD_OPTION_REPLY.ERR_UNKNOWN, Buffer.from("try disk"));
    reply(NBD_OPTION_REPLY.INFO, encodeInfo({ kind: "export", ...this.#main }));
    const { sizes } = this.#options;
    if (sizes !== undefined) reply(NBD_OPTION_REPLY.INFO, encodeInfo({ kind: "sizes", ...sizes }));
    reply(NBD_OPTION_REPLY.ACK);
    this.#step = () => this.#request();
  }

  #request(): boolean {
    const length = this.#form === "extended" ? 32 : 28;
    if (this.#bytes.length < length) return false;
    const header: RequestHeader = {
      flags: 0,
      type: 0,
      cookieHigh: 0,
      cookieLow: 0,
      offset: 0,
      length: 0,
    };
    const read = this.#form === "extended" ? getExtendedRequest : getRequest;
    if (!read(this.#bytes, 0, header)) {
      this.#socket.destroy();
      return false;
    }
    const payload = header.type === NBD_COMMAND.WRITE ? header.length : 0;
    if (this.#bytes.length < length + payload) return false;
    this.#takeBytes(length);
    void this.#serve(header, Buffer.from(this.#takeBytes(payload) ?? []));
    return true;
  }

  async #serve(header: RequestHeader, payload: Buffer): Promise<void> {
    const { type, offset, length, flags } = header;
    this.#owner.seen.push({ type, connection: this.#number, range: { offset, length }, flags });
    if (type === NBD_COMMAND.DISCONNECT) {
      this.#socket.end();
      return;
    }
    const request: ServedRequest = {
      ...header,
      payload,
      socket: this.#socket,
      connection: this.#number,
      recovery: this.#recovery,
      simple: (errno, data) => this.#simple(header, errno, data),
      chunk: (kind, bytes, { done = false } = {}) => this.#chunk(header, { kind, bytes, done }),
    };
    if ((await this.#options.onRequest?.(request)) === true) return;
    try {
      await this.#perform(request);
    } catch (error) {
      this.#refuse(request, error);
    }
  }

  #simple(header: RequestHeader, errno: number, data?: Uint8Array): void {
    const bytes = Buffer.alloc(16);
    putSimpleReply(bytes, 0, { ...header, errno });
    this.#socket.write(data === undefined ? bytes : Buffer.concat([bytes, data]));
  }

  #chunk(
    header: RequestHeader,
    chunk: { readonly kind: number; readonly bytes: Uint8Array; readonly done: boolean },
  ): void {
    const isExtended = this.#form === "extended";
    const head = Buffer.alloc(isExtended ? 32 : 20);
    const { kind, bytes, done } = chunk;
    const put = isExtended ? putExtendedChunk : putChunk;
    put(head, 0, { ...header, type: kind, flags: done ? NBD_REPLY_DONE : 0, length: bytes.length });
    this.#socket.write(Buffer.concat([head, bytes]));
  }

  #refuse(request: ServedRequest, error: unknown): void {
    if (!(error instanceof StorageError)) throw error;
    const errno = nbdErrorOf(error.code);
    if (this.#form === "simple") return request.simple(errno);
    const offset = error instanceof MediaError ? error.ranges[0]?.offset : undefined;
    const place = offset === undefined ? undefined : Math.max(offset, request.offset);
    const type = place === undefined ? NBD_CHUNK.ERROR : NBD_CHUNK.ERROR_OFFSET;
    request.chunk(type, encodeError({ errno, text: error.message, offset: place }), { done: true });
  }

  async #perform(request: ServedRequest): Promise<void> {
    const { device } = this.#options;
    const { type, offset } = request;
    if (type === NBD_COMMAND.READ) return this.#read(request);
    if (type === NBD_COMMAND.BLOCK_STATUS) return this.#status(request);
    if (type === NBD_COMMAND.WRITE)
      await device.write(request.payload, offset, request.recovery ? "recovery" : "access");
    if (type === NBD_COMMAND.FLUSH || (request.flags & 1) !== 0) await device.flush();
    this.#ok(request);
  }

  #ok(request: ServedRequest): void {
    if (this.#form === "simple") request.simple(0);
    else request.chunk(NBD_CHUNK.NONE, new Uint8Array(0), { done: true });
  }

  async #read(request: ServedRequest): Promise<void> {
    const { offset, length } = request;
    const data = Buffer.alloc(length);
    const { missing } = await this.#options.device.read(data, offset, "access");
    if (this.#form === "simple")
      return missing.length > 0 ? request.simple(5) : request.simple(0, data);
    let at = offset;
    const send = (end: number): void => {
      if (end > at)
        request.chunk(
          NBD_CHUNK.OFFSET_DATA,
          dataChunk(at, data.subarray(at - offset, end - offset)),
        );
    };
    for (const hole of missing) {
      send(hole.offset);
      request.chunk(
        NBD_CHUNK.ERROR_OFFSET,
        encodeError({ errno: 5, text: hole.state, offset: hole.offset }),
      );
      at = endOf(hole);
    }
    send(offset + length);
    request.chunk(NBD_CHUNK.NONE, new Uint8Array(0), { done: true });
  }

  #status(request: ServedRequest): void {
    const { offset, length } = request;
    const { device } = this.#options;
    for (const [index, name] of this.#contexts.entries()) {
      const states = [...device.poison.states({ offset, length })];
      const extents = {
        "x-theriac:poison": states.map((part) => ({
          length: part.length,
          flags: poisonFlags(part.state),
        })),
        "x-theriac:device": [{ length, flags: deviceFlags(device.capabilities) }],
        "base:allocation": [{ length, flags: 0 }],
      }[name];
      const isExtended = this.#form === "extended";
      const encode = isExtended ? encodeExtendedStatus : encodeBlockStatus;
      const type = isExtended ? NBD_CHUNK.BLOCK_STATUS_EXT : NBD_CHUNK.BLOCK_STATUS;
      request.chunk(type, encode(index + 7, extents ?? []), {
        done: index === this.#contexts.length - 1,
      });
    }
  }
}

/** The payload of a data chunk. */
export function dataChunk(offset: number, data: Uint8Array): Buffer {
  const bytes = Buffer.alloc(8 + data.length);
  putU64(bytes, 0, offset);
  bytes.set(data, 8);
  return bytes;
}
