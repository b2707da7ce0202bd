/**
 * careful-read: what a failed read proves. A range goes on the list only after a second read of it failed too, so that a
 * transient error never becomes poison for ever; what works at the second try is told as a transient event.
 *
 * "access" and "failFast" report such bytes as missing, "unread": the plain call failed, and the next one works. "recovery"
 * tries three times and delivers them.
 */
import { intersect, RangeSet, type BadRange, type ByteRange } from "../base/index.ts";
import type { AccessMode } from "./device.ts";
import type { Ledger } from "./ledger.ts";
import type { Faults, Media } from "./media.ts";
import { goodParts, inState } from "./states.ts";

/** Bytes read again at once. */
const CHUNK = 64 * 1024;

/** What a device tells while it works. */
export interface DeviceEvent extends ByteRange {
  /** "transient": a read failed and worked when tried again; "poisoned": a range was found bad; "healed": data is durable over it. */
  readonly kind: "transient" | "poisoned" | "healed";
}

/** What the careful reading needs. */
export interface CarefulContext {
  readonly media: Media;
  readonly ledger: Ledger;
  readonly emit: (event: DeviceEvent) => void;
}

/** One read whose faults are looked at. */
export interface FailedRead {
  readonly into: Uint8Array;
  readonly offset: number;
  readonly mode: AccessMode;
}

/**
 * Reads the faults of a read again, lists what is bad, and in "recovery" delivers what works now.
 *
 * @returns what of the request is missing, ascending
 */
export function confirmFaults(
  context: CarefulContext,
  faults: Faults,
  request: FailedRead,
): BadRange[] {
  const missing: BadRange[] = [];
  const window = { offset: request.offset, length: request.into.length };
  for (const fault of faults) {
    for (let at = fault.offset; at < fault.offset + fault.length; at += CHUNK) {
      const piece = { offset: at, length: Math.min(CHUNK, fault.offset + fault.length - at) };
      const { bad, good, data } = tryAgain(
        context.media,
        piece,
        request.mode === "recovery" ? 2 : 1,
      );
      list(context, bad);
      for (const range of good) context.emit({ ...range, kind: "transient" });
      append(missing, clip(bad, window, "poisoned"));
      if (request.mode === "recovery") deliver({ good, data, piece }, request);
      else append(missing, clip(good, window, "unread"));
    }
  }
  return merged(missing);
}

/** Arguments of a call have a limit; a chunk of single bytes has 65,536 ranges. */
function append(to: BadRange[], ranges: readonly BadRange[]): void {
  for (const range of ranges) to.push(range);
}

function tryAgain(
  media: Media,
  piece: ByteRange,
  tries: number,
): { bad: ByteRange[]; good: ByteRange[]; data: Uint8Array } {
  const data = new Uint8Array(piece.length);
  let bad = new RangeSet();
  for (let attempt = 0; attempt < tries; attempt += 1) {
    bad = RangeSet.from(media.readSync(data, piece.offset));
    if (bad.size === 0) break;
  }
  return {
    bad: [...bad.within(piece.offset, piece.length)],
    good: [...bad.gaps(piece.offset, piece.length)],
    data,
  };
}

/** Puts ranges on the list; what is lost there stays lost. */
function list(context: CarefulContext, bad: readonly ByteRange[]): void {
  for (const range of bad) {
    const parts = goodParts(context.ledger.view, range);
    context.ledger.mark(inState(parts, "poisoned"));
    for (const part of parts)
      context.emit({ offset: part.offset, length: part.length, kind: "poisoned" });
  }
}

function deliver(
  again: {
    readonly good: readonly ByteRange[];
    readonly data: Uint8Array;
    readonly piece: ByteRange;
  },
  request: FailedRead,
): void {
  for (const range of again.good) {
    const part = intersect(range, { offset: request.offset, length: request.into.length });
    if (part === undefined) continue;
    const start = part.offset - again.piece.offset;
    request.into.set(again.data.subarray(start, start + part.length), part.offset - request.offset);
  }
}

function clip(
  ranges: readonly ByteRange[],
  window: ByteRange,
  state: BadRange["state"],
): BadRange[] {
  return ranges.flatMap((range) => {
    const part = intersect(range, window);
    return part === undefined ? [] : [{ ...part, state }];
  });
}

/** Sorts ranges, and joins those that touch and have one state. */
export function merged(ranges: BadRange[]): BadRange[] {
  ranges.sort((one, other) => one.offset - other.offset);
  const result: BadRange[] = [];
  for (const range of ranges) {
    const last = result.at(-1);
    if (
      last !== undefined &&
      last.state === range.state &&
      last.offset + last.length >= range.offset
    ) {
      const end = Math.max(last.offset + last.length, range.offset + range.length);
      result[result.length - 1] = {
        offset: last.offset,
        length: end - last.offset,
        state: last.state,
      };
    } else {
      result.push(range);
    }
  }
  return result;
}
