/**
 * listed-reader: reads by the list: what it names is never asked of the medium, what the medium fails to give joins it (R1), and an
 * empty list is not looked into (R6). Bytes that an open intent keeps come from the intent, whatever the medium holds.
 */
import {
  endOf,
  isPromise,
  RangeSet,
  type BadRange,
  type ByteRange,
  type MaybePromise,
} from "../base/index.ts";
import { confirmFaults, merged, type CarefulContext } from "./careful-read.ts";
import { COMPLETE, type AccessMode, type ReadResult } from "./device.ts";
import type { InFlight } from "./in-flight.ts";
import type { Faults } from "./media.ts";
import type { Unsettled } from "./unsettled.ts";

/** What reading works on. */
export interface ReadContext extends CarefulContext {
  readonly unsettled: Unsettled;
}

/** One read under way. */
interface Reading {
  readonly into: Uint8Array;
  readonly offset: number;
  readonly mode: AccessMode;
  readonly missing: BadRange[];
  /** What the list does not name, and the medium is asked for. */
  readonly pieces: readonly ByteRange[];
}

/** The reading half of a device. Callers check ranges. */
export class ListedReader {
  readonly #context: ReadContext;
  readonly #inFlight: InFlight;

  constructor(context: ReadContext, inFlight: InFlight) {
    this.#context = context;
    this.#inFlight = inFlight;
  }

  /** As `Device.read`. */
  read(into: Uint8Array, offset: number, mode: AccessMode): MaybePromise<ReadResult> {
    if (!this.#isGood(offset, into.length)) return this.#run(this.#reading(into, offset, mode), 0);
    const faults = this.#context.media.read(into, offset);
    if (!isPromise(faults) && faults.length === 0) return COMPLETE;
    const reading = wholeReading(into, offset, mode);
    return isPromise(faults) ? this.#later(faults, reading, 0) : this.#next(faults, reading, 0);
  }

  /** The same on this thread, without simulated delay. */
  readSync(into: Uint8Array, offset: number, mode: AccessMode): ReadResult {
    const reading = this.#isGood(offset, into.length)
      ? wholeReading(into, offset, mode)
      : this.#reading(into, offset, mode);
    for (const piece of reading.pieces) {
      const faults = this.#context.media.readSync(part(reading, piece), piece.offset);
      this.#note(faults, reading, piece);
      if (mode === "failFast" && reading.missing.length > 0) break;
    }
    return this.#finish(reading);
  }

  /** What a plain read of good bytes gives whose one attempt met these faults. */
  confirmed(faults: Faults, into: Uint8Array, offset: number): ReadResult {
    const reading = wholeReading(into, offset, "access");
    this.#note(faults, reading, { offset, length: into.length });
    return this.#finish(reading);
  }

  #isGood(offset: number, length: number): boolean {
    const { ledger, unsettled } = this.#context;
    return unsettled.empty && (ledger.list.empty || !ledger.list.hasBad(offset, length));
  }

  /** What the list and the kept bytes leave to ask the medium for; in "failFast" only up to the first bad byte. */
  #reading(into: Uint8Array, offset: number, mode: AccessMode): Reading {
    const window = { offset, length: into.length };
    const missing: BadRange[] = [];
    const known = RangeSet.from(this.#context.unsettled.kept(window));
    for (const bad of this.#context.ledger.view.bad(window)) {
      missing.push(bad);
      known.add(bad.offset, bad.length);
      if (mode === "failFast") break;
    }
    const first = missing[0];
    const length = mode === "failFast" && first !== undefined ? first.offset - offset : into.length;
    return { into, offset, mode, missing, pieces: [...known.gaps(offset, length)] };
  }

  #run(reading: Reading, from: number): MaybePromise<ReadResult> {
    for (let index = from; index < reading.pieces.length; index += 1) {
      const piece = reading.pieces[index] as ByteRange;
      const faults = this.#context.media.read(part(reading, piece), piece.offset);
      if (isPromise(faults)) return this.#later(faults, reading, index);
      this.#note(faults, reading, piece);
      if (reading.mode === "failFast" && faults.length > 0) break;
    }
    return this.#finish(reading);
  }

  #next(faults: Faults, reading: Reading, index: number): MaybePromise<ReadResult> {
    const piece = reading.pieces[index];
    if (piece !== undefined) this.#note(faults, reading, piece);
    if (reading.mode === "failFast" && faults.length > 0) return this.#finish(reading);
    return this.#run(reading, index + 1);
  }

  async #later(answer: Promise<Faults>, reading: Reading, index: number): Promise<ReadResult> {
    const pass = this.#inFlight.begin({ offset: reading.offset, length: reading.into.length });
    try {
      const faults = await answer;
      if (!pass.stale) return await this.#next(faults, reading, index);
      return this.readSync(reading.into, reading.offset, reading.mode);
    } finally {
      this.#inFlight.end(pass);
    }
  }

  #note(faults: Faults, reading: Reading, piece: ByteRange): void {
    if (faults.length === 0) return;
    const request = { into: part(reading, piece), offset: piece.offset, mode: reading.mode };
    for (const bad of confirmFaults(this.#context, faults, request)) reading.missing.push(bad);
  }

  #finish(reading: Reading): ReadResult {
    this.#context.unsettled.patch(reading.into, reading.offset);
    if (reading.missing.length === 0) return COMPLETE;
    const missing = merged(reading.missing);
    const first = missing[0];
    if (reading.mode !== "failFast" || first === undefined) return { missing };
    const end = reading.offset + reading.into.length;
    const rest = { offset: endOf(first), length: end - endOf(first), state: "unread" as const };
    return { missing: rest.length === 0 ? [first] : merged([first, rest]) };
  }
}

function wholeReading(into: Uint8Array, offset: number, mode: AccessMode): Reading {
  return { into, offset, mode, missing: [], pieces: [{ offset, length: into.length }] };
}

function part(reading: Reading, piece: ByteRange): Uint8Array {
  const start = piece.offset - reading.offset;
  return reading.into.subarray(start, start + piece.length);
}
