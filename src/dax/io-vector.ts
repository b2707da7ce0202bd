/**
 * IoVector: one call: its buffers as one run of bytes with a place in it, as Linux' `struct iov_iter`, and where in the file and how hard it
 * tries, as `struct kiocb`. One object serves call after call: a call with one buffer allocates nothing but the views that it needs.
 */
import type { CallMode } from "./dax-file.ts";

/** The buffers of a call, and how far it has come. */
export class IoVector {
  /** Bytes of the call. */
  length = 0;
  /** First byte in the file. */
  offset = 0;
  mode: CallMode = "access";
  #one: Uint8Array | undefined;
  #parts: readonly Uint8Array[] = [];
  #index = 0;
  #at = 0;

  /**
   * Begins a call.
   *
   * @param limit most bytes of a call; what is behind them is left out
   */
  begin(buffers: Uint8Array | readonly Uint8Array[], limit: number): this {
    this.#index = 0;
    this.#at = 0;
    if (buffers instanceof Uint8Array) {
      this.#one = buffers;
      this.length = Math.min(buffers.length, limit);
      return this;
    }
    this.#one = buffers[0];
    this.#parts = buffers;
    let length = 0;
    for (const part of buffers) length += part.length;
    this.length = Math.min(length, limit);
    return this;
  }

  /** Byte of the file behind the call. */
  get end(): number {
    return this.offset + this.length;
  }

  /** The next bytes that lie together: at most `count`, at least one where any is left. Empty buffers are passed over. */
  peek(count: number): Uint8Array {
    while (this.#one !== undefined && this.#at === this.#one.length) this.#next();
    const part = this.#one;
    if (part === undefined) return EMPTY;
    if (this.#at === 0 && count >= part.length) return part;
    return part.subarray(this.#at, this.#at + count);
  }

  /** Moves on by bytes that `peek` gave. */
  advance(count: number): void {
    this.#at += count;
  }

  /** The next `count` bytes in one piece: a view where they lie together, else a copy. The place stays. */
  gather(count: number): Uint8Array {
    const first = this.peek(count);
    if (first.length === count) return first;
    const whole = new Uint8Array(count);
    whole.set(first);
    let done = first.length;
    for (let index = this.#index + 1; done < count; index += 1) {
      const part = this.#parts[index]!.subarray(0, count - done);
      whole.set(part, done);
      done += part.length;
    }
    return whole;
  }

  /** Moves on by any count, across buffers. */
  skip(count: number): void {
    for (let left = count; left > 0;) {
      const taken = this.peek(left).length;
      this.advance(taken);
      left -= taken;
    }
  }

  /** Fills the next `count` bytes with zeros and moves on: a hole is read. */
  zero(count: number): void {
    for (let left = count; left > 0;) {
      const piece = this.peek(left);
      piece.fill(0);
      this.advance(piece.length);
      left -= piece.length;
    }
  }

  #next(): void {
    this.#index += 1;
    this.#at = 0;
    this.#one = this.#parts[this.#index];
  }
}

const EMPTY = new Uint8Array(0);
