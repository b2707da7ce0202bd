/**
 * InFlight: reads on their way in the thread pool, so that a change under one of them is noticed. Changes run to their end on this
 * thread; a read that one touched meanwhile may be torn, so it is read again: reads see a range before or after, never between.
 */
import { endOf, type ByteRange } from "../base/index.ts";

/** One read under way; `stale` once something changed its range. */
export interface Pass extends ByteRange {
  stale: boolean;
}

/** The reads under way of one device. */
export class InFlight {
  readonly #passes = new Set<Pass>();
  /** How many there are: a set's own size is a call, and every store asks. */
  #count = 0;

  begin(range: ByteRange): Pass {
    const pass = { offset: range.offset, length: range.length, stale: false };
    this.#passes.add(pass);
    this.#count += 1;
    return pass;
  }

  end(pass: Pass): void {
    if (this.#passes.delete(pass)) this.#count -= 1;
  }

  /** Notes that a range changes. */
  touch(offset: number, length: number): void {
    if (this.#count === 0) return;
    for (const pass of this.#passes) {
      if (pass.offset < offset + length && offset < endOf(pass)) pass.stale = true;
    }
  }
}
