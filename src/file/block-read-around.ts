/** block-read-around: a recovery read of any device that does not stop: every clean byte of a range of a file, and the holes. */
import type { BadRange } from "../base/index.ts";
import { dataPieces, readAroundOf, type ReadAround } from "../dax/index.ts";
import type { BlockFile } from "./block-read.ts";

/** Reads around what is bad. Holes and unwritten extents of the file are zeros, and no holes of the answer. */
export async function blockReadAround(
  file: BlockFile,
  into: Uint8Array,
  offset: number,
): Promise<ReadAround> {
  const holes: BadRange[] = [];
  for (const piece of dataPieces(file, { into, offset }, holes)) {
    const { missing } = await file.device.read(piece.into, piece.at, "recovery");
    for (const bad of missing) holes.push({ ...bad, offset: bad.offset + piece.shift });
  }
  return readAroundOf(file, { into, offset }, holes);
}
