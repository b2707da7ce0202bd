/** sector-groups: writes as the whole sectors that a log takes: those that share a sector are one group. */
import { alignOut, endOf, type ByteRange } from "../../../base/index.ts";
import type { HealWrite } from "../../../device/index.ts";

/** Whole sectors, and what of them is written. */
export interface SectorGroup {
  readonly range: ByteRange;
  /** An entry's sector, then `data`. */
  readonly bytes: Uint8Array;
  /** What the sectors hold when all is done: gaps are still zeros. */
  readonly data: Uint8Array;
  /** What of them no write covers, ascending. */
  readonly gaps: readonly ByteRange[];
  /** Numbers of the writes. */
  readonly members: readonly number[];
}

/** What a log is made of. */
interface Room {
  readonly sectorSize: number;
  room(length: number): Uint8Array;
}

interface Numbered {
  readonly index: number;
  readonly write: HealWrite;
}

/** Groups writes that do not overlap, ascending; empty ones are in none. */
export function sectorGroups(writes: readonly HealWrite[], log: Room): SectorGroup[] {
  const sorted = writes
    .map((write, index): Numbered => ({ index, write }))
    .filter(({ write }) => write.data.length > 0)
    .sort((one, other) => one.write.offset - other.write.offset);
  const groups: Numbered[][] = [];
  let end = -1;
  for (const one of sorted) {
    const sectors = alignOut(rangeOf(one), log.sectorSize);
    if (sectors.offset < end) groups.at(-1)?.push(one);
    else groups.push([one]);
    end = endOf(sectors);
  }
  return groups.map((group) => groupOf(group, log));
}

function rangeOf({ write }: Numbered): ByteRange {
  return { offset: write.offset, length: write.data.length };
}

function groupOf(group: readonly Numbered[], log: Room): SectorGroup {
  const [first] = group as readonly [Numbered];
  const last = group.at(-1) as Numbered;
  const { offset } = first.write;
  const span = { offset, length: endOf(rangeOf(last)) - offset };
  const range = alignOut(span, log.sectorSize);
  const bytes = log.room(range.length);
  const data = bytes.subarray(log.sectorSize);
  const gaps: ByteRange[] = [];
  let at = range.offset;
  for (const { write } of group) {
    if (write.offset > at) gaps.push({ offset: at, length: write.offset - at });
    data.set(write.data, write.offset - range.offset);
    at = write.offset + write.data.length;
  }
  if (at < endOf(range)) gaps.push({ offset: at, length: endOf(range) - at });
  return { range, bytes, data, gaps, members: group.map(({ index }) => index) };
}
