/** badblocks-populate: what a driver's table would hold of a list, and what it would lose, as `badblocks_populate` (drivers/nvdimm/badrange.c). */
import { SECTOR, type ByteRange } from "../base/index.ts";
import { BadblocksTable, type BadblocksTableOptions } from "./badblocks-table.ts";
import type { PoisonView } from "./poison-list.ts";
import { roundedBad } from "./texts/rounded-bad.ts";

/** A table made of a list. */
export interface PopulatedBadblocks {
  readonly table: BadblocksTable;
  /** Bad ranges, rounded outward to sectors, that found no room: Linux logs the fact, and reads of them go to the media. Bytes. */
  readonly lost: readonly ByteRange[];
}

/** Fills a table with poisoned and lost ranges, rounded outward to sectors, acked, in ascending order. */
export function populateBadblocks(
  view: PoisonView,
  options: BadblocksTableOptions = {},
): PopulatedBadblocks {
  const table = new BadblocksTable(options);
  const lost: ByteRange[] = [];
  for (const { offset, length } of roundedBad(view, SECTOR)) {
    const held = table.full ? offset : recorded(table, { offset, length });
    if (held < offset + length) lost.push({ offset: held, length: offset + length - held });
  }
  return { table, lost };
}

/** Records a range that lies behind all others. @returns up to where it is recorded */
function recorded(table: BadblocksTable, { offset, length }: ByteRange): number {
  if (table.set(offset / SECTOR, length / SECTOR)) return offset + length;
  const last = [...table.records()].at(-1);
  return last === undefined ? offset : Math.max(offset, (last.start + last.sectors) * SECTOR);
}
