/**
 * markersIn(): bytes of a read that are no data, because a marker says that they were lost: a server that knows nothing of poison gives the marker of
 * an image that has been copied without its list, or on which we cleared a range, as if it were content (R1).
 */
import { endOf, RangeSet, roundDown, roundUp, type ByteRange } from "../../base/index.ts";
import { findMarkers, isPieceOfMarker, MARKER_SIZE, mayHoldMarker } from "../marker.ts";
import type { NbdReader } from "./reader.ts";

/** What a read gave. */
export interface GivenBytes {
  readonly bytes: Uint8Array;
  readonly offset: number;
  /** What of it did not come. */
  readonly missing: readonly ByteRange[];
}

/** The markers in what a read gave. @param size bytes of the export, for the patterns that a read cuts: they are read whole */
export async function markersIn(
  reader: NbdReader,
  given: GivenBytes,
  size: number,
): Promise<readonly ByteRange[]> {
  const { bytes, offset, missing } = given;
  const isWhole = offset % MARKER_SIZE === 0 && bytes.length % MARKER_SIZE === 0;
  if (isWhole && missing.length === 0 && !mayHoldMarker(bytes)) return [];
  const found = new RangeSet();
  for (const part of RangeSet.from(missing).gaps(offset, bytes.length)) {
    const start = roundUp(part.offset, MARKER_SIZE);
    const end = Math.max(start, roundDown(endOf(part), MARKER_SIZE));
    const piece = (from: number, to: number): Uint8Array =>
      bytes.subarray(from - offset, Math.max(from, to) - offset);
    const whole = piece(Math.min(start, endOf(part)), Math.min(end, endOf(part)));
    const markers = mayHoldMarker(whole) ? findMarkers(whole, start) : [];
    for (const marker of markers) found.add(marker.offset, marker.length);
    const cut: number[] = [];
    if (markers[0]?.offset === start) cut.push(start - MARKER_SIZE);
    if (isPieceOfMarker(piece(part.offset, Math.min(start, endOf(part))), part.offset))
      cut.push(start - MARKER_SIZE);
    if (end < endOf(part) && isPieceOfMarker(piece(end, endOf(part)), end)) cut.push(end);
    for (const at of cut)
      for (const marker of await around(reader, at, size)) found.add(marker.offset, marker.length);
  }
  return [...found.within(offset, bytes.length)];
}

/** A pattern that a read cut, and the one behind it, which tells that this one's end is one. */
async function around(reader: NbdReader, at: number, size: number): Promise<ByteRange[]> {
  if (at < 0) return [];
  const bytes = new Uint8Array(Math.min(2 * MARKER_SIZE, size - at));
  return (await reader.fetch(bytes, at)).length > 0 ? [] : findMarkers(bytes, at);
}
