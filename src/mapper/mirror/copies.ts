/**
 * Copies: the legs of a mirror, and which of them may give data where. A byte of a leg that is *stale* is not the mirror's byte: the leg was not
 * told of a write, or may not have been when the machine stopped. Only what is fresh is read, written and healed; a resync makes it fresh.
 *
 * Every byte is fresh in one leg at least, unless every leg of it has failed.
 */
import { endOf, RangeSet, type ByteRange } from "../../base/index.ts";
import type { ManagedDevice } from "../../device/index.ts";

/** One copy. Bytes of the mirror lie at `offset` and on. */
export interface MirrorLeg {
  /** Its place in the table, from 0. */
  readonly index: number;
  readonly device: ManagedDevice;
  readonly offset: number;
}

/** A stretch that is fresh in the same legs all along. */
export interface FreshRun extends ByteRange {
  /** In the order in which they are asked. */
  readonly legs: readonly MirrorLeg[];
}

/** The legs of one mirror. */
export class Copies {
  readonly size: number;
  /** In the order in which they are asked for data. */
  readonly legs: readonly MirrorLeg[];
  readonly #stale = new Map<MirrorLeg, RangeSet>();
  #uniform = true;

  /** @param legs one at least */
  constructor(legs: readonly MirrorLeg[], size: number) {
    this.legs = legs;
    this.size = size;
    for (const leg of legs) this.#stale.set(leg, new RangeSet());
  }

  /** Whether every leg is fresh everywhere: the one branch of a read. */
  get uniform(): boolean {
    return this.#uniform;
  }

  /** Where legs may differ, this one is right, as in the kernel: the first of the table that is fresh everywhere. */
  get authority(): MirrorLeg {
    const inTable = this.legs.toSorted((one, other) => one.index - other.index);
    return (inTable.find((leg) => this.staleOf(leg).size === 0) ??
      inTable.find((leg) => !this.isGone(leg)) ??
      inTable[0]) as MirrorLeg;
  }

  /** Whether a leg is of no use anywhere. */
  isGone(leg: MirrorLeg): boolean {
    return !this.#uniform && this.staleOf(leg).covers(0, this.size);
  }

  /** What of a leg is stale. */
  staleOf(leg: MirrorLeg): RangeSet {
    return this.#stale.get(leg) as RangeSet;
  }

  /** Whether a leg alone has some byte: it must not be given up. */
  isNeeded(leg: MirrorLeg): boolean {
    for (const { legs } of this.runs({ offset: 0, length: this.size }))
      if (legs.length === 1 && legs[0] === leg) return true;
    return false;
  }

  /** Takes a range of a leg out of use. */
  setStale(leg: MirrorLeg, { offset, length }: ByteRange): void {
    this.staleOf(leg).add(offset, length);
    this.#look();
  }

  /** The range is as in the other legs again. */
  setFresh(leg: MirrorLeg, { offset, length }: ByteRange): void {
    this.staleOf(leg).delete(offset, length);
    this.#look();
  }

  #look(): void {
    this.#uniform = this.legs.every((leg) => this.staleOf(leg).size === 0);
  }

  /** The parts of a range that are fresh in a leg. */
  freshParts(leg: MirrorLeg, range: ByteRange): Iterable<ByteRange> {
    if (this.#uniform) return range.length === 0 ? [] : [range];
    return this.staleOf(leg).gaps(range.offset, range.length);
  }

  /** A range cut where the legs that are fresh change. */
  *runs(range: ByteRange): Generator<FreshRun> {
    const { offset, length } = range;
    if (this.#uniform) {
      if (length > 0) yield { offset, length, legs: this.legs };
      return;
    }
    const end = endOf(range);
    for (let at = offset; at < end;) {
      let stop = end;
      const legs: MirrorLeg[] = [];
      for (const leg of this.legs) {
        const stale = this.staleOf(leg).first(at, end - at);
        if (stale?.offset === at) stop = Math.min(stop, endOf(stale));
        else {
          legs.push(leg);
          stop = Math.min(stop, stale?.offset ?? end);
        }
      }
      yield { offset: at, length: stop - at, legs };
      at = stop;
    }
  }
}
