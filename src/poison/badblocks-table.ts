/**
 * BadblocksTable: Linux' own table of bad sectors (block/badblocks.c since 6.7, with the fixes of 6.15), as it is, limits and all.
 *
 * Our list (poison-list.ts) knows bytes, grows without end and never forgets. The kernel's table knows sectors of 512 bytes, in one page of
 * at most 512 records of at most 512 sectors; a full table takes nothing more, not even what it holds already, and where a clear would have
 * to split a record of a full table the sectors stay bad. This class says what a kernel's table would hold, and lose.
 *
 * "Acked" is md's mark: metadata knows of the record. A driver such as pmem sets everything acked. Acked sectors are put over unacked
 * ones and never the other way. A set goes from head to tail in steps, each against the record at or before it, so a set that fails has
 * been done up to there; after a step neighbours become one only in the places where Linux looks.
 *
 * Left out is `shift`: since 6.15 its rounding is broken in Linux itself, and disks do not use it.
 */
import { StorageError } from "../base/index.ts";

/** Records of a page of 4096 bytes. */
export const BADBLOCKS_LIMIT = 512;
/** Sectors of a record at most. */
const MAX_SECTORS = 512;
/** Bytes of text that one read of a sysfs file gives at most: a page less its NUL (fs/sysfs/file.c). */
const SHOWN_MAX = 4095;
const SECTOR_BITS = 54;

/** One record, as `check` and `records` give it. Sectors of 512 bytes. */
export interface BadblocksRecord {
  readonly start: number;
  readonly sectors: number;
  readonly acked: boolean;
}

/** How a table is made. */
export interface BadblocksTableOptions {
  /** Most records: 512 in a page of 4 KiB, 8192 in one of 64 KiB. @default 512 */
  readonly limit?: number;
}

/** A record inside: half-open. */
interface Row {
  readonly start: number;
  readonly end: number;
  readonly acked: boolean;
}

/** What one step of a set did. */
interface Step {
  /** Sectors done; 0 where only records were joined. */
  readonly done: number;
  /** The record that the next look goes from. */
  readonly at: number;
}

/** The table of one disk. Sectors are whole numbers from 0; starts are cut to 54 bits only by `store`. */
export class BadblocksTable {
  readonly #limit: number;
  #rows: Row[] = [];
  #changed = false;
  #hasUnacked = false;

  /** @throws {RangeError} if the limit is no whole number from 1 */
  constructor(options: BadblocksTableOptions = {}) {
    const { limit = BADBLOCKS_LIMIT } = options;
    if (!Number.isSafeInteger(limit) || limit < 1)
      throw new RangeError(`Cannot make a table: want a limit of records from 1: got ${limit}`);
    this.#limit = limit;
  }

  /** Records now. */
  get count(): number {
    return this.#rows.length;
  }

  /** Whether no record fits any more. */
  get full(): boolean {
    return this.#rows.length >= this.#limit;
  }

  /** Whether something was set or cleared since `forgetChanged`, which md calls when its metadata is written. */
  get changed(): boolean {
    return this.#changed;
  }

  /** Metadata has been written: `ackAll` may follow. */
  forgetChanged(): void {
    this.#changed = false;
  }

  /** All records, ascending. */
  *records(): Generator<BadblocksRecord> {
    for (const row of this.#rows) yield recordOf(row);
  }

  /**
   * Records bad sectors (`badblocks_set`).
   *
   * @param options acked: see above. @default true
   * @returns whether all of it is recorded; where not, a part may be
   */
  set(start: number, sectors: number, options: { readonly acked?: boolean } = {}): boolean {
    checkSectors(start, sectors);
    const { acked = true } = options;
    if (sectors === 0) return false;
    let left = sectors;
    let wasChanged = false;
    let at = -1;
    while (left > 0) {
      const step = this.full
        ? undefined
        : this.#setHead({ start: start + sectors - left, end: start + sectors, acked });
      if (step === undefined) break;
      wasChanged = true;
      left -= step.done;
      at = step.at;
    }
    if (left === 0) this.#joinWithNext(at);
    if (wasChanged) this.#noteSet(acked);
    return left === 0;
  }

  #noteSet(acked: boolean): void {
    this.#changed = true;
    if (acked) this.#lookForUnacked();
    else this.#hasUnacked = true;
  }

