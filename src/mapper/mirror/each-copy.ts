/** each-copy: what is asked of or done to a range of a mirror leg by leg, without a read or a write: holes, what a scan read, and what is told to fail. */
import { endOf, RangeSet, type ByteRange } from "../../base/index.ts";
import type { FaultChange } from "../../poison/index.ts";
import { faulty } from "../faulty.ts";
import type { Copies } from "./copies.ts";

/** Bytes from an address on that are a hole of the leg that is asked first. */
export function holeInCopies(copies: Copies, offset: number): number {
  const [run] = copies.runs({ offset, length: copies.size - offset });
  const [leg] = run?.legs ?? [];
  if (run === undefined || leg === undefined) return 0;
  return Math.min(run.length, leg.device.holeFrom?.(leg.offset + offset) ?? 0);
}

/** Records what a scan read: each byte from one leg, the first that has it. */
export function recordCopies(copies: Copies, range: ByteRange): void {
  for (const run of copies.runs(range)) {
    let left: readonly ByteRange[] = [run];
    for (const { device, offset: start } of run.legs) {
      const bad = new RangeSet();
      for (const { offset, length } of left) {
        const below = { offset: start + offset, length };
        for (const part of device.poison.bad(below)) bad.add(part.offset - start, part.length);
        for (const part of bad.gaps(offset, length))
          device.recordRead({ offset: start + part.offset, length: part.length });
      }
      left = [...bad];
      if (left.length === 0) break;
    }
  }
}

/** Makes a range bad in every leg that is fresh there. @returns what is bad now, from its first byte to its last, in bytes of the mirror */
export function injectCopies(
  copies: Copies,
  range: ByteRange,
  options: { readonly latent?: boolean },
): ByteRange {
  let start = range.offset;
  let end = endOf(range);
  for (const leg of copies.legs) {
    for (const { offset, length } of copies.freshParts(leg, range)) {
      const below = { offset: leg.offset + offset, length };
      const units = faulty(leg.device).inject(below, options);
      start = Math.max(0, Math.min(start, units.offset - leg.offset));
      end = Math.min(copies.size, Math.max(end, endOf(units) - leg.offset));
    }
  }
  return { offset: start, length: end - start };
}

/** Turns a fault on or off in every leg that is fresh there. */
export function faultCopies(copies: Copies, change: FaultChange): void {
  for (const leg of copies.legs) {
    for (const { offset, length } of copies.freshParts(leg, change))
      faulty(leg.device).setFault({ ...change, offset: leg.offset + offset, length });
  }
}
