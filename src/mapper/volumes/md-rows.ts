/** md-rows: what the tables of every md level are made of: rows one behind the other, places on members, mirrors of copies. */
import { SECTOR } from "../../base/index.ts";
import { parseRow, type TableRow } from "../table-text.ts";
import type { VolumeNaming } from "./lvm-tables.ts";
import type { MdArray, MdLeg } from "./md-array.ts";
import { volumeError } from "./volume-error.ts";

/** A range of an array, in its sectors. */
export interface SectorRange {
  readonly start: number;
  readonly end: number;
}

/** What the tables of an array are made from. */
export interface MdShape {
  readonly array: MdArray;
  readonly naming: VolumeNaming;
  /** Ranges on which the members may differ, ascending, apart. */
  readonly unsynced: readonly SectorRange[];
}

/** Collects rows one behind the other. */
export class RowList {
  readonly rows: TableRow[] = [];
  readonly #naming: VolumeNaming;
  #next = 0;

  constructor(naming: VolumeNaming) {
    this.#naming = naming;
  }

  /** Adds a row; one without length is none. */
  add(length: number, words: string): void {
    if (length === 0) return;
    this.rows.push(parseRow(`${this.#next} ${length} ${words}`, this.#naming.place));
    this.#next += length;
  }
}

/** `DEVICE START` of a sector of a member's data. */
export function placeOf({ word, superblock }: MdLeg, sector = 0): string {
  return `${word} ${superblock.dataOffset + sector}`;
}

/** Refuses an array without members, or with ones that are smaller than it says. */
export function checkComponents(legs: readonly MdLeg[], sectors: number, name: string): void {
  if (legs.length === 0) throw volumeError(name, "want at least one member that is up to date");
  for (const { word, superblock } of legs)
    if (sectors < 1 || superblock.dataSectors < sectors)
      throw volumeError(
        name,
        `${word} has ${superblock.dataSectors * SECTOR} bytes of data: want the ${sectors * SECTOR} that the array uses of each member`,
      );
}

/** One copy of a run of sectors. */
export interface MdCopy {
  /** Device or table that has it. */
  readonly word: string;
  /** Its first sector there. */
  readonly start: number;
  /** What of it cannot be read, in sectors of the run; what lies outside is passed over. */
  readonly bad: readonly SectorRange[];
}

/** A copy that is one run of a member's data, from a sector of it on. */
export function runCopy(leg: MdLeg, sector: number): MdCopy {
  return {
    word: leg.word,
    start: leg.superblock.dataOffset + sector,
    bad: leg.bad.map(({ start, end }) => ({ start: start - sector, end: end - sector })),
  };
}

/**
 * Adds the rows of a run that has copies, the first choice first: a mirror of those that can be read. Ranges that a member lists as bad have no leg
 * there, and none at all are errors. Where copies may differ only one serves.
 *
 * @param unsynced in sectors of the run
 */
export function addCopies(
  list: RowList,
  copies: readonly MdCopy[],
  run: { readonly length: number; readonly unsynced: readonly SectorRange[] },
): void {
  const { length, unsynced } = run;
  const edges = [...unsynced, ...copies.flatMap(({ bad }) => bad)].flatMap(({ start, end }) => [
    start,
    end,
  ]);
  const cuts = [0, length, ...edges.filter((edge) => edge > 0 && edge < length)];
  const sorted = [...new Set(cuts)].toSorted((one, other) => one - other);
  for (const [index, end] of sorted.entries()) {
    const start = sorted[index - 1];
    if (start === undefined) continue;
    const isIn = (range: SectorRange): boolean => range.start <= start && end <= range.end;
    const good = copies.filter(({ bad }) => !bad.some((range) => isIn(range)));
    const used = unsynced.some((range) => isIn(range)) ? good.slice(0, 1) : good;
    const places = used.map((copy) => `${copy.word} ${copy.start + start}`);
    list.add(end - start, copiesText(places, end - start));
  }
}

/** `TARGET ARGS` of copies that all say the same: none are errors, one is linear. */
function copiesText(places: readonly string[], sectors: number): string {
  const [first] = places;
  if (first === undefined) return "error";
  // a mirror's region has at least two sectors, and is no longer than the mirror
  if (places.length === 1 || sectors < 2) return `linear ${first}`;
  const region = 2 ** Math.min(10, Math.floor(Math.log2(sectors)));
  return `mirror core 2 ${region} nosync ${places.length} ${places.join(" ")}`;
}
