/** block-read-around: every clean byte of a range of a file on any device, and the holes, in one call. */
import type { BadRange } from "../base/index.ts";
import { joinHoles } from "../dax/index.ts";
import type { BlockFile } from "./block-read.ts";

/**
 * Reads around what is bad. Holes and unwritten extents of the file are zeros, and no holes of the answer.
 *
 * @returns bytes of the request inside the file, and what of them is missing, in bytes of the file; `into` there is as it was
 */
export async function blockReadAround(
  file: BlockFile,
  into: Uint8Array,
  offset: number,
): Promise<{ readonly length: number; readonly holes: readonly BadRange[] }> {
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
      const at = file.extents.deviceOf(index, position);
      const { missing } = await file.device.read(piece, at, "recovery");
      for (const bad of missing) holes.push({ ...bad, offset: bad.offset + position - at });
    }
    position = stop;
  }
  return { length: Math.max(0, end - offset), holes: joinHoles(holes) };
}
