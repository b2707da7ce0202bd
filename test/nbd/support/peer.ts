/** peer: a client in memory that speaks to a connection byte by byte, takes as much as it likes, and reads what came back. */
import {
  CHUNK_BYTES,
  createMemoryDevice,
  decodeBlockStatus,
  decodeError,
  decodeOptionReply,
  encodeContextRequest,
  encodeInfoRequest,
  encodeOption,
  EXTENDED_CHUNK_BYTES,
  getChunk,
  getExtendedChunk,
  getU32,
  getU64,
  GREETING_BYTES,
  isErrorChunk,
  NBD_CHUNK,
  NBD_COMMAND,
  NBD_MAGIC,
  NBD_OPTION,
  NBD_REPLY_DONE,
  OPTION_REPLY_BYTES,
  putExtendedRequest,
  putRequest,
  putU32,
  type SimulatedDevice,
} from "../../../src/device/index.ts";
import {
  Connection,
  ExportList,
  type ConnectionOptions,
  type ExportOptions,
  type WireReceiver,
} from "../../../src/nbd/index.ts";

/** Milliseconds that no test waits. */
const NEVER_MS = 60_000;

/** A chunk of a reply, or a simple reply. */
export interface Chunk {
  readonly type: "simple" | "none" | "data" | "hole" | "status" | "error";
  readonly cookie: number;
  readonly isDone: boolean;
  readonly offset?: number | undefined;
  readonly length?: number;
  readonly bytes?: Buffer;
  readonly errno?: number;
  readonly text?: string;
  readonly context?: number;
  readonly extents?: readonly { readonly length: number; readonly flags: number }[];
}

/** How a peer begins. */
export interface PeerOptions extends Partial<ConnectionOptions> {
  /** @default whatever is sent is taken at once */
  readonly takesNothing?: boolean;
}

/** One client. */
export class Peer {
  readonly connection: Connection;
  readonly #receiver: WireReceiver;
  #came: Buffer = Buffer.alloc(0);
  #unsent: Buffer = Buffer.alloc(0);
  #space: Uint8Array | undefined;
  #wake: (() => void) | undefined;
  paused = false;
  ended = false;
  destroyed = false;
  backlog = 0;
  takesNothing: boolean;
  form: "simple" | "structured" | "extended" = "simple";

  constructor(exports: ExportList, options: PeerOptions = {}) {
    this.takesNothing = options.takesNothing ?? false;
    let receiver: WireReceiver | undefined;
    this.connection = new Connection(
      {
        open: (given) => {
          receiver = given;
          return this.#wire();
        },
      },
      { exports, handshakeMs: NEVER_MS, onClose: () => undefined, ...options },
    );
    this.#receiver = receiver as unknown as WireReceiver;
  }

