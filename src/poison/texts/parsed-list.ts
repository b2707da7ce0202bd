/** parsed-list: what every text of bad ranges comes to, whoever wrote it, and the rules for ranges that do not fit the device. */
import { RangeSet, StorageError } from "../../base/index.ts";
import type { StateRange } from "../poison-list.ts";

/** The texts that can be read and written. */
export type PoisonFormat = "badblocks" | "ndctl" | "cxl" | "mapfile";

/** What a text says. */
export interface ParsedList {
  readonly format: PoisonFormat;
  /** Ascending, apart from each other, inside the device. What is not named is not known: unread, never clean. */
  readonly ranges: readonly StateRange[];
  /** Whether the text itself says, or shows, that there are more bad ranges than it names: nobody may then claim "clean". */
  readonly incomplete: boolean;
  /** Sentences about what was clipped or could not be used; the last one counts what was left out. */
  readonly notes: readonly string[];
}

/** What a text is read for. */
export interface ParseOptions {
  /** Bytes of the device. A record that begins behind it is an error, one that crosses its end is clipped and noted. */
  readonly size: number;
  /** What people call the text. @default its format */
  readonly name?: string;
  /** Which device of several in a JSON text: "namespace0.0", "region1", "mem0". @default the only one that has records */
  readonly device?: string;
}

const MAX_NOTES = 20;
const MAX_SHOWN = 60;

/** A value as a message shows it: short, on one line. */
export function shown(value: string): string {
  const text = JSON.stringify(value);
  return text.length <= MAX_SHOWN ? text : `${text.slice(0, MAX_SHOWN)}…"`;
}

/** Gathers the records of one text. */
export class ListBuilder {
  readonly size: number;
  incomplete = false;
  readonly #format: PoisonFormat;
  readonly #name: string;
  readonly #poisoned = new RangeSet();
  readonly #clean = new RangeSet();
  readonly #notes: string[] = [];
  #dropped = 0;

  constructor(format: PoisonFormat, options: ParseOptions) {
    this.#format = format;
    this.#name = options.name ?? `${format} text`;
    this.size = options.size;
  }

  /** The error of this text. `where` is "line 3" or a path in JSON. */
  error(where: string, wish: string): StorageError {
    return new StorageError("EBADMSG", `Cannot read ${this.#name} ${where}: ${wish}`, {
      path: this.#name,
    });
  }

  /** Adds a sentence for people. */
  note(sentence: string): void {
    if (this.#notes.length < MAX_NOTES) this.#notes.push(sentence);
    else this.#dropped += 1;
  }

  /**
   * Adds a record, in bytes.
   *
   * @throws {StorageError} EBADMSG if it begins behind the device
   */
  add(
    record: { offset: bigint; length: bigint; state: "poisoned" | "clean" },
    where: string,
  ): void {
    const { offset, length, state } = record;
    const size = BigInt(this.size);
    if (length === 0n) return;
    if (offset >= size)
      throw this.error(
        where,
        `want an offset below the device's end at ${this.size}: got ${offset}`,
      );
    const past = offset + length - size;
    const inside = past > 0n ? size - offset : length;
    if (past > 0n)
      this.note(
        `${where}: ${past} of ${length} bytes are behind the device's end at ${this.size} and were left out`,
      );
    const set = state === "clean" ? this.#clean : this.#poisoned;
    set.add(Number(offset), Number(inside));
  }

  /** Adds a poisoned record that is not empty and ends on the device. @returns false, and adds nothing, where it is no such record */
  addInside(offset: number, length: number): boolean {
    if (length <= 0 || offset + length > this.size) return false;
    this.#poisoned.add(offset, length);
    return true;
  }

  /** The list. Where a byte is named as both, it is poisoned. */
  finish(): ParsedList {
    if (this.#clean.size > 0)
      for (const { offset, length } of this.#poisoned) this.#clean.delete(offset, length);
    const ranges: StateRange[] = [];
    for (const { offset, length } of this.#poisoned)
      ranges.push({ offset, length, state: "poisoned" });
    for (const part of this.#clean) ranges.push({ ...part, state: "clean" });
    if (this.#clean.size > 0) ranges.sort((one, other) => one.offset - other.offset);
    const more = this.#dropped === 0 ? [] : [`${this.#dropped} more such records`];
    return {
      format: this.#format,
      ranges,
      incomplete: this.incomplete,
      notes: [...this.#notes, ...more],
    };
  }
}
