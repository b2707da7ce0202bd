/** failing-source: a source in memory that fails as it is told, and counts its reads. */
import { RangeSet, type ByteRange } from "../../../../src/base/index.ts";
import type { AttemptAnswer } from "../../../../src/rescue/salvage/prober.ts";
import type { SalvageSource } from "../../../../src/rescue/index.ts";

/** How it fails. */
export interface FailingOptions {
  /** Fails for ever. */
  readonly bad?: Iterable<ByteRange>;
  /** What is told before anything is read. @default nothing */
  readonly listed?: readonly ByteRange[];
  /** Fails once. */
  readonly transient?: Iterable<ByteRange>;
  /** Takes longer than anybody waits. */
  readonly slow?: Iterable<ByteRange>;
  readonly unit?: number;
  readonly failure?: "machineCheck" | "cheap" | "costly";
}

/** A source with its counts. */
export interface FailingSource extends SalvageSource {
  readonly counts: { reads: number; failed: number };
  /** Every read, in order. */
  readonly asked: ByteRange[];
  /** Everything that fails for ever, to be changed at any time. */
  readonly broken: RangeSet;
  readonly missedRanges: RangeSet;
}

/** Makes one. */
export function failingSource(bytes: Uint8Array, options: FailingOptions = {}): FailingSource {
  const { unit = 512, failure = "costly", listed = [] } = options;
  const broken = RangeSet.from([...(options.bad ?? [])]);
  const once = RangeSet.from([...(options.transient ?? [])]);
  const slow = RangeSet.from([...(options.slow ?? [])]);
  const counts = { reads: 0, failed: 0 };
  const asked: ByteRange[] = [];
  const missedRanges = new RangeSet();
  const attempt = async (into: Uint8Array, offset: number): Promise<AttemptAnswer> => {
    counts.reads += 1;
    asked.push({ offset, length: into.length });
    if (slow.intersects(offset, into.length)) return "slow";
    const fails = broken.intersects(offset, into.length) || once.intersects(offset, into.length);
    once.delete(offset, into.length);
    if (fails) {
      counts.failed += 1;
      return "failed";
    }
    into.set(bytes.subarray(offset, offset + into.length));
    return "data";
  };
  return {
    size: bytes.length,
    names: { device: "memory" },
    bad: () => listed,
    read: async (into, offset) => {
      const missing = Array.from(broken.within(offset, into.length), (range) => ({
        offset: range.offset,
        length: range.length,
        state: "poisoned" as const,
      }));
      into.set(bytes.subarray(offset, offset + into.length));
      return { missing };
    },
    came: () => undefined,
    missed: ({ offset, length }) => missedRanges.add(offset, length),
    attempts: { unit, largest: 4 * 1024 * 1024, attempt },
    failure,
    counts,
    asked,
    broken,
    missedRanges,
  };
}
