/**
 * striped: chunks in turn over several devices (drivers/md/dm-stripe.c): `striped COUNT CHUNK [DEVICE START]...`, CHUNK in sectors.
 *
 * With o the offset in the row, c = o div chunk and r = o mod chunk: leg c mod n, at START + (c div n) * chunk + r. Windows of direct
 * access end with the chunk.
 */
import { SECTOR } from "../../base/index.ts";
import { sectorNumber } from "../table-text.ts";
import type { Area, MapTarget, TargetRow, TargetType } from "../target.ts";
import { areaAt } from "./linear.ts";

/** Largest number that the kernel reads into its `uint32_t`. */
const UINT_MAX = 2 ** 32 - 1;

/** `striped COUNT CHUNK [DEVICE START]...` */
export const striped: TargetType = {
  name: "striped",
  construct(row): MapTarget {
    const { args, length } = row;
    if (args.length < 2)
      return row.fail(
        `Not enough arguments: want COUNT CHUNK DEVICE START...: got ${args.length} words`,
      );
    const count = countOf(args[0], "Invalid stripe count", row);
    const chunk = countOf(args[1], "Invalid chunk_size", row);
    const sectors = length / SECTOR;
    if (sectors % count !== 0)
      return row.fail(
        `Target length not divisible by number of stripes: want a multiple of ${count} sectors: got ${sectors}`,
      );
    if ((sectors / count) % chunk !== 0)
      return row.fail(
        `Target length not divisible by chunk size: want a multiple of ${count} * ${chunk} sectors: got ${sectors}`,
      );
    if (args.length !== 2 + 2 * count)
      return row.fail(
        `Not enough destinations specified: want DEVICE START ${count} times: got ${args.length - 2} words`,
      );
    const legs = legsOf(args.slice(2), length / count, row);
    return { kind: "map", type: "striped", areas: legs, chunk: chunk * SECTOR, legs };
  },
};

function countOf(word: string | undefined, complaint: string, row: TargetRow): number {
  const value = sectorNumber(word ?? "");
  if (value !== undefined && value > 0 && value <= UINT_MAX) return value;
  return row.fail(`${complaint}: want a number from 1 to ${UINT_MAX}: got "${word ?? ""}"`);
}

function legsOf(words: readonly string[], length: number, row: TargetRow): Area[] {
  const legs: Area[] = [];
  for (let at = 0; at < words.length; at += 2)
    legs.push(areaAt({ word: words[at] ?? "", start: words[at + 1] ?? "", length }, row));
  return legs;
}
