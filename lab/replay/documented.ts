/**
 * documented: the deliberate differences from Linux that a trace of a firmware short of clearing shows (docs/linux.md). From the first one
 * on both sides hold other states, so the rest of such a case is not compared.
 *
 * - R4: Linux drops what was cleared from its list though no data was stored there (`pmem_do_write` of a partial clear); here it is lost
 * - R5: Linux takes a clear of 0 bytes for success and keeps the range listed (`pmem_recovery_write`); here it is EIO
 * - fsync: Linux tells of a buffered write that could not be stored at the next fsync, page by page; here the write itself fails, whole
 */
import type { TraceCase, TraceOperation } from "./trace.ts";

/** What Theriac's list holds after a write. */
export interface ListAfter {
  readonly badblocks: readonly (readonly [sector: number, count: number])[];
  /** Sectors of them that are lost: cleared, and nobody gave data. */
  readonly lost: ReadonlySet<number>;
}

/** Why a case is left. */
export type Reason = "R4" | "R5" | "fsync";

/**
 * What explains a difference; `undefined` where it is a mismatch.
 *
 * @param answer count: bytes written, negative where the write failed
 */
export function documentedBy(
  trace: TraceCase,
  operation: TraceOperation,
  answer: { readonly count: number; readonly list: ListAfter | undefined },
): Reason | undefined {
  if (trace.clear === undefined || operation.op !== "w" || answer.list === undefined)
    return undefined;
  if ((operation.sync ?? 0) !== 0) return answer.count < operation.ret ? "fsync" : undefined;
  const theirs = sectorsOf(operation.bb ?? []);
  const extra = [...sectorsOf(answer.list.badblocks)].filter((sector) => !theirs.has(sector));
  const { lost } = answer.list;
  if (extra.length > 0 && extra.every((sector) => lost.has(sector))) return "R4";
  return trace.clear === 0 && answer.count < operation.ret ? "R5" : undefined;
}

function sectorsOf(list: readonly (readonly [number, number])[]): Set<number> {
  const sectors = new Set<number>();
  for (const [first, count] of list)
    for (let sector = first; sector < first + count; sector += 1) sectors.add(sector);
  return sectors;
}
