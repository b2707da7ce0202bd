/** md-comb: a copy of which a member holds a chunk in every so many rows: an `unstriped` table of its own, and what is bad in it. */
import type { StackTable } from "../stack-text.ts";
import type { VolumeNaming } from "./lvm-tables.ts";
import type { MdLeg } from "./md-array.ts";
import { placeOf, RowList, type MdCopy, type SectorRange } from "./md-rows.ts";

/** Chunks at equal distances. Sectors, but for counts. */
export interface Comb {
  readonly chunk: number;
  /** Rows from one chunk to the next. */
  readonly count: number;
  /** Which row of a turn, from 0. */
  readonly index: number;
  /** Where rows begin in the member's data. */
  readonly start: number;
  /** Of all chunks together. */
  readonly length: number;
}

/** What a comb is of. */
export interface CombOptions {
  readonly leg: MdLeg;
  readonly comb: Comb;
  readonly naming: VolumeNaming;
}

/** Makes the table of a comb, and the copy that it is. */
export function combCopy(
  name: string,
  options: CombOptions,
): { readonly table: StackTable; readonly copy: MdCopy } {
  const { leg, comb, naming } = options;
  const { chunk, count, index, start, length } = comb;
  const list = new RowList(naming);
  list.add(length, `unstriped ${count} ${chunk} ${index} ${placeOf(leg, start)}`);
  const bad = leg.bad.flatMap((range) => Array.from(inComb(range, comb)));
  return { table: { name, rows: list.rows }, copy: { word: name, start: 0, bad } };
}

/** What of a range of the member's data is in a comb, in sectors of the comb. */
function* inComb(range: SectorRange, comb: Comb): Generator<SectorRange> {
  const { chunk, count, index, start, length } = comb;
  const [from, end] = [range.start - start, range.end - start];
  const first = Math.max(0, Math.floor((from / chunk - index) / count));
  for (let turn = first; turn * chunk < length; turn += 1) {
    const row = (turn * count + index) * chunk;
    if (row >= end) return;
    const part = { start: Math.max(from, row) - row, end: Math.min(end, row + chunk) - row };
    if (part.start < part.end)
      yield { start: turn * chunk + part.start, end: turn * chunk + part.end };
  }
}