  #wire() {
    // oxlint-disable-next-line typescript/no-this-alias, unicorn/no-this-assignment -- the wire shows this peer's backlog
    const peer = this;
    const came = (pieces: readonly Uint8Array[]): void => {
      const bytes = Buffer.concat(pieces);
      peer.#came = Buffer.concat([peer.#came, bytes]);
      if (peer.takesNothing) peer.backlog += bytes.length;
      peer.#wake?.();
    };
    return {
      get backlog() {
        return peer.backlog;
      },
      send: came,
      sendKept: (head: Uint8Array, data: Uint8Array, release: () => void) => {
        came([head, data]);
        release();
      },
      pause: () => void (peer.paused = true),
      resume: () => {
        peer.paused = false;
        peer.#push();
      },
      end: () => {
        peer.ended = true;
        peer.#wake?.();
      },
      destroy: () => {
        peer.destroyed = true;
        peer.#wake?.();
      },
    };
  }

  /** Takes all that was sent. */
  drain(): void {
    this.backlog = 0;
    this.#receiver.drained();
  }

  /** Bytes that came and were not looked at. */
  get unread(): number {
    return this.#came.length;
  }

  /**
   * Sends bytes as a socket gives them: none while it is paused, and into the space that the server named right after it took those before.
   */
  send(bytes: Uint8Array): void {
    this.#unsent = Buffer.concat([this.#unsent, bytes]);
    this.#push();
  }

  #push(): void {
    while (this.#unsent.length > 0 && !this.paused && !this.ended && !this.destroyed) {
      const space = this.#space ?? this.#receiver.space();
      const count = Math.min(space.length, this.#unsent.length);
      space.set(this.#unsent.subarray(0, count));
      this.#unsent = this.#unsent.subarray(count);
      this.#receiver.receive(space.subarray(0, count));
      this.#space = this.#receiver.space();
    }
  }

  /** The client goes away. */
  hangUp(): void {
    this.#receiver.ended();
  }

  take(length: number): Buffer {
    if (this.#came.length < length)
      throw new Error(`Want ${length} bytes of the server: there are ${this.#came.length}`);
    const bytes = this.#came.subarray(0, length);
    this.#came = this.#came.subarray(length);
    return bytes;
  }

  /** Reads the greeting and sends client flags. @returns the server's flags */
  greet(flags = 3): number {
    const greeting = this.take(GREETING_BYTES);
    const bytes = Buffer.alloc(4);
    putU32(bytes, 0, flags);
    this.send(bytes);
    return greeting.readUInt16BE(16);
  }

  /** Sends an option and reads all its replies: types and payloads. */
  option(option: number, payload?: Uint8Array): { type: number; payload: Buffer }[] {
    this.send(encodeOption(option, payload));
    const replies: { type: number; payload: Buffer }[] = [];
    while (this.#came.length >= OPTION_REPLY_BYTES) {
      const head = decodeOptionReply(this.take(OPTION_REPLY_BYTES));
      if (head === undefined || head.option !== option) throw new Error("No reply to this option");
      replies.push({ type: head.type, payload: Buffer.from(this.take(head.length)) });
    }
    return replies;
  }

  /** Haggles up to the transmission. */
  go(form: Peer["form"], options: { name?: string; contexts?: readonly string[] } = {}): this {
    const { name = "", contexts } = options;
    this.greet();
    if (form === "structured") this.option(NBD_OPTION.STRUCTURED_REPLY);
    if (form === "extended") this.option(NBD_OPTION.EXTENDED_HEADERS);
    if (contexts !== undefined)
      this.option(NBD_OPTION.SET_META_CONTEXT, encodeContextRequest({ name, queries: contexts }));
    const replies = this.option(NBD_OPTION.GO, encodeInfoRequest({ name, wanted: [] }));
    if (replies.at(-1)?.type !== 1) throw new Error(`No such export: ${name}`);
    this.form = form;
    return this;
  }

  /** Bytes of a request. */
  request(command: number, request: Partial<RequestShape> = {}): Buffer {
    const { flags = 0, cookie = 7, offset = 0, length = 0, payload = Buffer.alloc(0) } = request;
    const isExtended = this.form === "extended";
    const bytes = Buffer.alloc(isExtended ? 32 : 28);
    const withPayload = isExtended && command === NBD_COMMAND.WRITE ? 0x20 : 0;
    (isExtended ? putExtendedRequest : putRequest)(bytes, 0, {
      flags: flags | withPayload,
      type: command,
      cookieHigh: 0x8000_0001,
      cookieLow: cookie,
      offset,
      length: payload.length > 0 ? payload.length : length,
    });
    return Buffer.concat([bytes, payload]);
  }

  /** Sends a request and reads its reply once that is whole. */
  async ask(command: number, request: Partial<RequestShape> = {}): Promise<Chunk[]> {
    this.send(this.request(command, request));
    return this.reply(command === NBD_COMMAND.READ ? (request.length ?? 0) : 0);
  }

  /** Reads a whole reply, however long it takes to come. @param length bytes of data behind a simple one that says all is well */
  async reply(length = 0): Promise<Chunk[]> {
    const chunks: Chunk[] = [];
    do {
      while (this.#came.length === 0 && !this.ended && !this.destroyed)
        await new Promise<void>((resolve) => (this.#wake = resolve));
      chunks.push(this.chunk(length));
    } while (chunks.at(-1)?.isDone !== true);
    return chunks;
  }

  /** Reads one chunk. */
  chunk(length = 0): Chunk {
    const magic = getU32(this.#came, 0);
    if (magic === NBD_MAGIC.SIMPLE_REPLY) {
      const head = this.take(16);
      const errno = getU32(head, 4);
      const cookie = getU32(head, 12);
      const bytes = errno === 0 ? Buffer.from(this.take(length)) : Buffer.alloc(0);
      return { type: "simple", cookie, isDone: true, errno, bytes };
    }
    const isExtended = magic === NBD_MAGIC.EXTENDED_REPLY;
    if (!isExtended && magic !== NBD_MAGIC.STRUCTURED_REPLY) throw new Error(`Bad magic ${magic}`);
    const header = { flags: 0, type: 0, cookieHigh: 0, cookieLow: 0, offset: 0, length: 0 };
    const head = this.take(isExtended ? EXTENDED_CHUNK_BYTES : CHUNK_BYTES);
    (isExtended ? getExtendedChunk : getChunk)(head, 0, header);
    const payload = Buffer.from(this.take(header.length));
    const about = {
      cookie: header.cookieLow,
      isDone: (header.flags & NBD_REPLY_DONE) !== 0,
    };
    return chunkOf(header.type, payload, about);
  }
}

interface RequestShape {
  readonly flags: number;
  readonly cookie: number;
  readonly offset: number;
  readonly length: number;
  readonly payload: Buffer;
}

function chunkOf(
  type: number,
  payload: Buffer,
  about: { readonly cookie: number; readonly isDone: boolean },
): Chunk {
  if (type === NBD_CHUNK.NONE) return { type: "none", ...about };
  if (type === NBD_CHUNK.OFFSET_DATA) {
    const bytes = payload.subarray(8);
    return { type: "data", offset: getU64(payload, 0), bytes, length: bytes.length, ...about };
  }
  if (type === NBD_CHUNK.OFFSET_HOLE)
    return { type: "hole", offset: getU64(payload, 0), length: getU32(payload, 8), ...about };
  if (isErrorChunk(type)) {
    const { errno, text, offset } = decodeError(type, payload) ?? {};
    return { type: "error", errno: errno ?? -1, text: text ?? "", offset, ...about };
  }
  const { context, extents } = decodeBlockStatus(type, payload) ?? { context: -1, extents: [] };
  return { type: "status", context, extents, ...about };
}

/** A memory device with content that tells its place, and the list of its exports. */
export function servedMemory(
  options: { size?: number; unit?: number } & Partial<ExportOptions> = {},
): { device: SimulatedDevice; bytes: Buffer; exports: ExportList } {
  const { size = 65_536, unit = 512, ...rest } = options;
  const bytes = Buffer.alloc(size);
  for (let at = 0; at < size; at += 4) bytes.writeUInt32BE(at ^ 0x5a00_0000, at);
  const device = createMemoryDevice({
    bytes: Buffer.from(bytes),
    poisonUnit: unit,
    clearUnit: unit,
  });
  const exports = new ExportList([{ name: "disk", device, isDirect: () => true, ...rest }]);
  return { device, bytes, exports };
}
