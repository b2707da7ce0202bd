/**
 * PoisonList: what of a device is not clean, and what nobody knows yet. Every byte is in exactly one state (R7).
 *
 * States, and who moves a byte between them:
 *
 *     unread ──scan finds it good──▶ clean ◀──data written and durable (R4)── poisoned, lost
 *        │                            │
 *        └────────a read fails, a list says so────▶ poisoned ──cleared without data──▶ lost
 *
 * "unread" is the state a byte starts in: nobody has read it and no list names it. It is never reported as clean.
 * The list is pure memory; poison-store.ts makes it durable. Look-ups cost O(log n), and none where the list is empty (R6).
 */
import { checkRange, RangeSet, type BadRange, type ByteRange } from "../base/index.ts";

/** The state of a byte. */
export type PoisonState = "clean" | "unread" | "poisoned" | "lost";

/** A range in one state. */
export interface StateRange extends ByteRange {
  readonly state: PoisonState;
}

/** Bytes in each state; `total` is their sum (R7). */
export interface PoisonTotals {
  readonly total: number;
  readonly clean: number;
  readonly unread: number;
  readonly poisoned: number;
  readonly lost: number;
}

/** What can be asked of a list; a slice of a device answers it translated. */
export interface PoisonView {
  /** Bytes of the device. */
  readonly size: number;
  /** Whether no byte is poisoned or lost: the one branch that normal I/O pays (R6). */
  readonly empty: boolean;
  /** The poisoned and lost parts of a range, ascending, clipped to it. */
  bad(range: ByteRange): Iterable<BadRange>;
  /** Every byte of a range with its state, ascending, without gaps, neighbours of one state merged. */
  states(range: ByteRange): Iterable<StateRange>;
  /** Sums over the whole device. */
  totals(): PoisonTotals;
}

/** One change of state, as listeners get it. */
export interface PoisonChange extends ByteRange {
  readonly state: PoisonState;
}

/** The list of one device. */
export class PoisonList implements PoisonView {
  readonly size: number;
  readonly #poisoned = new RangeSet();
  readonly #lost = new RangeSet();
  readonly #read = new RangeSet();
  readonly #listeners = new Set<(change: PoisonChange) => void>();

  /** @param size bytes of the device; all of them start as unread */
  constructor(size: number) {
    this.size = size;
  }

  get empty(): boolean {
    return this.#poisoned.size === 0 && this.#lost.size === 0;
  }

  /**
   * Puts a range into a state. The caller owes the reason: "clean" only for data read whole or written durably (R4).
   *
   * @throws {RangeError} if the range ends past the device
   */
  mark(range: ByteRange, state: PoisonState): void {
    checkRange(range, this.size);
    if (range.length === 0) return;
    const { offset, length } = range;
    for (const set of [this.#poisoned, this.#lost, this.#read]) set.delete(offset, length);
    if (state === "poisoned") this.#poisoned.add(offset, length);
    if (state === "lost") this.#lost.add(offset, length);
    if (state === "clean") this.#read.add(offset, length);
    for (const listener of this.#listeners) listener({ offset, length, state });
  }

  *bad(range: ByteRange): Generator<BadRange> {
    if (this.empty) return;
    for (const part of this.states(range)) {
      if (part.state === "poisoned" || part.state === "lost") yield part as BadRange;
    }
  }

  *states(range: ByteRange): Generator<StateRange> {
    checkRange(range, this.size);
    const parts: StateRange[] = [];
    const sets = [
      ["poisoned", this.#poisoned],
      ["lost", this.#lost],
      ["clean", this.#read],
    ] as const;
    for (const [state, set] of sets) {
      for (const part of set.within(range.offset, range.length)) parts.push({ ...part, state });
    }
    parts.sort((one, other) => one.offset - other.offset);
    let at = range.offset;
    for (const part of parts) {
      if (part.offset > at) yield { offset: at, length: part.offset - at, state: "unread" };
      yield part;
      at = part.offset + part.length;
    }
    const end = range.offset + range.length;
    if (at < end) yield { offset: at, length: end - at, state: "unread" };
  }

  totals(): PoisonTotals {
    const poisoned = this.#poisoned.byteLength;
    const lost = this.#lost.byteLength;
    const clean = this.#read.byteLength;
    return { total: this.size, clean, unread: this.size - clean - poisoned - lost, poisoned, lost };
  }

  /** Calls `listener` after every change; returns the call that ends it. */
  onChange(listener: (change: PoisonChange) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}
