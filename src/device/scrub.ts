/** scrub: reads everything, so that what is latent becomes known and what nobody had read is known to be clean. */
import { ProgressMeter, type ByteRange, type ProgressListener } from "../base/index.ts";
import type { PoisonTotals } from "../poison/index.ts";
import { thoroughMode, type ManagedDevice } from "./device.ts";
import { skippable } from "./hole.ts";

/** How a scrub runs. */
export interface ScrubOptions {
  /** What to read. @default the whole device */
  readonly range?: ByteRange;
  /** Bytes of one read. @default 4 MiB */
  readonly chunk?: number;
  /** Told how far it is: rate, remaining time, failing reads, current zone; at most ten times a second. */
  readonly onProgress?: ProgressListener;
  /** Ends the scrub between two reads; what was found until then stays. */
  readonly signal?: AbortSignal;
}

/** What a scrub found. */
export interface ScrubResult {
  /** Ranges that became known, ascending; the first thousand. */
  readonly found: readonly ByteRange[];
  /** Bytes that became known. */
  readonly foundBytes: number;
  /** The device's totals afterwards. */
  readonly totals: PoisonTotals;
}

const MAX_FOUND = 1000;

/**
 * Reads a device through: latent poison becomes known, unread bytes that read well become clean. Ends with a flush where the device is open for writing.
 *
 * @throws {StorageError} if the device itself fails
 */
export async function scrub(
  device: ManagedDevice,
  options: ScrubOptions = {},
): Promise<ScrubResult> {
  const { range = { offset: 0, length: device.size }, chunk = 4 * 1024 * 1024, signal } = options;
  const meter = new ProgressMeter(options.onProgress);
  const told = { phase: "reading", total: range.length };
  const buffer = new Uint8Array(Math.min(chunk, range.length));
  const found: ByteRange[] = [];
  let foundBytes = 0;
  let failingReads = 0;
  for (let done = 0; done < range.length;) {
    if (signal?.aborted === true) break;
    const hole = Math.min(skippable(device, range.offset + done, chunk), range.length - done);
    if (hole > 0) {
      device.recordRead({ offset: range.offset + done, length: hole });
      done += hole;
      continue;
    }
    const part = { offset: range.offset + done, length: Math.min(chunk, range.length - done) };
    meter.report({ ...told, done, zone: part, failingReads, badBytes: foundBytes });
    const bad = await scrubPart(device, buffer.subarray(0, part.length), part.offset);
    if (bad.length > 0) failingReads += 1;
    for (const one of bad) {
      foundBytes += one.length;
      if (found.length < MAX_FOUND) found.push(one);
    }
    done += part.length;
  }
  if (signal?.aborted !== true)
    meter.report({ ...told, done: range.length, failingReads, badBytes: foundBytes });
  if (!device.capabilities.readOnly) await device.flush();
  return { found, foundBytes, totals: device.poison.totals() };
}

/** @returns what became known */
async function scrubPart(
  device: ManagedDevice,
  buffer: Uint8Array,
  offset: number,
): Promise<ByteRange[]> {
  const range = { offset, length: buffer.length };
  const before = [...device.poison.bad(range)];
  const { missing } = await device.read(buffer, offset, thoroughMode(device));
  let at = offset;
  for (const hole of [...missing, { offset: offset + buffer.length, length: 0 }]) {
    device.recordRead({ offset: at, length: hole.offset - at });
    at = hole.offset + hole.length;
  }
  return newlyBad(device, range, before);
}

function newlyBad(
  device: ManagedDevice,
  range: ByteRange,
  before: readonly ByteRange[],
): ByteRange[] {
  let known = 0;
  return [...device.poison.bad(range)].flatMap((bad) => {
    while (before[known] !== undefined && endsBefore(before[known], bad.offset)) known += 1;
    const next = before[known];
    if (next === undefined || next.offset >= bad.offset + bad.length)
      return [{ offset: bad.offset, length: bad.length }];
    return gapsIn(bad, before.slice(known));
  });
}

function endsBefore(range: ByteRange | undefined, offset: number): boolean {
  return range !== undefined && range.offset + range.length <= offset;
}

function gapsIn(range: ByteRange, holes: readonly ByteRange[]): ByteRange[] {
  const gaps: ByteRange[] = [];
  let at = range.offset;
  const end = range.offset + range.length;
  for (const hole of holes) {
    if (hole.offset >= end) break;
    if (hole.offset > at) gaps.push({ offset: at, length: hole.offset - at });
    at = Math.max(at, hole.offset + hole.length);
  }
  if (at < end) gaps.push({ offset: at, length: end - at });
  return gaps;
}
