/**
 * read-around: every clean byte of a range of a file, and the holes, in one call: the walk over its extents, for whoever reads the data.
 */
import { endOf, type BadRange } from "../base/index.ts";
import type { DaxFile } from "./dax-file.ts";

/** What a read around bad bytes got. Offsets are the file's. */
export interface ReadAround {
  /** Bytes of the request inside the file. */
  readonly length: number;
  /** What of them is missing: ascending, apart. `into` there is as it was. */
  readonly holes: readonly BadRange[];
}

/** A part of the request that lies on the device. */
export interface DataPiece {
  /** The part of `into`. */
  readonly into: Uint8Array;
  /** First byte on the device. */
  readonly at: number;
  /** Offset in the file minus offset on the device. */
  readonly shift: number;
}

/**
 * Walks the extents of a request. Holes and unwritten ones become zeros, a part whose map cannot be read joins `holes`; what lies on the
 * device is left to the caller, who adds to `holes` what is bad of it, in bytes of the file.
 */
export function* dataPieces(
  file: Pick<DaxFile, "extents" | "size">,
  request: { readonly into: Uint8Array; readonly offset: number },
  holes: BadRange[],
): Generator<DataPiece> {
  const { into, offset } = request;
  const end = Math.min(offset + into.length, file.size);
  for (let position = offset; position < end;) {
    const index = file.extents.find(position);
    const stop = index < 0 ? end : Math.min(end, file.extents.stop(index));
    const kind = index < 0 ? "hole" : file.extents.kind(index);
    const piece = into.subarray(position - offset, stop - offset);
    if (kind === "hole" || kind === "unwritten") piece.fill(0);
    else if (kind === "unknown")
      holes.push({ offset: position, length: stop - position, state: "unread" });
    else {
      const at = file.extents.deviceOf(index, position);
      yield { into: piece, at, shift: position - at };
    }
    position = stop;
  }
}

/** The answer of a walk that is over: an extent's end is no border of damage, so neighbours of one state are one hole. */
export function readAroundOf(
  file: Pick<DaxFile, "size">,
  request: { readonly into: Uint8Array; readonly offset: number },
  holes: readonly BadRange[],
): ReadAround {
  const { into, offset } = request;
  const joined: BadRange[] = [];
  for (const hole of holes) {
    const last = joined.at(-1);
    if (last !== undefined && last.state === hole.state && endOf(last) === hole.offset)
      joined[joined.length - 1] = { ...last, length: last.length + hole.length };
    else joined.push(hole);
  }
  const length = Math.max(0, Math.min(offset + into.length, file.size) - offset);
  return { length, holes: joined };
}
