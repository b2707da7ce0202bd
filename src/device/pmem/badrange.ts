/**
 * Badrange: a list of bad byte ranges as drivers/nvdimm/badrange.c keeps it for a bus, and firmware for itself: in order of arrival, not
 * merged, at most so many. Not the truth about a device (that is its list), but what one party was told and has room for.
 */
import {
  alignOut,
  endOf,
  intersect,
  SECTOR,
  systemClock,
  type ByteRange,
  type Clock,
} from "../../base/index.ts";
import type { BadblocksTable } from "../../poison/index.ts";

/** What a list has room for. */
export interface BadrangeOptions {
  /** Most records: the bus has no limit, nfit_test reports 170 (one page of them), a CXL device says how many. @default Infinity */
  readonly limit?: number;
  /** Tells the time of an overflow. @default the machine's */
  readonly clock?: Clock;
}

/** A list of bad ranges. Bytes. */
export class Badrange {
  readonly #limit: number;
  readonly #clock: Clock;
  #records: ByteRange[] = [];
  #overflowedAtMs: number | undefined;

  constructor(options: BadrangeOptions = {}) {
    this.#limit = options.limit ?? Infinity;
    this.#clock = options.clock ?? systemClock;
  }

  /** When a record first found no room, in milliseconds since 1970; `undefined` where none did. From then on the list is not whole. */
  get overflowedAtMs(): number | undefined {
    return this.#overflowedAtMs;
  }

  /** The records, in order of arrival. They may overlap. */
  get records(): readonly ByteRange[] {
    return this.#records;
  }

  /**
   * Adds a range (`add_badrange`): one that begins where a record does replaces its length, which may shrink it; any other is appended.
   *
   * @returns whether there was room
   */
  add(range: ByteRange): boolean {
    const { offset, length } = range;
    const known = this.#records.findIndex((record) => record.offset === offset);
    if (known >= 0) this.#records[known] = { offset, length };
    else if (this.#records.length < this.#limit) this.#records.push({ offset, length });
    else {
      this.#overflowedAtMs ??= this.#clock.now();
      return false;
    }
    return true;
  }

  /** Takes a range out of every record (`badrange_forget`); one that is cut in its middle becomes two. */
  forget(range: ByteRange): void {
    this.#records = this.#records.flatMap((record) => {
      const shared = intersect(record, range);
      if (shared === undefined) return [record];
      const head = { offset: record.offset, length: shared.offset - record.offset };
      const tail = { offset: endOf(shared), length: endOf(record) - endOf(shared) };
      return [head, tail].filter((part) => part.length > 0);
    });
  }

  /** Forgets everything, and that it overflowed: a new scan begins. */
  clear(): void {
    this.#records = [];
    this.#overflowedAtMs = undefined;
  }

  /**
   * Adds what of the list lies in a namespace to its driver's table (`badblocks_populate`): starts rounded down, ends up, acked, from the
   * start of the window. It only adds.
   *
   * @returns whether all found room; Linux only logs that it did not
   */
  populate(table: BadblocksTable, window: ByteRange): boolean {
    let isWhole = true;
    for (const record of this.#records) {
      const part = intersect(record, window);
      if (part === undefined) continue;
      const inside = { offset: part.offset - window.offset, length: part.length };
      const { offset, length } = alignOut(inside, SECTOR);
      if (!table.set(offset / SECTOR, length / SECTOR)) isWhole = false;
    }
    return isWhole;
  }
}
