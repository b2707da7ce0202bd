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
import {
  checkRange,
  FilteredRangeSet,
  RangeSet,
  type BadRange,
  type ByteRange,
  type RangeCursor,
} from "../base/index.ts";

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

/** One set of a list with the walk over it. */
interface Head {
  readonly state: PoisonState;
  readonly cursor: RangeCursor;
}

/** The list of one device. Ten million ranges are no trouble: changes and look-ups are O(log n), walks allocate one range at a time. */
export class PoisonList implements PoisonView {
  readonly size: number;
  #empty = true;
  /** Counts changes, so that a walk notices one. */
  #version = 0;
  readonly #poisoned: FilteredRangeSet;
  readonly #lost: FilteredRangeSet;
  readonly #clean = new RangeSet();
  readonly #listeners = new Set<(change: PoisonChange) => void>();

  /** @param size bytes of the device; all of them start as unread */
  constructor(size: number) {
    this.size = size;
    this.#poisoned = new FilteredRangeSet(size);
    this.#lost = new FilteredRangeSet(size);
  }

  get empty(): boolean {
    return this.#empty;
  }

  /**
   * Puts a range into a state. The caller owes the reason: "clean" only for data read whole or written durably (R4).
   * Listeners hear of it unless the whole range was in that state already.
   *
   * @throws {TypeError} if the range is no whole, non-negative one
   * @throws {RangeError} if the range ends past the device
   */
  mark(range: ByteRange, state: PoisonState): void {
    checkRange(range, this.size);
    const { offset, length } = range;
    if (length === 0 || this.#isAll(range, state)) return;
    const target = this.#setOf(state);
    for (const set of [this.#poisoned, this.#lost, this.#clean]) {
      if (set !== target && set.size > 0) set.delete(offset, length);
    }
    target?.add(offset, length);
    this.#empty = this.#poisoned.size === 0 && this.#lost.size === 0;
    this.#version += 1;
    for (const listener of this.#listeners) listener({ offset, length, state });
  }

  /**
   * Whether any byte of a range is poisoned or lost: what every read asks while the list is not empty (R6). No allocation; a coarse filter
   * answers for most ranges, two look-ups for the rest.
   */
  hasBad(offset: number, length: number): boolean {
    if (this.#empty) return false;
    return this.#poisoned.intersects(offset, length) || this.#lost.intersects(offset, length);
  }

  /** As the view says. The list may change while it is walked: the walk goes on behind the last byte it gave. */
  *bad(range: ByteRange): Generator<BadRange> {
    if (this.#empty) return;
    checkRange(range, this.size);
    yield* this.#walk(range, ["poisoned", "lost"]) as Generator<BadRange>;
  }

  /** As the view says. The list may change while it is walked: the walk goes on behind the last byte it gave. */
  *states(range: ByteRange): Generator<StateRange> {
    checkRange(range, this.size);
    const end = range.offset + range.length;
    let at = range.offset;
    while (at < end) {
      const version = this.#version;
      for (const part of this.#walk({ offset: at, length: end - at }, [
        "poisoned",
        "lost",
        "clean",
      ])) {
        if (part.offset > at) yield { offset: at, length: part.offset - at, state: "unread" };
        at = part.offset;
        // The part was found before the gap was given: whoever got the gap may have changed it.
        if (version !== this.#version) break;
        yield part;
        at = part.offset + part.length;
        if (version !== this.#version) break;
      }
      if (version === this.#version && at < end) {
        yield { offset: at, length: end - at, state: "unread" };
        at = end;
      }
    }
  }

  totals(): PoisonTotals {
    const poisoned = this.#poisoned.byteLength;
    const lost = this.#lost.byteLength;
    const clean = this.#clean.byteLength;
    const unread = this.size - clean - poisoned - lost;
    return { total: this.size, clean, unread, poisoned, lost };
  }

  /** Calls `listener` after every change; returns the call that ends it. */
  onChange(listener: (change: PoisonChange) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #setOf(state: PoisonState): RangeSet | undefined {
    if (state === "poisoned") return this.#poisoned;
    if (state === "lost") return this.#lost;
    return state === "clean" ? this.#clean : undefined;
  }

  #isAll({ offset, length }: ByteRange, state: PoisonState): boolean {
    const set = this.#setOf(state);
    if (set !== undefined) return set.covers(offset, length);
    const known = [this.#poisoned, this.#lost, this.#clean];
    return !known.some((other) => other.intersects(offset, length));
  }

  /** The parts of a range in any of these states, ascending: a merge of their sets, which share no byte. */
  *#walk(range: ByteRange, states: readonly PoisonState[]): Generator<StateRange> {
    const end = range.offset + range.length;
    let at = range.offset;
    let version = this.#version;
    let heads = this.#headsFrom(at, states);
    for (let head = lowest(heads); head !== undefined; head = lowest(heads)) {
      const { cursor, state } = head;
      if (cursor.start >= end) return;
      const stop = Math.min(end, cursor.end);
      yield { offset: cursor.start, length: stop - cursor.start, state };
      at = stop;
      if (version !== this.#version) {
        version = this.#version;
        heads = this.#headsFrom(at, states);
      } else if (!cursor.next()) {
        heads = heads.filter((other) => other !== head);
      }
    }
  }

  #headsFrom(offset: number, states: readonly PoisonState[]): readonly Head[] {
    return states
      .map((state) => ({ state, cursor: (this.#setOf(state) ?? this.#clean).cursor(offset) }))
      .filter(({ cursor }) => cursor.next());
  }
}

/** The head whose range comes first. */
function lowest(heads: readonly Head[]): Head | undefined {
  let first = heads[0];
  for (const head of heads) {
    if (first !== undefined && head.cursor.start < first.cursor.start) first = head;
  }
  return first;
}
