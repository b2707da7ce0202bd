/**
 * mapfile: the map of GNU ddrescue, read with ddrescue 1.27's own verdicts and written in its own form.
 *
 * Read: `-` is poisoned, `+` is clean, `?` `*` `/` are unread; so is what no block names. Written: poisoned and lost are `-`, unread `?`, clean `+`.
 * What its parser accepts was measured (test/interop/mapfile.test.ts asks ddrescuelog): numbers as C's `%lli` reads them, comments from `#` at
 * the start of a line or after white space, 127 characters of a line, no gap and no overlap between blocks, a front that is missing.
 * A foreign comment does not survive ddrescue: identity belongs into a sidecar, never into a map.
 */
import type { ByteRange } from "../../base/index.ts";
import type { PoisonView } from "../poison-list.ts";
import { ListBuilder, shown, type ParsedList, type ParseOptions } from "./parsed-list.ts";

/** Characters of a line that ddrescue keeps. */
const LINE_LENGTH = 127;
const LARGEST = 2n ** 63n - 1n;
const BLOCK_STATUSES = "?*/-+";
const RUN_STATUSES = "?*/-FG+";
const NUMBER = /^[ \t\v\f\r]*([+-]?)(0[xX][0-9a-fA-F]*|0[0-7]*|[1-9][0-9]*)/;

/** One block of a map, in bytes. */
interface MapBlock {
  readonly offset: bigint;
  readonly length: bigint;
  /** `?` `*` `/` `-` or `+`. */
  readonly status: string;
  /** Line it stands on, from 1. */
  readonly line: number;
}

class MapError extends Error {
  readonly line: number;
  constructor(line: number, wish: string) {
    super(wish);
    this.line = line;
  }
}

/** Reads a number as `%lli` does: sign, 0x, leading 0; what is too large is the largest. */
function scanNumber(text: string): { value: bigint; rest: string } | undefined {
  const match = NUMBER.exec(text);
  const digits = match?.[2];
  if (match === null || digits === undefined) return undefined;
  const octal = /^0[0-7]+$/.test(digits);
  const magnitude = /^0[xX]$/.test(digits) ? 0n : BigInt(octal ? `0o${digits.slice(1)}` : digits);
  const value = match[1] === "-" ? -magnitude : magnitude;
  const rest = text.slice(match[0].length);
  return { value: saturated(value), rest };
}

/** A number too large for 64 bits becomes the largest there is, as in C. */
function saturated(value: bigint): bigint {
  if (value > LARGEST) return LARGEST;
  return value < -LARGEST ? -LARGEST - 1n : value;
}

/** Reads one character after any white space, as `" %c"` does. */
function scanCharacter(text: string): string | undefined {
  return /^[ \t\v\f\r]*([^ \t\v\f\r])/.exec(text)?.[1];
}

interface ContentLine {
  readonly line: number;
  readonly text: string;
}

