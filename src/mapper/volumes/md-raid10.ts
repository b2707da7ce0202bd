/**
 * md-raid10: a raid10 array as a stripe over positions, each of them a mirror of the copies that stand at the same place of their members
 * (drivers/md/raid10.c, setup_geo, __raid10_find_phys).
 *
 * With n members, chunk c has its near copies in the slots c * near, c * near + 1, ... of rows of n slots. After lcm(near, n) slots the pattern of
 * members begins again: so many chunks are the positions, and the chunks of a position have their copies always on the same members, one turn of the
 * pattern further on. Far copies are on the member `near` slots to the right (inside its set of members, in the newer layouts): the same once more,
 * `stride` further on, or in "offset" layouts in the row behind.
 *
 * Where a turn is one row of one copy, a position is a run of each of its members. Where it is more (near 2 on 3 members; "offset"), it is a comb of
 * them, which is what `unstriped` says.
 */
import type { StackTable } from "../stack-text.ts";
import { combCopy, type Comb } from "./md-comb.ts";
import {
  addCopies,
  checkComponents,
  RowList,
  runCopy,
  type MdCopy,
  type MdShape,
} from "./md-rows.ts";
import { volumeError } from "./volume-error.ts";

/** How copies are spread. */
interface Geometry {
  readonly members: number;
  readonly near: number;
  readonly far: number;
  /** Whether far copies stand in the row behind, and not `rows` further on. */
  readonly isOffset: boolean;
  /** Sectors. */
  readonly chunk: number;
  /** Members in a set of far copies. */
  readonly setSize: number;
  /** Rows of chunks of one run of copies. */
  readonly rows: number;
  /** Chunks after which the pattern of members begins again. */
  readonly positions: number;
  /** Rows of a member from one chunk of a position to the next. */
  readonly turn: number;
}

/** Makes the tables of a raid10 array: what the positions stand on first, the stripe over them last. @throws {StorageError} EBADMSG */
export function raid10Tables(shape: MdShape): StackTable[] {
  const { array, naming } = shape;
  const geometry = geometryOf(shape);
  const { members, near, chunk, rows, far, positions } = geometry;
  checkComponents(
    array.slots.filter((leg) => leg !== undefined),
    rows * far * chunk,
    naming.name,
  );
  const chunks = Math.floor((rows * members) / near);
  const turns = Math.floor(chunks / positions);
  const more = chunks - turns * positions;
  const tables: StackTable[] = [];
  const tops: string[] = [];
  for (let position = 0; position < positions; position += 1) {
    const length = (turns + (position < more ? 1 : 0)) * chunk;
    if (length === 0) break;
    const name = `${naming.name}/${position}`;
    tables.push(...positionTables(shape, geometry, { position, name, length }));
    tops.push(name);
  }
  const list = new RowList(naming);
  if (positions === 1) list.add(chunks * chunk, `linear ${tops[0]} 0`);
  else {
    const legs = tops.map((name) => `${name} 0`).join(" ");
    list.add(turns * positions * chunk, `striped ${positions} ${chunk} ${legs}`);
    // the last turn has not all of the pattern
    for (const name of tops.slice(0, more)) list.add(chunk, `linear ${name} ${turns * chunk}`);
  }
  return [...tables, { name: naming.name, rows: list.rows }];
}

function geometryOf({ array, naming }: MdShape): Geometry {
  const { layout = 0, chunk, raidDisks: members, componentSectors } = array.newest;
  const [near, far] = [layout % 256, Math.floor(layout / 256) % 256];
  const isOffset = (layout & (1 << 16)) !== 0 && far > 1;
  const sets = layout >>> 17;
  const setSize = [members, Math.floor(members / far), far * near][sets];
  const told = `layout 0x${layout.toString(16)} (near ${near}, far ${far}${isOffset ? ", offset" : ""}) on ${members} members with chunks of ${chunk} sectors`;
  if (near < 1 || far < 1 || near * far > members || chunk < 1 || setSize === undefined)
    throw volumeError(naming.name, `${told} is none that the kernel knows`);
  if (members % near !== 0 && isOffset)
    throw volumeError(
      naming.name,
      `${told} is not read: want near copies that divide the members, or far copies that are not "offset": the kernel puts two chunks at one place`,
    );
  const rows = Math.floor(Math.floor(componentSectors / chunk) / far);
  const slots = leastMultiple(near, members);
  const turn = (slots / members) * (isOffset ? far : 1);
  return { members, near, far, isOffset, chunk, setSize, rows, positions: slots / near, turn };
}

function leastMultiple(one: number, other: number): number {
  let multiple = one;
  while (multiple % other !== 0) multiple += one;
  return multiple;
}

/** A place of a chunk in the pattern. */
interface Position {
  readonly position: number;
  /** Name of its table. */
  readonly name: string;
  /** Sectors. */
  readonly length: number;
}

/** The table of a position, behind those of its combs. */
function positionTables(shape: MdShape, geometry: Geometry, at: Position): StackTable[] {
  const { naming, unsynced } = shape;
  const tables: StackTable[] = [];
  const copies: MdCopy[] = [];
  for (const { member, row, start } of copiesOf(at.position, geometry)) {
    const leg = shape.array.slots[member];
    if (leg === undefined) continue;
    if (geometry.turn === 1) copies.push(runCopy(leg, start));
    else {
      const { chunk, turn: count } = geometry;
      const comb: Comb = { chunk, count, index: row, start, length: at.length };
      const { table, copy } = combCopy(`${at.name}.${copies.length}`, { leg, comb, naming });
      tables.push(table);
      copies.push(copy);
    }
  }
  const list = new RowList(naming);
  // which range of a position is not in sync is not looked for: one copy alone serves then
  const differing = unsynced.length === 0 ? [] : [{ start: 0, end: at.length }];
  addCopies(list, copies, { length: at.length, unsynced: differing });
  return [...tables, { name: at.name, rows: list.rows }];
}

/** Where a copy of a position's first chunk is. */
interface Place {
  readonly member: number;
  /** Which row of a turn. */
  readonly row: number;
  /** Sectors of the member's data before its first turn. */
  readonly start: number;
}

/** The places of all copies of a position, the kernel's first choice first. */
function* copiesOf(position: number, geometry: Geometry): Generator<Place> {
  const { members, near, far, isOffset, rows, chunk } = geometry;
  for (let copy = 0; copy < near; copy += 1) {
    const slot = position * near + copy;
    let member = slot % members;
    const row = Math.floor(slot / members);
    for (let run = 0; run < far; run += 1) {
      yield isOffset
        ? { member, row: row * far + run, start: 0 }
        : { member, row, start: run * rows * chunk };
      member = nextMember(member, geometry);
    }
  }
}

/** The member of the next far copy. */
function nextMember(member: number, { members, near, setSize }: Geometry): number {
  const set = Math.floor(member / setSize);
  const lastStart = (Math.floor(members / setSize) - 1) * setSize;
  const next = member + near;
  if (members % setSize !== 0 && next > lastStart) {
    const lastSize = setSize + (members % setSize);
    return lastStart + ((next - lastStart) % lastSize);
  }
  return setSize * set + (next % setSize);
}
