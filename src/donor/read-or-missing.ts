/** ReadOrMissing: how everything above the device reads: what is known bad is never touched, and what is not data is told as missing (R1). */
import { MediaError, RangeSet, type BadRange } from "../base/index.ts";
import { COMPLETE, thoroughMode, type Device, type ReadResult } from "../device/index.ts";

/**
 * Reads in recovery mode everything of a range that the device's list does not name. A device that throws for bad media all the same loses
 * what it names, not the program. Bytes past the end are missing, "unread": a copy may be cut off.
 *
 * @returns what is missing, in bytes of the device, ascending
 * @throws {StorageError} if the device itself fails
 */
export async function readOrMissing(
  device: Device,
  into: Uint8Array,
  offset: number,
): Promise<ReadResult> {
  const inside = Math.max(0, Math.min(into.length, device.size - offset));
  if (inside < into.length) {
    const first =
      inside === 0 ? COMPLETE : await readOrMissing(device, into.subarray(0, inside), offset);
    const behind: BadRange = {
      offset: offset + inside,
      length: into.length - inside,
      state: "unread",
    };
    return { missing: [...first.missing, behind] };
  }
  const range = { offset, length: into.length };
  const bad = device.poison.empty ? [] : [...device.poison.bad(range)];
  if (bad.length === 0) return await readPart(device, into, offset);
  const missing: BadRange[] = [...bad];
  for (const clean of RangeSet.from(bad).gaps(offset, into.length)) {
    const part = into.subarray(clean.offset - offset, clean.offset - offset + clean.length);
    missing.push(...(await readPart(device, part, clean.offset)).missing);
  }
  return { missing: missing.sort((one, other) => one.offset - other.offset) };
}

async function readPart(device: Device, into: Uint8Array, offset: number): Promise<ReadResult> {
  try {
    return await device.read(into, offset, thoroughMode(device));
  } catch (error) {
    if (error instanceof MediaError) return { missing: error.ranges };
    throw error;
  }
}
