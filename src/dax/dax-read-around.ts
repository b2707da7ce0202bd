/** dax-read-around: every clean byte of a range, and the holes, in one call: a recovery read that does not stop. */
import { endOf, type BadRange } from "../base/index.ts";
import type { DaxFile } from "./dax-file.ts";

/**
 * Reads around what is bad. Holes and unwritten extents of the file are zeros, and no holes of the answer.
 *
 * @returns bytes of the request inside the file, and what of them is missing, in bytes of the file; `into` there is as it was
 */
export function daxReadAround(
  file: DaxFile,
  into: Uint8Array,
  offset: number,
): { readonly length: number; readonly holes: readonly BadRange[] } {
  const end = Math.min(offset + into.length, file.size);
  const holes: BadRange[] = [];
  for (let position = offset; position < end;) {
    const index = file.extents.find(position);
    const stop = index < 0 ? end : Math.min(end, file.extents.stop(index));
    const kind = index < 0 ? "hole" : file.extents.kind(index);
    const piece = into.subarray(position - offset, stop - offset);
    if (kind === "hole" || kind === "unwritten") piece.fill(0);
    else if (kind === "unknown")
      holes.push({ offset: position, length: stop - position, state: "unread" });
    else {
      const shift = position - file.extents.deviceOf(index, position);
      for (const bad of pieceAround(file, piece, position - shift))
        holes.push({ ...bad, offset: bad.offset + shift });
    }
    position = stop;
  }
  return { length: Math.max(0, end - offset), holes: joinHoles(holes) };
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

/** Joins neighbours of one state: an extent's end is no border of damage. */
export function joinHoles(holes: readonly BadRange[]): BadRange[] {
  const result: BadRange[] = [];
  for (const hole of holes) {
    const last = result.at(-1);
    if (last !== undefined && last.state === hole.state && endOf(last) === hole.offset)
      result[result.length - 1] = { ...last, length: last.length + hole.length };
    else result.push(hole);
  }
  return result;
}