  /** Sets as much of the head of a range as one record takes. @returns `undefined` where the table has no room for it */
  #setHead(bad: Row): Step | undefined {
    const at = this.#lastFrom(bad.start);
    const before = this.#rows[at];
    if (before === undefined) return this.#insert(0, bad);
    if (this.#joinsFront(at, bad.start)) {
      this.#joinWithNext(at - 1);
      return { done: 0, at };
    }
    if (before.acked === bad.acked && bad.start < before.end)
      return { done: Math.min(bad.end, before.end) - bad.start, at };
    if (before.acked === bad.acked && bad.start === before.end && lengthOf(before) < MAX_SECTORS)
      return this.#extend(at, bad);
    if (bad.start < before.end)
      return before.acked ? skip(before, bad, at) : this.#overwrite(at, bad);
    return this.#insert(at + 1, bad);
  }

  /** Index of the last record that starts at a sector or before; -1 where there is none. */
  #lastFrom(start: number): number {
    let low = 0;
    let high = this.#rows.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#rows[middle]!.start <= start) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  /** A new record, up to the next one; its place is the one looked from next, which is not so in an empty table. */
  #insert(at: number, bad: Row): Step {
    const next = this.#rows[at];
    const end = Math.min(bad.end, bad.start + MAX_SECTORS, next?.start ?? bad.end);
    const wasEmpty = this.#rows.length === 0;
    this.#rows.splice(at, 0, { start: bad.start, end, acked: bad.acked });
    return { done: end - bad.start, at: wasEmpty ? -1 : at };
  }

  /** Grows a record that ends where the range begins, up to the next one. */
  #extend(at: number, bad: Row): Step {
    const row = this.#rows[at]!;
    const next = this.#rows[at + 1];
    const end = Math.min(bad.end, row.start + MAX_SECTORS, next?.start ?? bad.end);
    this.#rows[at] = { ...row, end };
    return { done: end - bad.start, at };
  }

  /** Puts acked sectors over a part of an unacked record; needs up to two records more. */
  #overwrite(at: number, bad: Row): Step | undefined {
    const row = this.#rows[at]!;
    const end = Math.min(bad.end, row.end);
    const parts = [
      { ...row, end: bad.start },
      { start: bad.start, end, acked: true },
      { ...row, start: end },
    ].filter((part) => part.start < part.end);
    if (this.#rows.length + parts.length - 1 > this.#limit) return undefined;
    this.#rows.splice(at, 1, ...parts);
    if (this.#joinsFront(at, bad.start)) this.#joinWithNext(at - 1);
    return { done: end - bad.start, at };
  }

  /** Whether a record that starts at a sector can become one with the record before it. */
  #joinsFront(at: number, start: number): boolean {
    return this.#rows[at]?.start === start && this.#canJoin(at - 1);
  }

  #canJoin(at: number): boolean {
    const row = this.#rows[at];
    const next = this.#rows[at + 1];
    return (
      row !== undefined &&
      next !== undefined &&
      row.end === next.start &&
      row.acked === next.acked &&
      next.end - row.start <= MAX_SECTORS
    );
  }

  /** Makes a record one with the next where they can. @returns whether they could */
  #joinWithNext(at: number): boolean {
    if (!this.#canJoin(at)) return false;
    this.#rows.splice(at, 2, { ...this.#rows[at]!, end: this.#rows[at + 1]!.end });
    return true;
  }

  /**
   * Takes sectors out (`badblocks_clear`); such as are not in it count as done.
   *
   * @returns false where a full table would have to split a record: then they stay
   */
  clear(start: number, sectors: number): boolean {
    checkSectors(start, sectors);
    if (sectors === 0) return false;
    const end = start + sectors;
    const around = this.#rows[this.#lastFrom(start)];
    if (this.full && around !== undefined && around.start < start && around.end > end) return false;
    this.#rows = this.#rows.flatMap((row) => {
      if (row.end <= start || row.start >= end) return [row];
      const parts = [
        { ...row, end: Math.min(row.end, start) },
        { ...row, start: Math.max(row.start, end) },
      ];
      return parts.filter((part) => part.start < part.end);
    });
    this.#lookForUnacked();
    this.#changed = true;
    return true;
  }

  #lookForUnacked(): void {
    if (this.#hasUnacked) this.#hasUnacked = this.#rows.some((row) => !row.acked);
  }

  /**
   * What of a range is bad (`badblocks_check`).
   *
   * @returns 0 clean, 1 bad and all of it acked, -1 some of it unacked; and the first record that it touches, whole: it may begin before
   */
  check(
    start: number,
    sectors: number,
  ): { readonly answer: 0 | 1 | -1; readonly first: BadblocksRecord | undefined } {
    checkSectors(start, sectors);
    const end = start + sectors;
    const touched = this.#rows.filter((row) => sectors > 0 && row.start < end && row.end > start);
    const first = touched[0];
    if (first === undefined) return { answer: 0, first: undefined };
    return { answer: touched.every((row) => row.acked) ? 1 : -1, first: recordOf(first) };
  }

  /** Whether every sector of a range is in the table. */
  covers(start: number, sectors: number): boolean {
    checkSectors(start, sectors);
    let at = start;
    for (const row of this.#rows) if (row.start <= at) at = Math.max(at, row.end);
    return at >= start + sectors;
  }

  /** Acks everything, and joins what then can be one record (`ack_all_badblocks`); nothing while `changed`. */
  ackAll(): void {
    if (this.#changed || !this.#hasUnacked) return;
    this.#rows = this.#rows.map((row) => ({ ...row, acked: true }));
    for (let at = 0; at < this.#rows.length; at += 1) {
      while (this.#joinWithNext(at));
    }
    this.#hasUnacked = false;
  }

  /**
   * The text of the sysfs file (`badblocks_show`): a line of start and length for each record, cut to 4095 bytes, in the middle of a line.
   *
   * @param options unacked: only those. @default false
   */
  show(options: { readonly unacked?: boolean } = {}): string {
    let text = "";
    for (const row of this.#rows) {
      if (text.length > SHOWN_MAX) break;
      if (options.unacked !== true || !row.acked) text += `${row.start} ${lengthOf(row)}\n`;
    }
    return text.slice(0, SHOWN_MAX);
  }

  /**
   * Takes a text as a write to the sysfs file does (`badblocks_store`): one range, nothing behind its line is looked at.
   *
   * @param options unacked: as md's file of that name. @default false
   * @returns bytes taken: all
   * @throws {StorageError} EINVAL if it is no `START LENGTH` with a length above 0; ENOSPC if not all of it could be recorded
   */
  store(text: string, options: { readonly unacked?: boolean } = {}): number {
    const range = parseStored(text);
    if (range === undefined) {
      throw new StorageError(
        "EINVAL",
        `Cannot store ${JSON.stringify(text.slice(0, 40))}: want a start and a length above 0, in sectors`,
        { syscall: "write" },
      );
    }
    if (!this.set(range.start, range.sectors, { acked: options.unacked !== true })) {
      throw new StorageError(
        "ENOSPC",
        `Cannot store ${range.start} ${range.sectors}: the table holds its ${this.#limit} records`,
        { syscall: "write" },
      );
    }
    return Buffer.byteLength(text);
  }
}

function recordOf({ start, end, acked }: Row): BadblocksRecord {
  return { start, sectors: end - start, acked };
}

function lengthOf(row: Row): number {
  return row.end - row.start;
}

/** Unacked sectors over an acked record: left as they are, and done. */
function skip(before: Row, bad: Row, at: number): Step {
  return { done: Math.min(bad.end, before.end) - bad.start, at };
}

function checkSectors(start: number, sectors: number): void {
  if (
    ![start, sectors, start + sectors].every((value) => Number.isSafeInteger(value) && value >= 0)
  )
    throw new TypeError(
      `Cannot use sectors: want whole, non-negative start and count: got ${start}, ${sectors}`,
    );
}

/**
 * `sscanf("%llu %d%c")` as the kernel does it (lib/vsprintf.c): the first number takes no sign and wraps at 64 bits, of which the table
 * keeps 54; the second one is cut to 32. A third character must be a newline.
 */
function parseStored(text: string): { start: number; sectors: number } | undefined {
  const match = /^\s*(\d+)(?!\d)\s*(-?\d+)(?!\d)([^])?/.exec(text.split("\0", 1)[0] ?? "");
  if (match === null || (match[3] !== undefined && match[3] !== "\n")) return undefined;
  const start = Number(BigInt.asUintN(SECTOR_BITS, BigInt(match[1] ?? "")));
  const sectors = Number(BigInt.asIntN(32, BigInt(match[2] ?? "")));
  // Numbers are exact up to 2^53 only: what lies above is no place on any disk.
  if (sectors <= 0 || !Number.isSafeInteger(start + sectors)) return undefined;
  return { start, sectors };
}
