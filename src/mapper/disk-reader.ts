/** DiskReader: small structures read from a device, with the exact bytes that are missing, so that one bad byte hides no more. */
import { intersect, type BadRange, type ByteRange } from "../base/index.ts";
import { thoroughMode, type Device } from "../device/index.ts";

/** Bytes of a disk, some of them perhaps missing. */
export class DiskBytes {
  /** Where they begin on the disk. */
  readonly offset: number;
  /** The bytes; missing ones are zeros. */
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly missing: readonly BadRange[];

  constructor(offset: number, bytes: Uint8Array, missing: readonly BadRange[]) {
    this.offset = offset;
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.missing = missing;
  }

  /** Whether all of `[at, at + length)` is there; `at` counts from the start of these bytes. */
  has(at: number, length: number): boolean {
    if (at < 0 || at + length > this.bytes.length) return false;
    const range: ByteRange = { offset: this.offset + at, length };
    return this.missing.every((hole) => intersect(hole, range) === undefined);
  }

  /** A little-endian 64-bit number; numbers past 2^53 come back as infinity, which no bound lets through. */
  lba(at: number): number {
    const value = Number(this.view.getBigUint64(at, true));
    return Number.isSafeInteger(value) ? value : Number.POSITIVE_INFINITY;
  }

  /** Latin-1 text. */
  text(at: number, length: number): string {
    return String.fromCharCode(...this.bytes.subarray(at, at + length));
  }
}

/**
 * Reads `[offset, offset + length)`, clipped to the device; missing bytes are zeroed, because a device leaves them as they were.
 *
 * @throws {StorageError} if the device itself fails
 */
export async function readDisk(device: Device, offset: number, length: number): Promise<DiskBytes> {
  const bytes = new Uint8Array(Math.max(0, Math.min(length, device.size - offset)));
  if (bytes.length === 0) return new DiskBytes(offset, bytes, []);
  const { missing } = await device.read(bytes, offset, thoroughMode(device));
  for (const hole of missing)
    bytes.fill(0, hole.offset - offset, hole.offset - offset + hole.length);
  return new DiskBytes(offset, bytes, missing);
}
