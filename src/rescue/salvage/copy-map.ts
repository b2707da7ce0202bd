/**
 * CopyMap: what is known of every byte of a salvage: one of ddrescue's five statuses each, in memory.
 *
 * `?` nobody tried, `*` failed as part of a larger read, `/` that and its edges are known, `-` bad by itself, `+` in the output.
 */
import { endOf, RangeSet, roundDown, type ByteRange } from "../../base/index.ts";
import type { MapRange, MapStatus } from "../../poison/index.ts";

/** Every status, in the order in which a byte gets them. */
export const MAP_STATUSES: readonly MapStatus[] = ["?", "*", "/", "-", "+"];

type Kept = Exclude<MapStatus, "?">;
const KEPT: readonly Kept[] = ["*", "/", "-", "+"];

/** The statuses of a source of `size` bytes; at first nobody tried any. */
export class CopyMap {
  readonly size: number;
  readonly #sets: Readonly<Record<Kept, RangeSet>> = {
    "*": new RangeSet(),
    "/": new RangeSet(),
    "-": new RangeSet(),
    "+": new RangeSet(),
  };

  constructor(size: number) {
    this.size = size;
  }

  /** Gives a range a status, whatever it had. */
  set({ offset, length }: ByteRange, status: MapStatus): void {
    if (length === 0) return;
    for (const kept of KEPT) {
      if (kept === status) this.#sets[kept].add(offset, length);
      else this.#sets[kept].delete(offset, length);
    }
  }

  /** Gives the parts of a range that are not finished a status. */
  setUnfinished({ offset, length }: ByteRange, status: MapStatus): void {
    for (const gap of this.unfinished({ offset, length })) this.set(gap, status);
  }

  /** Bytes that have a status. */
  bytes(status: MapStatus): number {
    if (status !== "?") return this.#sets[status].byteLength;
    return KEPT.reduce((rest, kept) => rest - this.#sets[kept].byteLength, this.size);
  }

  /** Ranges that have a status. */
  areas(status: Kept): number {
    return this.#sets[status].size;
  }

  /** The ranges of a window that have a status, ascending; not to be walked while the map changes. */
  *of(
    status: MapStatus,
    window: ByteRange = { offset: 0, length: this.size },
  ): Generator<ByteRange> {
    const { offset, length } = window;
    if (status !== "?") {
      yield* this.#sets[status].within(offset, length);
      return;
    }
    for (const range of this.ranges(window)) if (range.status === "?") yield range;
  }

  /** Whether a byte has a status. */
  has(status: Kept, offset: number): boolean {
    return offset >= 0 && offset < this.size && this.#sets[status].intersects(offset, 1);
  }

  /** The parts of a range that are not finished. */
  unfinished({ offset, length }: ByteRange): readonly ByteRange[] {
    return [...this.#sets["+"].gaps(offset, length)];
  }

  /** All of a window, ascending and without gaps, equal neighbours as one. */
  *ranges(window: ByteRange = { offset: 0, length: this.size }): Generator<MapRange> {
    const walks = KEPT.map((status) => {
      const walk = this.#sets[status].within(window.offset, window.length);
      return { status, walk, next: walk.next() };
    });
    const end = endOf(window);
    let at = window.offset;
    while (at < end) {
      let first: (typeof walks)[number] | undefined;
      for (const one of walks) {
        if (one.next.done === true) continue;
        const start = one.next.value.offset;
        if (first?.next.done !== false || start < first.next.value.offset) first = one;
      }
      if (first?.next.done !== false) {
        yield { offset: at, length: end - at, status: "?" };
        return;
      }
      const { offset, length } = first.next.value;
      if (offset > at) yield { offset: at, length: offset - at, status: "?" };
      yield { offset, length, status: first.status };
      at = offset + length;
      first.next = first.walk.next();
    }
  }

  /**
   * Moves borders between ranges that are not finished to whole units, as the source reads them: a unit gets the status that was tried least in it.
   * What is finished stays finished.
   */
  alignTo(unit: number): void {
    for (const status of ["-", "/", "*"] as const) {
      const before = this.#sets[status].clone();
      for (const range of before) {
        this.#evenOut(roundDown(range.offset, unit), unit);
        this.#evenOut(roundDown(endOf(range) - 1, unit), unit);
      }
    }
  }

  /** Gives what is not finished of a unit one status, the least tried of those it has. */
  #evenOut(offset: number, unit: number): void {
    const whole = { offset, length: Math.min(unit, this.size - offset) };
    const open = [...this.ranges(whole)].filter(({ status }) => status !== "+");
    const least = MAP_STATUSES.find((status) => open.some((range) => range.status === status));
    if (least !== undefined && open.some(({ status }) => status !== least))
      this.setUnfinished(whole, least);
  }
}
