/** Scan: reads everything, so that what was unread becomes clean, and what was latent becomes known. */
import { ProgressMeter, type ByteRange, type ProgressListener } from "../base/index.ts";
import { skippable, type ReadResult } from "../device/index.ts";
import { cleanPieces, readOrMissing } from "../donor/index.ts";
import type { Target } from "./target.ts";

/** Bytes of one read: large, because a disk likes it; what is bad in it is told byte by byte all the same. */
export const READ_SIZE: number = 4 * 1024 * 1024;

/** What is told while something is read. */
export interface ScanOptions {
  /** Told how far it is: phase, rate, remaining time, failing reads, current zone; at most ten times a second. */
  readonly onProgress?: ProgressListener;
  /** Called between reads; throws to end the work. */
  readonly checkpoint?: () => Promise<void>;
}

/**
 * Reads the whole target in recovery mode and records what came.
 *
 * @returns bytes that came and bytes that did not
 * @throws {StorageError} if the device itself fails
 */
export async function scan(
  target: Target,
  options: ScanOptions = {},
): Promise<{ read: number; missing: number }> {
  const { device } = target;
  const buffer = new Uint8Array(Math.min(READ_SIZE, device.size));
  const meter = new ProgressMeter(options.onProgress);
  const told = { phase: "reading", total: device.size };
  let read = 0;
  let failingReads = 0;
  for (let offset = 0; offset < device.size;) {
    await options.checkpoint?.();
    const hole = skippable(device, offset, READ_SIZE);
    const length = hole > 0 ? hole : Math.min(READ_SIZE, device.size - offset);
    const range: ByteRange = { offset, length };
    const missed = offset - read;
    meter.report({ ...told, done: offset, zone: range, failingReads, badBytes: missed });
    const known = hole > 0 ? 0 : knownBad(target, range);
    const clean = hole > 0 ? [range] : await readPieces(target, buffer.subarray(0, length), offset);
    for (const piece of clean) {
      device.recordRead(piece);
      read += piece.length;
    }
    offset += length;
    // What was known to be bad was not touched: only a read that missed more has failed.
    if (offset - read > missed + known) failingReads += 1;
  }
  meter.report({ ...told, done: device.size, failingReads, badBytes: device.size - read });
  return { read, missing: device.size - read };
}

/** Bytes of a range that are known to be bad before it is read. */
function knownBad({ device }: Target, range: ByteRange): number {
  let bytes = 0;
  if (!device.poison.empty) for (const { length } of device.poison.bad(range)) bytes += length;
  return bytes;
}

/** @returns what came */
async function readPieces(
  target: Target,
  into: Uint8Array,
  offset: number,
): Promise<readonly ByteRange[]> {
  const { missing } = await readAndRecord(target, into, offset);
  return cleanPieces({ offset, length: into.length }, missing);
}

/** Reads a range of the target, and puts on its list what is missing although no list names it, where the device did not. */
export async function readAndRecord(
  target: Target,
  into: Uint8Array,
  offset: number,
): Promise<ReadResult> {
  const { device } = target;
  const result = await readOrMissing(device, into, offset);
  for (const hole of result.missing) {
    if (hole.state === "unread") continue;
    const listed = [...device.poison.states(hole)];
    for (const part of listed) {
      if (part.state === "clean" || part.state === "unread") device.recordBad(part, hole.state);
    }
  }
  return result;
}
