/** mend(): makes the checksum of an XFS structure right after a change, so that nobody sees it. */
import { crc32c } from "../../../../src/base/index.ts";

/** Writes the checksum of a whole structure into its own four bytes at `place`. */
export function mend(structure: Uint8Array, place: number): void {
  const view = new DataView(structure.buffer, structure.byteOffset, structure.byteLength);
  view.setUint32(place, 0);
  view.setUint32(place, ~crc32c(structure, 0xffff_ffff) >>> 0, true);
}
