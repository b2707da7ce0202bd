/**
 * connection: one client from its socket to its goodbye: handshake, TLS where the server wants it, then requests.
 *
 * Holds no more than what one client can need: a buffer to read into, what was read and cannot be taken yet, one piece of a write or read
 * for each request under way, and what the system has not sent. A client that does not finish its handshake in time is dropped
 * (CVE-2024-7409).
 */
import type { ExportList } from "./export.ts";
import { Handshake, type Agreement, type HandshakeOptions, type Outcome } from "./handshake.ts";
import { Output } from "./output.ts";
import { Transmission } from "./transmission.ts";
import type { Link, Wire, WireReceiver } from "./wire.ts";

/** Bytes that are read at once. */
const READ_BUFFER = 256 * 1024;

/** What a connection works with. */
export interface ConnectionOptions {
  readonly exports: ExportList;
  /** Milliseconds that a handshake may take. */
  readonly handshakeMs: number;
  /** Called after requests were taken, where the client has taken all answers. */
  readonly onActivity?: () => void;
  /** Hears what no device may throw. @default it is thrown where nobody catches it, which stops the process */
  readonly onBug?: (error: unknown) => void;
  /** Called once, when the connection is over. */
  readonly onClose: (connection: Connection) => void;
}

/** What can be told of a connection. */
export interface ConnectionStatus {
  /** Export that it uses; `undefined` before it chose one. */
  readonly export: string | undefined;
  readonly form: Agreement["form"] | undefined;
  readonly tls: boolean;
  readonly requests: number;
  readonly underWay: number;
}

/** One client. */
export class Connection implements WireReceiver {
  readonly #link: Link;
  readonly #options: ConnectionOptions;
  readonly #deadline: NodeJS.Timeout;
  #wire: Wire | undefined;
  #handshake: Handshake | undefined;
  #transmission: Transmission | undefined;
  #output: Output | undefined;
  #agreement: Agreement | undefined;
  #buffer: Uint8Array = new Uint8Array(0);
  /** Bytes that came and could not be taken yet. */
  #left: Uint8Array = new Uint8Array(0);
  #hasTls = false;
  #ending = false;
  #closed = false;
  #isTaking = false;

  constructor(link: Link, options: ConnectionOptions) {
    this.#link = link;
    this.#options = options;
    this.#deadline = setTimeout(() => this.destroy(), options.handshakeMs);
    this.#handshake = new Handshake(this.#haggling());
    this.#use(link.open(this));
    this.#handshake.greet();
    this.#output?.flush();
  }

  #haggling(): HandshakeOptions {
    return {
      exports: this.#options.exports,
      tls: this.#link.startTls === undefined ? "none" : "wanted",
      send: (bytes) => this.#output?.put(bytes),
      isEnding: () => this.#ending,
    };
  }

  #use(wire: Wire): void {
    this.#wire = wire;
    this.#output = new Output(wire);
  }

  /** For people. */
  get status(): ConnectionStatus {
    return {
      export: this.#agreement?.face.name,
      form: this.#agreement?.form,
      tls: this.#hasTls,
      requests: this.#transmission?.requests ?? 0,
      underWay: this.#transmission?.underWay ?? 0,
    };
  }

  space(): Uint8Array {
    // What is left comes first: bytes must not land behind it before it is taken.
    const wanted = this.#left.length > 0 ? undefined : this.#transmission?.space();
    if (wanted !== undefined) return wanted;
    if (this.#buffer.length === 0) this.#buffer = new Uint8Array(READ_BUFFER);
    return this.#buffer;
  }

  receive(bytes: Uint8Array): void {
    if (this.#closed) return;
    if (this.#left.length > 0) {
      this.#left = Buffer.concat([this.#left, bytes]);
      return;
    }
    this.#take(bytes);
  }

  drained(): void {
    this.#output?.wake();
    this.#goOn();
  }

  ended(): void {
    this.#ended = true;
    if (this.#closed) return;
    if ((this.#transmission?.underWay ?? 0) > 0) return;
    this.#finish();
  }

  #ended = false;

  /** Takes what is left, now that something is done. */
  #goOn(): void {
    if (this.#closed || this.#isTaking) return;
    if (this.#left.length > 0) {
      const bytes = this.#left;
      this.#left = new Uint8Array(0);
      this.#take(bytes);
    }
    if (this.#left.length === 0) this.#wire?.resume();
    this.#endIfIdle();
  }

  #take(bytes: Uint8Array): void {
    this.#isTaking = true;
    const end = this.#takeFrom(bytes);
    this.#isTaking = false;
    this.#output?.flush();
    // Staying awake would take the processor from a client that has not taken all yet.
    if (this.#output?.backlog === 0) this.#options.onActivity?.();
    if (this.#closed) return;
    if (this.#transmission?.isOver === true) {
      this.#left = new Uint8Array(0);
      this.#wire?.pause();
      this.#endIfIdle();
      return;
    }
    if (end === bytes.length) return;
    this.#left = Buffer.from(bytes.subarray(end));
    this.#wire?.pause();
    // What it waited for may have come to pass already.
    if (
      this.#transmission !== undefined &&
      this.#transmission.underWay === 0 &&
      this.#output?.backlog === 0
    )
      this.#goOn();
  }

  /** @returns where it stopped */
  #takeFrom(bytes: Uint8Array): number {
    let at = 0;
    if (this.#handshake !== undefined) {
      const { end, outcome } = this.#handshake.take(bytes, at);
      at = end;
      if (outcome === undefined) return at;
      if (this.#follow(outcome, bytes.length - at) === "over") return bytes.length;
    }
    return this.#transmission === undefined ? at : this.#transmission.take(bytes, at);
  }

  #follow(outcome: Outcome, left: number): "over" | undefined {
    const before = this.#handshake as Handshake;
    this.#handshake = undefined;
    if (outcome.kind === "close") {
      this.#output?.flush();
      this.#finish();
      return "over";
    }
    if (outcome.kind === "go") {
      this.#begin(outcome.agreement);
      return undefined;
    }
    // Plain bytes behind the option were sent before TLS could begin: somebody put them there.
    if (left > 0) this.destroy();
    else this.#startTls(before);
    return "over";
  }

  #begin(agreement: Agreement): void {
    clearTimeout(this.#deadline);
    this.#agreement = agreement;
    this.#transmission = new Transmission({
      ...agreement,
      output: this.#output as Output,
      onReady: () => this.#goOn(),
      isEnding: () => this.#ending,
      onBug: this.#options.onBug ?? stopTheProcess,
    });
  }

  #startTls(before: Handshake): void {
    this.#output?.flush();
    const wire = this.#link.startTls?.(this);
    if (wire !== undefined) this.#use(wire);
    this.#hasTls = true;
    this.#handshake = Handshake.afterTls(this.#haggling(), before);
  }

  /** Ends once what is under way has ended and is told: new requests are refused meanwhile. */
  shutDown(): void {
    this.#ending = true;
    if (this.#transmission === undefined) this.destroy();
  }

  /** Ends at once. */
  destroy(): void {
    this.#wire?.destroy();
    this.#close();
  }

  #endIfIdle(): void {
    const isDone = this.#transmission?.isOver === true || this.#ended;
    if (isDone && this.#transmission?.underWay === 0) this.#finish();
  }

  #finish(): void {
    this.#wire?.end();
    this.#close();
  }

  #close(): void {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#deadline);
    this.#output?.close();
    this.#options.onClose(this);
  }
}

function stopTheProcess(error: unknown): void {
  queueMicrotask(() => {
    throw error;
  });
}
