/**
 * loadTable: rows become targets, and are looked at together: what the kernel refuses when it loads a table (drivers/md/dm-table.c) is
 * refused here in its words, with line and wish.
 *
 * One thing is refused that the kernel allows: the same byte of a device at two addresses. Reads would be right, but one byte of the
 * device would be two of the table, in the totals twice (R7), and a heal of one address would change another (R2).
 */
import { endOf, SECTOR, type MaybePromise } from "../base/index.ts";
import type { Device } from "../device/index.ts";
import { inTurn } from "./in-turn.ts";
import { tableError, type TableRow, type TextPlace } from "./table-text.ts";
import { TARGET_TYPES } from "./target-types.ts";
import type { Area, Target, TargetMemory } from "./target.ts";

/** A row with the target that it became. */
export interface LoadedRow {
  readonly row: TableRow;
  /** First byte in the table. */
  readonly begin: number;
  /** Bytes. */
  readonly length: number;
  readonly target: Target;
}

/** What a table is loaded with. */
export interface LoadTableOptions {
  /** File that the rows are from, for messages. */
  readonly path: string;
  /** What devices are called; `undefined` where a word is none. */
  readonly lookup: (word: string) => Device | undefined;
  /** Where a row's target keeps a text of its own. @default nothing outlives the opening */
  readonly memoryOf?: (row: TableRow) => TargetMemory;
}

/** An area with the row that uses it. */
export interface UsedArea extends Area {
  readonly place: TextPlace;
}

/**
 * Makes the targets of a table. Nothing is written.
 *
 * @throws {StorageError} EBADMSG with file, line and wish
 */
export function loadTable(rows: readonly TableRow[], options: LoadTableOptions): LoadedRow[] {
  if (rows.length === 0)
    throw tableError({ path: options.path, line: 1 }, "want at least one row: got none");
  let expected = 0;
  const loaded = rows.map((row) => {
    const place = { path: options.path, line: row.line };
    if (row.start !== expected)
      throw tableError(place, `Gap in table: want start ${expected}: got ${row.start}`);
    expected = row.start + row.length;
    return loadRow(row, place, options);
  });
  checkAreas(usedAreas(loaded, options.path));
  return loaded;
}

/**
 * Readies the targets of a table that was loaded, in order, for their first call: answers at once where none has to read.
 *
 * @throws {StorageError} as `DeviceTarget.activate`
 */
export function activateRows(loaded: readonly LoadedRow[]): MaybePromise<void> {
  return inTurn(loaded, ({ target }) =>
    target.kind === "device" ? target.activate?.() : undefined,
  );
}

function loadRow(row: TableRow, place: TextPlace, options: LoadTableOptions): LoadedRow {
  const type = TARGET_TYPES.get(row.type);
  if (type === undefined)
    throw tableError(
      place,
      `unknown target type: want one of ${[...TARGET_TYPES.keys()].join(", ")}: got "${row.type}"`,
    );
  const fail = (wish: string): never => {
    throw tableError(place, `${row.type}: ${wish}`);
  };
  const lookup = (word: string): Device =>
    options.lookup(word) ??
    fail(`Device lookup failed: want a device that the file names: got "${word}"`);
  const begin = row.start * SECTOR;
  const length = row.length * SECTOR;
  const memory = options.memoryOf?.(row);
  const target = type.construct({ args: row.args, begin, length, lookup, memory, fail });
  for (const area of target.areas) checkSize(area, fail);
  return { row, begin, length, target };
}

/** As `device_area_is_invalid`. */
function checkSize({ device, offset, length }: Area, fail: (wish: string) => never): void {
  if (offset + length <= device.size) return;
  fail(
    `${device.identity.name} too small for target: start=${offset / SECTOR}, len=${length / SECTOR}, dev_size=${Math.floor(device.size / SECTOR)}`,
  );
}

/** All that a table uses of the devices below it. */
export function usedAreas(loaded: readonly LoadedRow[], path: string): UsedArea[] {
  return loaded.flatMap(({ row, target }) =>
    target.areas.map((area) => ({ ...area, place: { path, line: row.line } })),
  );
}

/** Refuses areas that share a byte. @throws {StorageError} EBADMSG */
export function checkAreas(areas: readonly UsedArea[]): void {
  const byDevice = new Map<Device, UsedArea[]>();
  for (const area of areas) byDevice.set(area.device, [...(byDevice.get(area.device) ?? []), area]);
  for (const [device, used] of byDevice) {
    used.sort((one, other) => one.offset - other.offset);
    let open: UsedArea[] = [];
    for (const area of used) {
      open = open.filter((before) => endOf(before) > area.offset);
      const before = open.find((one) => !areApart(one, area));
      if (before !== undefined)
        throw tableError(
          area.place,
          `sector ${area.offset / SECTOR} of ${device.identity.name} is used twice: want each byte at one address: line ${before.place.line} uses it too`,
        );
      open.push(area);
    }
  }
}

/** Whether two areas whose ranges overlap share no byte all the same: combs of one step, each in the other's gaps. */
function areApart({ offset, comb }: Area, other: Area): boolean {
  if (comb === undefined || comb.step !== other.comb?.step) return false;
  const shift = (other.offset - offset) % comb.step;
  return shift >= comb.chunk && comb.step - shift >= other.comb.chunk;
}
