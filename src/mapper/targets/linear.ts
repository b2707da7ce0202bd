/** linear: a run of one device (drivers/md/dm-linear.c): `linear DEVICE START`. Address o of a row that begins at b is START + o - b. */
import { SECTOR } from "../../base/index.ts";
import { sectorNumber } from "../table-text.ts";
import type { Area, MapTarget, TargetRow, TargetType } from "../target.ts";

/** `linear DEVICE START` */
export const linear: TargetType = {
  name: "linear",
  construct(row): MapTarget {
    const { args, length } = row;
    const [word, start] = args;
    if (args.length !== 2 || word === undefined || start === undefined)
      return row.fail(`Invalid argument count: want DEVICE START: got ${args.length} words`);
    const area = areaAt({ word, start, length }, row);
    return { kind: "map", type: "linear", areas: [area], chunk: Infinity, legs: [area] };
  },
};

/** The area that DEVICE START of a row names. @throws {StorageError} EBADMSG */
export function areaAt(
  named: { readonly word: string; readonly start: string; readonly length: number },
  row: Pick<TargetRow, "fail" | "lookup">,
): Area {
  const { word, start, length } = named;
  const sector = sectorNumber(start);
  if (sector === undefined)
    return row.fail(`Invalid device sector: want sectors of 512 bytes: got "${start}"`);
  return { device: row.lookup(word), offset: sector * SECTOR, length };
}
