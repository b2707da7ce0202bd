/**
 * table-text: a device-mapper table as text, as dmsetup reads and prints it: `START LENGTH TARGET ARGS`, sectors, one row a line.
 *
 *     0 2048 linear /images/a.img 0
 *     2048 4096 striped 2 16 /images/b.img 0 /images/c.img 0
 *
 * As in dmsetup a line that begins with `#` is a comment, what follows a `#` behind the target's name too, and blank lines say nothing.
 * Comments are not kept; rows without them, one space between words, print back as they were, to the byte.
 */
import { SECTOR, StorageError } from "../base/index.ts";

/** Sectors that a device can have at most, so that every byte has an exact offset. */
const SECTORS_MAX = Math.floor(Number.MAX_SAFE_INTEGER / SECTOR);

/** One row of a table as it was written. */
export interface TableRow {
  /** Number of its line, from 1. */
  readonly line: number;
  /** First sector. */
  readonly start: number;
  /** Sectors. */
  readonly length: number;
  /** Name of the target: "linear". */
  readonly type: string;
  /** Its words behind the name. */
  readonly args: readonly string[];
}

/** Where a text stands, for messages. */
export interface TextPlace {
  /** File that it is from. */
  readonly path: string;
  /** Line of it, from 1. */
  readonly line: number;
}

/** The error of a text that is not of the form that it promises: EBADMSG with file, line and wish. */
export function tableError(place: TextPlace, wish: string): StorageError {
  return new StorageError("EBADMSG", `Cannot load ${place.path}: line ${place.line}: ${wish}`, {
    path: place.path,
  });
}

/** A line without its comment and outer space; "" where it says nothing. */
export function meaningOf(line: string): string {
  const text = line.trim();
  return text.startsWith("#") ? "" : text;
}

/**
 * Reads one row.
 *
 * @param text not empty, no comment line
 * @throws {StorageError} EBADMSG
 */
export function parseRow(text: string, place: TextPlace): TableRow {
  const match = /^(\S+)\s+(\S+)\s+(\S+)\s*([^#]*)/.exec(text);
  if (match === null)
    throw tableError(place, `want START LENGTH TARGET ARGS: got ${JSON.stringify(text)}`);
  const [, start = "", length = "", type = "", rest = ""] = match;
  const row = {
    line: place.line,
    start: sectorsOf(start, "start", place),
    length: sectorsOf(length, "length", place),
    type,
    args: rest.split(/\s+/).filter((word) => word !== ""),
  };
  if (row.length === 0) throw tableError(place, "zero-length target: want at least one sector");
  return row;
}

function sectorsOf(text: string, what: string, place: TextPlace): number {
  const sectors = sectorNumber(text);
  if (sectors !== undefined) return sectors;
  throw tableError(place, `want ${what} in sectors of 512 bytes: got ${JSON.stringify(text)}`);
}

/** A word as a count of sectors, decimal as the kernel reads it; `undefined` where it is none, or past the largest offset. */
export function sectorNumber(text: string): number | undefined {
  const value = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  return value <= SECTORS_MAX ? value : undefined;
}

/**
 * Reads a whole table. Rows are not looked at together yet: `loadTable` does that.
 *
 * @param path file that the text is from, for messages
 * @throws {StorageError} EBADMSG with file, line and wish
 */
export function parseTable(text: string, path: string): TableRow[] {
  return text.split("\n").flatMap((line, at) => {
    const meaning = meaningOf(line);
    return meaning === "" ? [] : [parseRow(meaning, { path, line: at + 1 })];
  });
}

/** A row as `dmsetup table` prints it, without newline. */
export function formatRow(row: Omit<TableRow, "line">): string {
  return [row.start, row.length, row.type, ...row.args].join(" ");
}

/** A table as `dmsetup table` prints it: one row a line. */
export function formatTable(rows: readonly Omit<TableRow, "line">[]): string {
  return rows.map((row) => `${formatRow(row)}\n`).join("");
}
