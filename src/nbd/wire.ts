/**
 * wire: a client's socket, as the protocol uses it: bytes go out at once as far as the system takes them, and are copied where it does not.
 *
 * So a caller may hand over a view of device memory and forget it: nothing refers to it once `send` returns, and no range has to be
 * pinned. Where a descriptor of its own is to be had, `send` is write(2) on it; elsewhere, and under TLS, Node's stream takes a copy.
 */
import { closeSync, writevSync } from "node:fs";
import { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { duplicateDescriptor, enlargeSendBuffer } from "../os/index.ts";

/** Milliseconds that a client has to take what was sent before the end. */
const LINGER_MS = 10_000;

/** Makes the TLS side of a socket on which the client is about to begin it. */
export type TlsUpgrade = (socket: Socket) => Duplex;

/** Where bytes of a client go. */
export interface WireReceiver {
  /** Where the next bytes shall land: at least one byte, not kept by the receiver past `receive`. */
  space(): Uint8Array;
  /** Takes bytes; those that came into `space()` are its beginning. They are not to be kept. */
  receive(bytes: Uint8Array): void;
  /** Some or all of what was behind has been sent. */
  drained(): void;
  /** The client sends no more, or the socket failed. */
  ended(): void;
}

/** A client's socket. */
export interface Wire {
  /** Bytes that the system has not taken yet. */
  readonly backlog: number;
  /** Sends pieces, in order. They may change after the call. */
  send(pieces: readonly Uint8Array[]): void;
  /** Sends `head`, which may change after the call, and `data`, which may not before `release` is called. */
  sendKept(head: Uint8Array, data: Uint8Array, release: () => void): void;
  /** Takes no more from the client, until `resume`. */
  pause(): void;
  resume(): void;
  /** Sends what is behind, and ends. */
  end(): void;
  /** Ends at once. */
  destroy(): void;
}

/** How a client is reached. */
export interface Link {
  open(receiver: WireReceiver): Wire;
  /** Begins TLS, before whose first byte no plain one is read any more; absent where there is none to be had. */
  startTls?(receiver: WireReceiver): Wire;
}

/** The link of an accepted socket that nobody has read from. @param upgrade makes the TLS side, where that is wanted */
export function socketLink(socket: Socket, upgrade?: TlsUpgrade): Link {
  if (upgrade === undefined) return { open: (receiver) => socketWire(socket, receiver) };
  return {
    // A socket that is to become one with TLS must stay Node's own.
    open: (receiver) => streamWire(socket, receiver),
    startTls: (receiver) => {
      for (const event of ["data", "end", "error", "close"]) socket.removeAllListeners(event);
      return streamWire(upgrade(socket), receiver);
    },
  };
}

/** A wire over any stream: TLS, and sockets that have no descriptor of their own. */
function streamWire(stream: Duplex, receiver: WireReceiver): Wire {
  stream.on("data", (bytes: Uint8Array) => receiver.receive(bytes));
  stream.on("end", () => receiver.ended());
  stream.on("error", () => receiver.ended());
  stream.on("close", () => receiver.ended());
  stream.resume();
  return new StreamWire(stream, receiver);
}

class StreamWire implements Wire {
  protected readonly stream: Duplex;
  readonly #receiver: WireReceiver;
  backlog = 0;

  constructor(stream: Duplex, receiver: WireReceiver) {
    this.stream = stream;
    this.#receiver = receiver;
  }

  send(pieces: readonly Uint8Array[]): void {
    this.queue(Buffer.concat(pieces));
  }

  sendKept(head: Uint8Array, data: Uint8Array, release: () => void): void {
    this.queue(Buffer.from(head));
    this.queue(data, release);
  }

  /** Queues bytes that nobody changes any more. */
  protected queue(bytes: Uint8Array, release?: () => void): void {
    if (bytes.length === 0 || this.stream.destroyed || this.stream.writableEnded) return;
    this.backlog += bytes.length;
    this.stream.write(bytes, () => {
      this.backlog -= bytes.length;
      release?.();
      this.#receiver.drained();
    });
  }

  pause(): void {
    this.stream.pause();
  }

  resume(): void {
    this.stream.resume();
  }

  end(): void {
    const { stream } = this;
    stream.end(() => stream.destroy());
    // A client that takes nothing any more must not keep the socket.
    setTimeout(() => stream.destroy(), LINGER_MS).unref();
  }

  destroy(): void {
    this.stream.destroy();
  }
}

/** The descriptor of an accepted socket: Node's own field, which has no public name. */
function descriptorOf(socket: Socket): number {
  return (socket as unknown as { _handle?: { fd?: number } })._handle?.fd ?? -1;
}

/**
 * Takes over an accepted socket that nobody has read from. Bytes then land where the receiver wants them, and go out by write(2).
 *
 * @returns the wire; over `socket` itself where a descriptor of its own is not to be had
 */
function socketWire(socket: Socket, receiver: WireReceiver): Wire {
  const fd = descriptorOf(socket);
  const reading = fd < 0 ? undefined : duplicateDescriptor(fd);
  if (reading === undefined) return streamWire(socket, receiver);
  const writing = duplicateDescriptor(fd);
  if (writing === undefined) {
    closeSync(reading);
    return streamWire(socket, receiver);
  }
  enlargeSendBuffer(writing);
  socket.destroy();
  return new DescriptorWire(reading, writing, receiver);
}

/** A wire with a descriptor of its own to write to: it is closed by nobody else, so it never becomes another file's under our hands. */
class DescriptorWire extends StreamWire {
  readonly #writing: number;
  #open = true;

  constructor(reading: number, writing: number, receiver: WireReceiver) {
    let paused = false;
    const socket = new Socket({
      fd: reading,
      readable: true,
      writable: true,
      allowHalfOpen: true,
      onread: {
        buffer: () => receiver.space(),
        callback: (count: number, bytes: Uint8Array) => {
          receiver.receive(bytes.subarray(0, count));
          return !paused;
        },
      },
    } as ConstructorParameters<typeof Socket>[0]);
    super(socket, receiver);
    this.#writing = writing;
    this.pause = () => {
      paused = true;
      socket.pause();
    };
    this.resume = () => {
      paused = false;
      socket.resume();
    };
    socket.setNoDelay(true);
    socket.on("end", () => receiver.ended());
    socket.on("error", () => receiver.ended());
    socket.on("close", () => {
      this.#close();
      receiver.ended();
    });
  }

  override send(pieces: readonly Uint8Array[]): void {
    if (!this.#open || this.stream.destroyed) return;
    const sent = this.backlog > 0 ? 0 : this.#write(pieces);
    if (sent === undefined) return;
    const rest = restOf(pieces, sent);
    if (rest !== undefined) this.queue(rest);
  }

  override sendKept(head: Uint8Array, data: Uint8Array, release: () => void): void {
    if (!this.#open || this.stream.destroyed) return;
    const sent = this.backlog > 0 ? 0 : this.#write([head, data]);
    if (sent === undefined) return;
    if (sent < head.length) this.queue(Buffer.from(head.subarray(sent)));
    const rest = data.subarray(Math.max(0, sent - head.length));
    if (rest.length === 0) release();
    else this.queue(rest, release);
  }

  /** @returns bytes that the system took; `undefined` where the socket failed */
  #write(pieces: readonly Uint8Array[]): number | undefined {
    try {
      return writevSync(this.#writing, pieces);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "EAGAIN") return 0;
      this.destroy();
      return undefined;
    }
  }

  #close(): void {
    if (!this.#open) return;
    this.#open = false;
    closeSync(this.#writing);
  }
}

/** A copy of what comes after the first `sent` bytes; `undefined` where nothing does. */
function restOf(pieces: readonly Uint8Array[], sent: number): Uint8Array | undefined {
  let skip = sent;
  const rest: Uint8Array[] = [];
  for (const piece of pieces) {
    const from = Math.min(skip, piece.length);
    skip -= from;
    if (from < piece.length) rest.push(piece.subarray(from));
  }
  return rest.length === 0 ? undefined : Buffer.concat(rest);
}
