/**
 * Unsettled: intents whose writes did not come to their end, because of a crash or because the medium or its disk failed.
 *
 * Settling one puts the kept neighbours back, leaves the marker over what is lost, flushes, and ends it. Until that worked:
 *
 * - reads see the kept bytes from here, whatever the medium holds (R2), and what is lost as lost (R1, R3);
 * - nothing is written: a later settling would put old bytes over it.
 */
import { endOf, RangeSet, roundDown, MediaError, type ByteRange } from "../base/index.ts";
import type { Intent } from "../poison/index.ts";
import type { Ledger, StateChanges } from "./ledger.ts";
import { fillMarker } from "./marker.ts";
import type { Media } from "./media.ts";
import { inState } from "./states.ts";

/** Bytes restored with one write. */
const CHUNK = 1024 * 1024;

interface Entry {
  readonly id: number | undefined;
  readonly intent: Intent;
  /** Set where the medium holds, durably, what these changes say, and only the record of the end is missing. */
  readonly done: StateChanges | undefined;
}

/** The unsettled intents of one device. */
export class Unsettled {
  readonly #media: Media;
  readonly #ledger: Ledger;
  #entries: Entry[] = [];
  #kept = new RangeSet();

  constructor(media: Media, ledger: Ledger) {
    this.#media = media;
    this.#ledger = ledger;
    for (const { id, intent } of ledger.store?.openIntents ?? [])
      this.add({ id, intent, done: undefined });
  }

  /** Whether there is nothing to settle. */
  get empty(): boolean {
    return this.#entries.length === 0;
  }

  /** Takes an intent over: its lost ranges, or what its end would call lost, count as lost from now on. */
  add(entry: Entry): void {
    const { intent, done } = entry;
    this.#entries.push(entry);
    for (const { offset, data } of intent.keep) this.#kept.add(offset, data.length);
    this.#ledger.markInMemory(done?.filter(({ state }) => state === "lost") ?? lost(intent));
  }

  /** The parts of a range whose bytes are kept here. */
  kept(range: ByteRange): ByteRange[] {
    return [...this.#kept.within(range.offset, range.length)];
  }

  /** Copies the kept bytes that belong into a read. */
  patch(into: Uint8Array, offset: number): void {
    for (const { intent } of this.#entries) {
      for (const piece of intent.keep) copyShared(piece, into, offset);
    }
  }

  /** Settles everything. @throws {StorageError} if the medium or the store fails; what was not settled stays here */
  settle(): void {
    while (this.#entries[0] !== undefined) {
      const { id, intent, done } = this.#entries[0];
      if (done === undefined) {
        const gone = restore(this.#media, intent);
        this.#ledger.endIntent(id, [...lost(intent), ...inState(gone, "lost")]);
      } else {
        this.#ledger.endIntent(id, done);
      }
      this.#entries.shift();
    }
    this.#kept.clear();
  }
}

function lost(intent: Intent): StateChanges {
  return inState(intent.lost, "lost");
}

function copyShared(
  piece: { readonly offset: number; readonly data: Uint8Array },
  into: Uint8Array,
  offset: number,
): void {
  const from = Math.max(piece.offset, offset);
  const to = Math.min(piece.offset + piece.data.length, offset + into.length);
  if (from < to)
    into.set(piece.data.subarray(from - piece.offset, to - piece.offset), from - offset);
}

/**
 * Puts the kept bytes of an intent back and the marker over the rest, in writes of whole clear units where the ranges are
 * whole (a disk takes no others), and flushes.
 *
 * @returns kept ranges that the medium no longer takes: their bytes are gone
 * @throws {StorageError} if the medium itself fails
 */
export function restore(media: Media, intent: Intent): ByteRange[] {
  const touched = RangeSet.from([
    ...intent.lost,
    ...intent.keep.map(({ offset, data }) => ({ offset, length: data.length })),
  ]);
  const { clearUnit } = media.capabilities;
  // Where single units are looked at before they are written, they are written one by one.
  const step =
    media.staysBad === undefined ? Math.max(roundDown(CHUNK, clearUnit), clearUnit) : clearUnit;
  for (const range of touched) restoreRange(media, { intent, range, step });
  media.flush();
  return intent.keep.flatMap((piece) => missingOf(media, piece));
}

function restoreRange(
  media: Media,
  part: { readonly intent: Intent; readonly range: ByteRange; readonly step: number },
): void {
  const { intent, range, step } = part;
  const { clearUnit } = media.capabilities;
  for (let at = range.offset; at < endOf(range);) {
    const end = Math.min(endOf(range), roundDown(at, step) + step);
    const chunk = { offset: at, length: end - at };
    // One unit that the medium refuses must not keep the others from being restored.
    if (!restoreChunk(media, intent, chunk) && step > clearUnit) {
      restoreRange(media, { intent, range: chunk, step: clearUnit });
    }
    at = end;
  }
}

/** @returns false where the medium refuses a part, and so may have taken nothing; the caller looks at what is there */
function restoreChunk(media: Media, intent: Intent, range: ByteRange): boolean {
  if (media.staysBad?.(range) === true) return true;
  const chunk = new Uint8Array(range.length);
  fillMarker(chunk, range.offset);
  for (const piece of intent.keep) copyShared(piece, chunk, range.offset);
  try {
    media.write(chunk, range.offset);
    return true;
  } catch (error) {
    if (!(error instanceof MediaError)) throw error;
    return false;
  }
}

/** The kept bytes that cannot be read back as they were. */
function missingOf(
  media: Media,
  piece: { readonly offset: number; readonly data: Uint8Array },
): ByteRange[] {
  const found = new Uint8Array(piece.data.length);
  let faults = media.readBack(found, piece.offset);
  // An error that passes must not end bytes that are there.
  if (faults.length > 0) faults = media.readBack(found, piece.offset);
  if (faults.length === 0 && Buffer.compare(found, piece.data) === 0) return [];
  const bad = RangeSet.from(faults);
  for (let at = 0; at < found.length; at += 1) {
    if (found[at] !== piece.data[at]) bad.add(piece.offset + at, 1);
  }
  return [...bad.within(piece.offset, piece.data.length)];
}
