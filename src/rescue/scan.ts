/** Scan: reads everything, so that what was unread becomes clean, and what was latent becomes known. */
import { RangeSet, type ByteRange } from "../base/index.ts";
import { cleanPieces, readOrMissing } from "../donor/index.ts";
import type { Target } from "./target.ts";

/** Bytes of one read: large, because a disk likes it; what is bad in it is told byte by byte all the same. */
export const READ_SIZE: number = 4 * 1024 * 1024;

/** What is told while something is read. */
export interface ScanOptions {
  /** Called after every read with bytes done and bytes wanted. */
  readonly onProgress?: (done: number, total: number) => void;
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
  let read = 0;
  for (let offset = 0; offset < device.size; offset += READ_SIZE) {
    await options.checkpoint?.();
    const range: ByteRange = { offset, length: Math.min(READ_SIZE, device.size - offset) };
    const { missing } = await readOrMissing(device, buffer.subarray(0, range.length), offset);
    for (const piece of cleanPieces(range, missing)) {
      recordUnread(target, piece);
      read += piece.length;
    }
    options.onProgress?.(offset + range.length, device.size);
  }
  return { read, missing: device.size - read };
}

/** Records a range as read where it was unread: what is clean already needs no record. */
export function recordUnread(target: Target, range: ByteRange): void {
  const unread = new RangeSet();
  for (const part of target.device.poison.states(range))
    if (part.state === "unread") unread.add(part.offset, part.length);
  for (const part of unread) target.device.recordRead(part);
}
