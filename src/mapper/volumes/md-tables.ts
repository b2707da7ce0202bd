/**
 * md-tables: an md array as tables that map as the kernel's personalities do (drivers/md/md-linear.c, raid0.c, raid1.c, raid10.c).
 *
 * | level | tables |
 * |---|---|
 * | linear | a `linear` row for each member |
 * | raid0 | a `striped` row for each zone: members of uneven size are striped as long as each lasts |
 * | raid1 | `mirror` rows, with a core log that says "in sync" |
 * | raid10 | md-raid10.ts |
 *
 * Members are rounded down to whole chunks, as the kernel does. After a crash members may differ where writes were under way: there the
 * kernel reads one member until the array is resynced, and so do the rows here: such ranges have one leg.
 */
import type { StackTable } from "../stack-text.ts";
import type { TableRow } from "../table-text.ts";
import type { MdLeg } from "./md-array.ts";
import { raid10Tables } from "./md-raid10.ts";
import { addCopies, checkComponents, placeOf, RowList, runCopy, type MdShape } from "./md-rows.ts";
import { volumeError } from "./volume-error.ts";

/** Missing members that a message names. */
const TOLD = 16;
/** RAID0_ORIG_LAYOUT and RAID0_ALT_MULTIZONE_LAYOUT: which kernels wrote the second and later zones. */
const [ORIGINAL, ALTERNATE] = [1, 2];

/** Levels of one table each. */
const LEVELS: ReadonlyMap<number, (shape: MdShape) => TableRow[]> = new Map([
  [-1, linearRows],
  [0, raid0Rows],
  [1, raid1Rows],
]);

/** Makes the tables of an array, those below first: the last is the array. @throws {StorageError} EBADMSG naming what is missing or not read */
export function arrayTables(shape: MdShape): StackTable[] {
  const { level } = shape.array.newest;
  const { name } = shape.naming;
  if (level === 10) return raid10Tables(shape);
  const rows = LEVELS.get(level)?.(shape);
  if (rows === undefined)
    throw volumeError(name, `raid level ${level} is not read: want linear, raid0, raid1 or raid10`);
  return [{ name, rows }];
}

/** All members, where the level needs them all. */
function allLegs({ array, naming }: MdShape): MdLeg[] {
  const missing = array.slots.flatMap((leg, slot) => (leg === undefined ? [slot] : []));
  if (missing.length > 0) {
    const told = array.notes.slice(0, TOLD).map((note) => `; ${note}`);
    throw volumeError(
      naming.name,
      `want all ${array.slots.length} members of an array that keeps one copy: missing ${missing.slice(0, TOLD).join(", ")}${told.join("")}`,
    );
  }
  return array.slots.filter((leg) => leg !== undefined);
}

/** Sectors of a member in whole chunks. */
function wholeChunks({ superblock }: MdLeg, chunk: number): number {
  const { dataSectors } = superblock;
  return chunk === 0 ? dataSectors : dataSectors - (dataSectors % chunk);
}

function linearRows(shape: MdShape): TableRow[] {
  const list = new RowList(shape.naming);
  for (const leg of allLegs(shape))
    list.add(wholeChunks(leg, leg.superblock.chunk), `linear ${placeOf(leg)}`);
  return list.rows;
}

/** As `create_strip_zones` and `map_sector`. */
function raid0Rows(shape: MdShape): TableRow[] {
  const { naming, array } = shape;
  const { chunk, layout } = array.newest;
  const legs = allLegs(shape);
  if (chunk < 1)
    throw volumeError(naming.name, `want a chunk of at least one sector: got ${chunk}`);
  const sizes = legs.map((leg) => wholeChunks(leg, chunk));
  const ends = [...new Set(sizes)].toSorted((one, other) => one - other);
  const list = new RowList(naming);
  let begin = 0;
  let zoneStart = 0;
  for (const [zone, end] of ends.entries()) {
    const inZone = legs.filter((_, index) => (sizes[index] ?? 0) > begin);
    if (zone === 1 && inZone.length > 1) checkLayout(layout, naming.name);
    // the first kernels counted chunks from the start of the array: the first leg of a later zone is the one whose turn it is
    const turn = layout === ALTERNATE ? 0 : (zoneStart / chunk) % inZone.length;
    const ordered = [...inZone.slice(turn), ...inZone.slice(0, turn)];
    const places = ordered.map((leg) => placeOf(leg, begin)).join(" ");
    const length = (end - begin) * inZone.length;
    list.add(
      length,
      inZone.length === 1 ? `linear ${places}` : `striped ${inZone.length} ${chunk} ${places}`,
    );
    zoneStart += length;
    begin = end;
  }
  return list.rows;
}

function checkLayout(layout: number | undefined, name: string): void {
  if (layout === ORIGINAL || layout === ALTERNATE) return;
  throw volumeError(
    name,
    `its members are of uneven size, and its superblock does not say which kernel wrote it (layout ${layout ?? "none"}): want original (1) or alternate (2), as \`mdadm --update=layout-original\` or \`layout-alternate\` notes it`,
  );
}

/** As raid1.c; the array is as large as a component. */
function raid1Rows(shape: MdShape): TableRow[] {
  const { array, naming, unsynced } = shape;
  const size = array.newest.componentSectors;
  const legs = array.slots.filter((leg) => leg !== undefined);
  checkComponents(legs, size, naming.name);
  const list = new RowList(naming);
  const copies = legs.map((leg) => runCopy(leg, 0));
  addCopies(list, copies, { length: size, unsynced });
  return list.rows;
}
