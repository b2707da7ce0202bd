/** dax-read-around: a recovery read of memory that does not stop: every clean byte of a range, and the holes. */
import type { BadRange } from "../base/index.ts";
import type { DaxFile } from "./dax-file.ts";
import { dataPieces, readAroundOf, type ReadAround } from "./read-around.ts";

/** Reads around what is bad. Holes and unwritten extents of the file are zeros, and no holes of the answer. */
export function daxReadAround(file: DaxFile, into: Uint8Array, offset: number): ReadAround {
  const holes: BadRange[] = [];
  for (const piece of dataPieces(file, { into, offset }, holes)) {
    for (const bad of pieceAround(file, piece.into, piece.at))
      holes.push({ ...bad, offset: bad.offset + piece.shift });
  }
  return readAroundOf(file, { into, offset }, holes);
}

/** @returns the missing parts, in bytes of the device */
function* pieceAround(file: DaxFile, piece: Uint8Array, at: number): Generator<BadRange> {
  for (let done = 0; done < piece.length;) {
    done += file.direct.loadUpTo(piece.subarray(done), at + done, "recovery");
    if (done === piece.length) return;
    const hole = badAt(file, at + done, piece.length - done);
    yield hole;
    done += hole.length;
  }
}

/** The bad range that begins at a byte where a read stopped. */
function badAt(file: DaxFile, offset: number, length: number): BadRange {
  for (const bad of file.device.poison.bad({ offset, length })) {
    if (bad.offset === offset) return bad;
    break;
  }
  // It stopped there though the list does not name it: what nobody can tell is one byte that was not read.
  return { offset, length: 1, state: "unread" };
}
