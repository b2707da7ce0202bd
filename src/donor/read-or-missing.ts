/**
 * ReadOrMissing: how everything above the device reads: what is known bad is never touched, and what is not data is told as missing (R1).
 *
 * An image that was copied without its sidecar has markers where bytes are gone. On a device that does not keep a list of everything itself
 * they are looked for in every read of bytes that nobody has read yet, the target's and the donors' alike.
 */
import { alignOut, MediaError, RangeSet, type BadRange, type ByteRange } from "../base/index.ts";
import {
  findMarkers,
  MARKER_SIZE,
  thoroughMode,
  type Device,
  type ReadResult,
} from "../device/index.ts";

/** The first bytes of every marker: found with one search, before anything is looked at closely. */
const MAGIC = "theriac: lost bytes\n";

/**
 * Reads in recovery mode everything of a range that the device's list does not name. A device that throws for bad media all the same loses
 * what it names, not the program.
 *
 * @returns what is missing, in bytes of the device, ascending
 * @throws {StorageError} if the device itself fails
 */
export async function readOrMissing(
  device: Device,
  into: Uint8Array,
  offset: number,
): Promise<ReadResult> {
  const range = { offset, length: into.length };
  const bad = device.poison.empty ? [] : [...device.poison.bad(range)];
  if (bad.length === 0) return await readClean(device, into, offset);
  const missing: BadRange[] = [...bad];
  for (const clean of RangeSet.from(bad).gaps(offset, into.length)) {
    const part = into.subarray(clean.offset - offset, clean.offset - offset + clean.length);
    missing.push(...(await readClean(device, part, clean.offset)).missing);
  }
  return { missing: missing.sort((one, other) => one.offset - other.offset) };
}

/** Reads a range that the list does not name. */
async function readClean(device: Device, into: Uint8Array, offset: number): Promise<ReadResult> {
  const result = await readPart(device, into, offset);
  if (device.capabilities.mediated) return result;
  const markers = await markersIn(device, into, offset);
  return markers.length === 0 ? result : { missing: withMarkers(result.missing, markers) };
}

async function readPart(device: Device, into: Uint8Array, offset: number): Promise<ReadResult> {
  try {
    return await device.read(into, offset, thoroughMode(device));
  } catch (error) {
    if (error instanceof MediaError) return { missing: error.ranges };
    throw error;
  }
}

/** The markers in bytes that were read; a read that cuts one is made whole, because a part of a marker cannot be told. */
async function markersIn(
  device: Device,
  bytes: Uint8Array,
  offset: number,
): Promise<readonly ByteRange[]> {
  const wide = alignOut({ offset, length: bytes.length }, MARKER_SIZE);
  const whole = wide.length === bytes.length || wide.offset + wide.length > device.size;
  if (whole || [...device.poison.bad(wide)].length > 0) return search(bytes, offset);
  const around = new Uint8Array(wide.length);
  await readPart(device, around, wide.offset);
  return [...RangeSet.from(search(around, wide.offset)).within(offset, bytes.length)];
}

function search(bytes: Uint8Array, offset: number): readonly ByteRange[] {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return buffer.includes(MAGIC) ? findMarkers(bytes, offset) : [];
}

function withMarkers(
  missing: readonly BadRange[],
  markers: readonly ByteRange[],
): readonly BadRange[] {
  const known = RangeSet.from(missing);
  const all: BadRange[] = [...missing];
  for (const marker of markers) {
    for (const { offset, length } of known.gaps(marker.offset, marker.length)) {
      all.push({ offset, length, state: "poisoned" });
    }
  }
  return all.sort((one, other) => one.offset - other.offset);
}
