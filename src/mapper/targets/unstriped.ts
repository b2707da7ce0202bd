/**
 * unstriped: one stripe of a device (drivers/md/dm-unstripe.c): `unstriped COUNT CHUNK STRIPE DEVICE START`, CHUNK in sectors, STRIPE from 0.
 *
 * With o the offset in the row, c = o div chunk and r = o mod chunk: DEVICE at START + (c * COUNT + STRIPE) * chunk + r. It has no direct access.
 */
import { SECTOR } from "../../base/index.ts";
import { sectorNumber } from "../table-text.ts";
import type { MapTarget, TargetRow, TargetType } from "../target.ts";

/** Largest number that the kernel reads into its `uint32_t`. */
const UINT_MAX = 2 ** 32 - 1;

/** `unstriped COUNT CHUNK STRIPE DEVICE START` */
export const unstriped: TargetType = {
  name: "unstriped",
  construct(row): MapTarget {
    const { args, length } = row;
    const [countWord, chunkWord, stripeWord, device = "", startWord] = args;
    if (args.length !== 5)
      return row.fail(
        `Invalid number of arguments: want COUNT CHUNK STRIPE DEVICE START: got ${args.length} words`,
      );
    const count = numberOf(countWord, { least: 1, complaint: "Invalid stripe count", row });
    const chunk = numberOf(chunkWord, { least: 1, complaint: "Invalid chunk_size", row });
    const stripe = numberOf(stripeWord, { least: 0, complaint: "Invalid stripe number", row });
    // The kernel's own bound is one too far; what it reads then are bytes of the device all the same.
    if (stripe > count && count > 1)
      return row.fail(
        `Please provide stripe between [0, # of stripes]: want at most ${count}: got ${stripe}`,
      );
    const below = row.lookup(device);
    const start = sectorNumber(startWord ?? "");
    if (start === undefined)
      return row.fail(
        `Invalid striped device offset: want sectors of 512 bytes: got "${startWord ?? ""}"`,
      );
    const sectors = length / SECTOR;
    if (sectors % chunk !== 0)
      row.fail(
        `Target length not divisible by chunk size: want a multiple of ${chunk} sectors: got ${sectors}`,
      );
    const [chunkBytes, step] = [chunk * SECTOR, chunk * count * SECTOR];
    const area = {
      device: below,
      offset: start * SECTOR + stripe * chunkBytes,
      length: (length / chunkBytes - 1) * step + chunkBytes,
      comb: { chunk: chunkBytes, step },
    };
    return {
      kind: "map",
      type: "unstriped",
      areas: [area],
      chunk: chunkBytes,
      step,
      legs: [area],
    };
  },
};

function numberOf(
  word: string | undefined,
  rule: { readonly least: number; readonly complaint: string; readonly row: TargetRow },
): number {
  const { least, complaint, row } = rule;
  const value = sectorNumber(word ?? "");
  if (value !== undefined && value >= least && value <= UINT_MAX) return value;
  return row.fail(`${complaint}: want a number from ${least} to ${UINT_MAX}: got "${word ?? ""}"`);
}
