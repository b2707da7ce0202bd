/**
 * badblocks: the text of `/sys/block/DISK/badblocks`: one `START LENGTH` a line, decimal, in sectors of 512 bytes.
 *
 * The kernel (block/badblocks.c, `badblocks_show`) stops after one page, in the middle of a line if need be, and its table ends at
 * 512 records of at most 512 sectors. Such a text is read as incomplete. Ours has no limit and does not split ranges.
 */
import { SECTOR } from "../../base/index.ts";
import type { PoisonView } from "../poison-list.ts";
import { ListBuilder, shown, type ParsedList, type ParseOptions } from "./parsed-list.ts";
import { roundedBad } from "./rounded-bad.ts";

/** Bytes after which the kernel stops showing, and what of them a read of the file gives: its last is the NUL (fs/sysfs/file.c). */
const PAGE_BYTES = 4096;
const SHOWN_BYTES = PAGE_BYTES - 1;
/** Records after which the kernel stops recording. */
const TABLE_RECORDS = 512;

/**
 * Reads the text. Records may overlap and come in any order; empty lines are passed over.
 *
 * @throws {StorageError} EBADMSG with the line, what stands there and what should
 */
export function parseBadblocks(text: string, options: ParseOptions): ParsedList {
  const builder = new ListBuilder("badblocks", options);
  const lines = text.split("\n");
  const cut = text.length === SHOWN_BYTES || (text.length === PAGE_BYTES && !text.endsWith("\n"));
  let records = 0;
  lines.forEach((line, index) => {
    const space = line.indexOf(" ");
    const start = plainNumber(line, 0, space);
    const sectors = plainNumber(line, space + 1, line.length);
    if (start >= 0 && builder.addInside(start * SECTOR, sectors * SECTOR)) {
      records += 1;
      return;
    }
    if (line.trim() === "") return;
    const where = `line ${index + 1}`;
    const match = /^\s*(\d{1,20})\s+(\d{1,20})\s*$/.exec(line);
    if (match === null || BigInt(match[2] ?? 0) === 0n) {
      if (cut && index === lines.length - 1) return;
      throw builder.error(
        where,
        `want "START LENGTH" in sectors, LENGTH from 1: got ${shown(line)}`,
      );
    }
    const [offset, length] = [
      BigInt(match[1] ?? 0) * BigInt(SECTOR),
      BigInt(match[2] ?? 0) * BigInt(SECTOR),
    ];
    builder.add({ offset, length, state: "poisoned" }, where);
    records += 1;
  });
  if (cut)
    builder.note(
      "The kernel cut this text off after one page: there are more bad ranges than it names",
    );
  if (records === TABLE_RECORDS)
    builder.note("The kernel's table is full at 512 records: there may be more bad ranges");
  builder.incomplete = cut || records === TABLE_RECORDS;
  return builder.finish();
}

/** The number that `text[start, end)` is, of up to 12 digits; -1 where it is none: of millions of lines nearly all have two of them. */
function plainNumber(text: string, start: number, end: number): number {
  if (end <= start || end - start > 12) return -1;
  let value = 0;
  for (let at = start; at < end; at += 1) {
    const digit = text.charCodeAt(at) - 0x30;
    if (digit < 0 || digit > 9) return -1;
    value = value * 10 + digit;
  }
  return value;
}

/** Writes poisoned and lost ranges, rounded outwards to sectors, a line at a time; nothing where all is well. */
export function* formatBadblocks(view: PoisonView): Generator<string> {
  for (const { offset, length } of roundedBad(view, SECTOR))
    yield `${offset / SECTOR} ${length / SECTOR}\n`;
}
