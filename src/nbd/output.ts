/**
 * output: replies on their way to a client: small ones are put together in one buffer, and go out 32 KiB at a time or when no request is left.
 *
 * A caller asks for room, fills it, and says how much it used: so data is read straight into the reply that carries it.
 */
import type { Wire } from "./wire.ts";

/** Bytes after which replies go out. */
const FLUSH = 32 * 1024;
/** Largest room that may be asked for, in bytes. */
export const ROOM_MAX: number = 96 * 1024;

/** What goes to one client. */
export class Output {
  /** The buffer; a room is a part of it. */
  readonly bytes: Buffer = Buffer.allocUnsafeSlow(FLUSH + ROOM_MAX);
  readonly #wire: Pick<Wire, "send" | "sendKept" | "backlog">;
  #used = 0;
  readonly #waiting: (() => void)[] = [];
  #open = true;

  constructor(wire: Pick<Wire, "send" | "sendKept" | "backlog">) {
    this.#wire = wire;
  }

  /** Bytes that the client has not taken yet. */
  get backlog(): number {
    return this.#wire.backlog;
  }

  /** Makes room for up to `ROOM_MAX` bytes. @returns where in `bytes` it begins */
  room(): number {
    return this.#used;
  }

  /** Says that `length` bytes from where the room began are a part of the output. */
  take(length: number): void {
    this.#used += length;
    if (this.#used >= FLUSH) this.flush();
  }

  /** Sends what is in the buffer, and `data` behind it, which may change after the call. */
  takeWith(length: number, data: Uint8Array): void {
    this.#used += length;
    const head = this.bytes.subarray(0, this.#used);
    this.#used = 0;
    this.#wire.send([head, data]);
  }

  /** The same with data that may not change before `release` is called; it never is where the client is gone. */
  takeWithKept(length: number, data: Uint8Array, release: () => void): void {
    this.#used += length;
    const head = this.bytes.subarray(0, this.#used);
    this.#used = 0;
    this.#wire.sendKept(head, data, release);
  }

  /** Puts bytes into the output, however many. */
  put(bytes: Uint8Array): void {
    if (bytes.length > ROOM_MAX) {
      this.takeWith(0, bytes);
      return;
    }
    this.bytes.set(bytes, this.#used);
    this.take(bytes.length);
  }

  /** Sends what is in the buffer. */
  flush(): void {
    if (this.#used === 0) return;
    const bytes = this.bytes.subarray(0, this.#used);
    this.#used = 0;
    this.#wire.send([bytes]);
  }

  /** Waits until the client has taken all that went out. */
  async drained(): Promise<void> {
    this.flush();
    while (this.#open && this.#wire.backlog > 0) {
      await new Promise<void>((resolve) => {
        this.#waiting.push(resolve);
      });
    }
  }

  /** The connection is over: nobody waits any more. */
  close(): void {
    this.#open = false;
    this.wake();
  }

  /** Lets those go on who wait: something was taken. */
  wake(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}
