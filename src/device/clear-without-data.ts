/** clear-without-data: ends poison where there is nothing to put in its place; what it ended is lost, and says so. */
import { endOf, intersect, MediaError, roundDown, type ByteRange } from "../base/index.ts";
import type { Intent, StateRange } from "../poison/index.ts";
import type { StateChanges } from "./ledger.ts";
import { fillMarker } from "./marker.ts";
import { healError, type HealContext } from "./recovery-write.ts";
import { inState, isBad } from "./states.ts";

/** Bytes read back, or marked, at once. */
const CHUNK = 1024 * 1024;

/** How far a clear came, in bytes from the start of its range. */
interface Progress {
  /** It is proven up to here. */
  readonly cleared: number;
  /** Up to here nothing may be left of what was there. */
  readonly touched: number;
}

/**
 * Ends poison without data, on request: the range is lost in the list before the medium is asked, and stays lost.
 *
 * @returns bytes cleared, from the start of the range; fewer where the medium refuses, stops half-way or pretends: what was bad behind them
 *   is what it was, and good bytes that the medium may have taken all the same are lost
 * @throws {MediaError} if the device cannot clear
 */
export function clearWithoutData(context: HealContext, range: ByteRange): number {
  const { media, ledger } = context;
  if (media.capabilities.clear === "none")
    throw healError(context, range, "the device cannot clear");
  const before = [...ledger.view.states(range)];
  const intent: Intent = { lost: [range], keep: [] };
  const id = ledger.beginIntent(intent);
  let cleared = 0;
  let done: StateChanges | undefined;
  try {
    const first = clearUnits(media, range);
    const marked = writeMarker(media, { offset: range.offset, length: first.cleared });
    cleared = marked.cleared;
    const touched = { offset: range.offset, length: Math.max(first.touched, marked.touched) };
    // Set before the end is tried: one that failed may be on the disk all the same, so nothing else may be said later.
    done = changesOf(before, { offset: range.offset, length: cleared }, touched);
    ledger.endIntent(id, done);
  } catch (error) {
    context.unsettled.add({ id, intent, done });
    throw error;
  }
  return cleared;
}

/** Why a clear did not come to its end. */
export function clearFailure(context: HealContext, range: ByteRange, cleared: number): MediaError {
  const rest = { offset: range.offset + cleared, length: range.length - cleared };
  return healError(
    context,
    rest,
    cleared === 0
      ? "the device refuses to clear"
      : `the device cleared ${cleared} bytes of ${range.length}`,
  );
}

/** The states that a clear leaves: lost where it is proven or took good bytes, what they were elsewhere. */
function changesOf(
  before: readonly StateRange[],
  cleared: ByteRange,
  touched: ByteRange,
): StateChanges {
  const taken = before.flatMap(
    (part) => intersect(isBad(part.state) ? cleared : touched, part) ?? [],
  );
  return [...before, ...inState([...taken, cleared], "lost")].filter(({ length }) => length > 0);
}

/** Clears, and looks whether it is so before anything is written there. */
function clearUnits(media: HealContext["media"], range: ByteRange): Progress {
  const { clear, clearUnit } = media.capabilities;
  if (clear === "overwrite") return { cleared: range.length, touched: 0 };
  const answered = media.clear(range);
  const fault = firstFault(media, { offset: range.offset, length: answered });
  const cleared =
    fault === undefined ? answered : Math.max(0, roundDown(fault, clearUnit) - range.offset);
  return { cleared, touched: clear === "pretends" ? 0 : answered };
}

/** Writes the marker, and looks whether the medium has it. */
function writeMarker(media: HealContext["media"], range: ByteRange): Progress {
  const { clearUnit } = media.capabilities;
  const step = Math.max(roundDown(CHUNK, clearUnit), clearUnit);
  const bytes = new Uint8Array(Math.min(step, range.length));
  let written = range.offset;
  let touched = range.offset;
  try {
    while (written < endOf(range)) {
      const piece = bytes.subarray(0, Math.min(step, endOf(range) - written));
      touched = written + piece.length;
      fillMarker(piece, written);
      media.write(piece, written);
      written = touched;
    }
  } catch (error) {
    if (!(error instanceof MediaError)) throw error;
  }
  media.flush();
  const fault = firstFault(media, { offset: range.offset, length: written - range.offset });
  return {
    cleared: Math.max(0, (fault ?? written) - range.offset),
    touched: touched - range.offset,
  };
}

/** The first byte that cannot be read back, twice: an error that passes proves nothing. */
function firstFault(media: HealContext["media"], range: ByteRange): number | undefined {
  const bytes = new Uint8Array(Math.min(CHUNK, range.length));
  for (let at = range.offset; at < endOf(range); at += CHUNK) {
    const piece = bytes.subarray(0, Math.min(CHUNK, endOf(range) - at));
    if (media.readBack(piece, at).length === 0) continue;
    const fault = media.readBack(piece, at)[0];
    if (fault !== undefined) return fault.offset;
  }
  return undefined;
}
