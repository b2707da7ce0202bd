/** clear-without-data: ends poison where there is nothing to put in its place; what it ended is lost, and says so. */
import { endOf, MediaError, roundDown, type ByteRange } from "../base/index.ts";
import type { Intent } from "../poison/index.ts";
import { fillMarker } from "./marker.ts";
import { healError, type HealContext } from "./recovery-write.ts";

/** Bytes read back, or marked, at once. */
const CHUNK = 1024 * 1024;

/**
 * Ends poison without data, on request: the range is lost in the list before the medium is asked, and stays lost.
 *
 * @throws {MediaError} if the medium refuses, stops half-way or pretends; what it did not clear is what it was
 */
export function clearWithoutData(context: HealContext, range: ByteRange): void {
  const { media, ledger } = context;
  if (media.capabilities.clear === "none")
    throw healError(context, range, "the device cannot clear");
  const before = [...ledger.view.states(range)];
  const intent: Intent = { lost: [range], keep: [] };
  const id = ledger.beginIntent(intent);
  let cleared = 0;
  try {
    cleared = media.capabilities.clear === "overwrite" ? range.length : clearedBytes(media, range);
    const marked = writeMarker(media, { offset: range.offset, length: cleared });
    const lost = { offset: range.offset, length: marked, state: "lost" as const };
    ledger.endIntent(
      id,
      [...before, lost].filter((change) => change.length > 0),
    );
    cleared = marked;
  } catch (error) {
    context.unsettled.add({ id, intent, done: undefined });
    throw error;
  }
  if (cleared < range.length) {
    const rest = { offset: range.offset + cleared, length: range.length - cleared };
    throw healError(
      context,
      rest,
      cleared === 0
        ? "the device refuses to clear"
        : `the device cleared ${cleared} bytes of ${range.length}`,
    );
  }
}

/** Clears, and looks whether it is so before anything is written there. @returns bytes cleared, from the start */
function clearedBytes(media: HealContext["media"], range: ByteRange): number {
  const cleared = media.clear(range);
  const end = range.offset + cleared;
  const bytes = new Uint8Array(Math.min(CHUNK, cleared));
  for (let at = range.offset; at < end; at += CHUNK) {
    const faults = media.readBack(bytes.subarray(0, Math.min(CHUNK, end - at)), at);
    if (faults[0] === undefined) continue;
    return Math.max(0, roundDown(faults[0].offset, media.capabilities.clearUnit) - range.offset);
  }
  return cleared;
}

/** Writes the marker, and looks whether the medium has it. @returns bytes from the start that it has */
function writeMarker(media: HealContext["media"], range: ByteRange): number {
  const step = Math.max(
    CHUNK - (CHUNK % media.capabilities.clearUnit),
    media.capabilities.clearUnit,
  );
  const bytes = new Uint8Array(Math.min(step, range.length));
  let end = range.offset;
  try {
    for (; end < endOf(range); end = Math.min(end + step, endOf(range))) {
      const piece = bytes.subarray(0, Math.min(step, endOf(range) - end));
      fillMarker(piece, end);
      media.write(piece, end);
    }
  } catch (error) {
    if (!(error instanceof MediaError)) throw error;
  }
  media.flush();
  for (let at = range.offset; at < end; at += step) {
    const piece = bytes.subarray(0, Math.min(step, end - at));
    const faults = media.readBack(piece, at);
    if (faults[0] !== undefined) return Math.max(0, faults[0].offset - range.offset);
  }
  return end - range.offset;
}