/** The lines that say something, without comments, cut off where ddrescue cuts them off. */
function* contentLines(text: string): Generator<ContentLine> {
  let line = 0;
  for (let start = 0; start < text.length;) {
    line += 1;
    const newline = text.indexOf("\n", start);
    const end = newline < 0 ? text.length : newline;
    const whole = text
      .slice(start, end)
      .replace(/^[ \t\v\f\r]+/, "")
      .slice(0, LINE_LENGTH);
    const content = whole.replace(/(^|[ \t\v\f\r])#.*$/s, "");
    if (content.trim() !== "") yield { line, text: content };
    start = end + 1;
  }
}

function checkStatusLine({ line, text }: ContentLine): void {
  const wish = `want "POSITION STATUS [PASS]" with a status of ${RUN_STATUSES}: got ${shown(text)}`;
  const position = scanNumber(text);
  if (position === undefined || position.value < 0n) throw new MapError(line, wish);
  const status = scanCharacter(position.rest);
  if (status === undefined || !RUN_STATUSES.includes(status)) throw new MapError(line, wish);
  // The pass is read as `%d`: decimal always, and cut to 32 bits.
  const pass = /^[ \t\v\f\r]*([+-]?\d+)/.exec(
    position.rest.slice(position.rest.indexOf(status) + 1),
  );
  if (pass === null) return;
  if (BigInt.asIntN(32, saturated(BigInt(pass[1] ?? 0))) < 1n)
    throw new MapError(line, `want a pass from 1: got ${pass[1]}`);
}

function scanBlock({ line, text }: ContentLine, hasBlocks: boolean): MapBlock {
  const offset = scanNumber(text);
  const length = offset === undefined ? undefined : scanNumber(offset.rest);
  const status = length === undefined ? undefined : scanCharacter(length.rest);
  if (
    offset === undefined ||
    length === undefined ||
    status === undefined ||
    !BLOCK_STATUSES.includes(status)
  ) {
    throw new MapError(
      line,
      `want "POSITION SIZE STATUS" with a status of ${BLOCK_STATUSES}: got ${shown(text)}`,
    );
  }
  if (offset.value < 0n || length.value < 0n)
    throw new MapError(line, `want numbers from 0: got ${shown(text)}`);
  if (length.value === 0n && (hasBlocks || offset.value > 0n)) {
    throw new MapError(line, "want a size from 1: got 0");
  }
  const most = LARGEST - offset.value;
  return { offset: offset.value, length: length.value > most ? most : length.value, status, line };
}

function checkOrder(block: MapBlock, last: MapBlock | undefined): void {
  const { offset, line } = block;
  if (last === undefined) return;
  const end = last.offset + last.length;
  if (offset < end)
    throw new MapError(line, `want no overlap, a block from ${end} on: got ${offset}`);
  if (offset > end) throw new MapError(line, `want no gap, a block at ${end}: got ${offset}`);
}

function scanMap(text: string): MapBlock[] {
  const blocks: MapBlock[] = [];
  let statusSeen = false;
  for (const content of contentLines(text)) {
    if (statusSeen) {
      const block = scanBlock(content, blocks.length > 0);
      checkOrder(block, blocks.at(-1));
      blocks.push(block);
    } else {
      checkStatusLine(content);
      statusSeen = true;
    }
  }
  return blocks;
}

/**
 * Reads a map: accepts and refuses exactly what ddrescue 1.27 does. An empty text is an empty map.
 *
 * @throws {StorageError} EBADMSG with the line, what stands there and what should
 */
export function parseMapfile(text: string, options: ParseOptions): ParsedList {
  const builder = new ListBuilder("mapfile", options);
  for (const { offset, length, status, line } of scanOrThrow(text, builder)) {
    if (status === "-") builder.add({ offset, length, state: "poisoned" }, `line ${line}`);
    else if (status === "+") builder.add({ offset, length, state: "clean" }, `line ${line}`);
  }
  return builder.finish();
}

function scanOrThrow(text: string, builder: ListBuilder): readonly MapBlock[] {
  try {
    return scanMap(text);
  } catch (error) {
    if (error instanceof MapError) throw builder.error(`line ${error.line}`, error.message);
    throw error;
  }
}

/** Status of a block: nobody tried, failed and not trimmed, trimmed and not scraped, bad, finished. */
export type MapStatus = "?" | "*" | "/" | "-" | "+";

/** A range of a map with its status. */
export interface MapRange extends ByteRange {
  readonly status: MapStatus;
}

/**
 * Reads a map with all of its statuses; verdicts as `parseMapfile`. What crosses the end is cut off.
 *
 * @returns ascending and apart; what no block names is not in it
 * @throws {StorageError} EBADMSG, also where a block begins behind the end
 */
export function parseMapRanges(text: string, options: ParseOptions): readonly MapRange[] {
  const size = BigInt(options.size);
  const ranges: MapRange[] = [];
  const builder = new ListBuilder("mapfile", options);
  for (const block of scanOrThrow(text, builder)) {
    if (block.length === 0n) continue;
    if (block.offset >= size)
      throw builder.error(
        `line ${block.line}`,
        `want an offset below the end at ${options.size}: got ${block.offset}`,
      );
    const end = block.offset + block.length < size ? block.offset + block.length : size;
    const offset = Number(block.offset);
    ranges.push({ offset, length: Number(end) - offset, status: block.status as MapStatus });
  }
  return ranges;
}

function hexadecimal(value: number): string {
  return `0x${value.toString(16).toUpperCase().padStart(8, "0")}`;
}

/** What a map is written with. */
export interface FormatMapOptions {
  /** Lines of comment before the map, without `#`. ddrescue drops them when it writes the map again. @default none */
  readonly comments?: readonly string[];
}

/** Writes a map that covers the whole device, a line at a time. */
export function formatMapfile(view: PoisonView, options: FormatMapOptions = {}): Generator<string> {
  return formatMapRanges(rangesOf(view), {
    ...options,
    status: view.totals().unread > 0 ? "?" : "+",
  });
}

function* rangesOf(view: PoisonView): Generator<MapRange> {
  for (const { offset, length, state } of view.states({ offset: 0, length: view.size }))
    yield { offset, length, status: state === "clean" ? "+" : state === "unread" ? "?" : "-" };
}

/** What a map of any statuses is written with. */
export interface FormatRangesOptions extends FormatMapOptions {
  /** Status of the whole run: `?` copying, `*` trimming, `/` scraping, `-` retrying, `+` finished. */
  readonly status: MapStatus;
  /** Where the run is, in bytes. @default 0 */
  readonly position?: number;
  /** Pass of its phase, from 1. @default 1 */
  readonly pass?: number;
}

/**
 * Writes a map, a line at a time, equal neighbours as one block.
 *
 * @param ranges ascending and without gaps, from 0 on
 */
export function* formatMapRanges(
  ranges: Iterable<MapRange>,
  options: FormatRangesOptions,
): Generator<string> {
  const { status, position = 0, pass = 1 } = options;
  yield "# Mapfile. Created by theriac\n";
  for (const comment of options.comments ?? []) yield `# ${comment.replaceAll(/[\r\n]+/g, " ")}\n`;
  yield "# current_pos  current_status  current_pass\n";
  yield `${hexadecimal(position)}     ${status}               ${pass}\n`;
  yield "#      pos        size  status\n";
  let block: { offset: number; length: number; status: string } | undefined;
  for (const next of ranges) {
    if (block !== undefined && block.status === next.status) {
      block.length += next.length;
      continue;
    }
    if (block !== undefined) yield blockLine(block);
    block = { offset: next.offset, length: next.length, status: next.status };
  }
  if (block !== undefined) yield blockLine(block);
}

function blockLine({ offset, length, status }: ByteRange & { readonly status: string }): string {
  return `${hexadecimal(offset)}  ${hexadecimal(length)}  ${status}\n`;
}
