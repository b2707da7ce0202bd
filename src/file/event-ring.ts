/**
 * event-ring: what happens to a mapping, in a ring of fixed size, instead of signals.
 *
 * A ring that is full keeps what it has, as io_uring's completion queue does: the first errors of a storm say most. What came later is
 * counted, and the range that it lay in is kept, so that nothing is dropped in silence.
 */
import { endOf, type ByteRange } from "../base/index.ts";

/** Something that happened to a mapping. Offsets are the mapping's. */
export interface MappingEvent {
  /**
   * - "required": an access of this mapping met poison (BUS_MCEERR_AR; BUS_ADRERR)
   * - "optional": somebody else met poison in what is mapped (BUS_MCEERR_AO)
   * - "healed": data is durable over what was bad
   */
  readonly kind: "required" | "optional" | "healed";
  /** `si_code` of the signal; `undefined` for "healed", which is none. */
  readonly siCode: number | undefined;
  /** `si_addr`; the first byte of the range, or of what the access did not get. */
  readonly address: number;
  /** `si_addr_lsb`; `undefined` for "healed" and BUS_ADRERR. */
  readonly lsb: number | undefined;
  readonly range: ByteRange;
}

/** What a ring held. */
export interface RingContent {
  /** In the order in which they came. */
  readonly events: readonly MappingEvent[];
  /** Events that found the ring full. */
  readonly overflow: number;
  /** What holds the ranges of all those; `undefined` where there were none. */
  readonly overflowRange: ByteRange | undefined;
}

/** Events that a ring holds where nothing else is asked for. */
export const RING_CAPACITY = 64;

const CAPACITY_MAX = 65_536;

/** Checks a capacity. @throws {RangeError} if it is not a whole number from 1 to 65,536 */
export function checkCapacity(capacity: number): number {
  if (Number.isInteger(capacity) && capacity >= 1 && capacity <= CAPACITY_MAX) return capacity;
  throw new RangeError(
    `Cannot make an event ring: want a capacity from 1 to ${CAPACITY_MAX}: got ${capacity}`,
  );
}

/** A ring of events. */
export class EventRing {
  readonly #capacity: number;
  #events: MappingEvent[] = [];
  #overflow = 0;
  #overflowRange: ByteRange | undefined;
  #required = 0;

  /** @throws {RangeError} if the capacity is not a whole number from 1 to 65,536 */
  constructor(capacity: number) {
    this.#capacity = checkCapacity(capacity);
  }

  /** "required" events so far, the overflowed ones too. */
  get required(): number {
    return this.#required;
  }

  push(event: MappingEvent): void {
    if (event.kind === "required") this.#required += 1;
    if (this.#events.length < this.#capacity) this.#events.push(event);
    else this.#overflowed(event.range, 1);
  }

  /** Takes what another ring holds. */
  add(other: EventRing): void {
    const required = this.#required + other.required;
    const { events, overflow, overflowRange } = other.take();
    for (const event of events) this.push(event);
    if (overflowRange !== undefined) this.#overflowed(overflowRange, overflow);
    this.#required = required;
  }

  /** Takes everything out. */
  take(): RingContent {
    const content = {
      events: this.#events,
      overflow: this.#overflow,
      overflowRange: this.#overflowRange,
    };
    this.#events = [];
    this.#overflow = 0;
    this.#overflowRange = undefined;
    this.#required = 0;
    return content;
  }

  #overflowed(range: ByteRange, count: number): void {
    this.#overflow += count;
    const before = this.#overflowRange ?? range;
    const offset = Math.min(before.offset, range.offset);
    this.#overflowRange = {
      offset,
      length: Math.max(endOf(before), endOf(range)) - offset,
    };
  }
}
