/**
 * md-raid10: a raid10 array as a stripe over positions, each of them a mirror of the copies that stand at the same place of their members
 * (drivers/md/raid10.c, setup_geo, __raid10_find_phys).
 *
 * With n members, chunk c has its near copies in the slots c * near, c * near + 1, ... of rows of n slots. Where near divides n, the slots
 * of a position are always the same members, and a position's rows follow each other: so it is a run of each of its members. A far copy is the
 * same run again, `stride` further on, on the member `near` slots to the right (inside its set of members, in the newer layouts).
 *
 * Other layouts (near 2 on 3 members; "offset", whose copies alternate row by row) take every second row of a member, which no table of linear,
 * striped and mirror rows can say: refused.
 */
import type { StackTable } from "../stack-text.ts";
import type { MdLeg } from "./md-array.ts";
import { addCopies, checkComponents, RowList, type MdCopy, type MdShape } from "./md-rows.ts";
import { volumeError } from "./volume-error.ts";

/** How copies are spread. */
interface Geometry {
  readonly members: number;
  readonly near: number;
  readonly far: number;
  /** Sectors. */
  readonly chunk: number;
  /** Members in a set of far copies. */
  readonly setSize: number;
  /** Rows of chunks of one run of copies. */
  readonly rows: number;
}

/** Makes the tables of a raid10 array: positions first, the stripe over them last. @throws {StorageError} EBADMSG */
export function raid10Tables(shape: MdShape): StackTable[] {
  const { array, naming, unsynced } = shape;
  const { name } = naming;
  const geometry = geometryOf(shape);
  const { members, near, chunk, rows } = geometry;
  checkComponents(
    array.slots.filter((leg) => leg !== undefined),
    rows * geometry.far * chunk,
    name,
  );
  const count = members / near;
  const tables: StackTable[] = [];
  for (let position = 0; position < count; position += 1) {
    const copies = copiesOf(position * near, geometry, array.slots);
    const list = new RowList(naming);
    // which range of a position is not in sync is not looked for: one copy alone serves then
    const run = rows * chunk;
    const differing = unsynced.length === 0 ? [] : [{ start: 0, end: run }];
    addCopies(list, copies, { length: run, unsynced: differing });
    tables.push({ name: `${name}/${position}`, rows: list.rows });
  }
  const list = new RowList(naming);
  const legs = tables.map((table) => `${table.name} 0`).join(" ");
  list.add(
    count * rows * chunk,
    count === 1 ? `linear ${legs}` : `striped ${count} ${chunk} ${legs}`,
  );
  return [...tables, { name, rows: list.rows }];
}

function geometryOf({ array, naming }: MdShape): Geometry {
  const { layout = 0, chunk, raidDisks: members, componentSectors } = array.newest;
  const [near, far] = [layout % 256, Math.floor(layout / 256) % 256];
  const isOffset = (layout & (1 << 16)) !== 0;
  const sets = layout >>> 17;
  const setSize = [members, Math.floor(members / far), far * near][sets];
  const told = `layout 0x${layout.toString(16)} (near ${near}, far ${far}${isOffset ? ", offset" : ""}) on ${members} members with chunks of ${chunk} sectors`;
  if (near < 1 || far < 1 || near * far > members || chunk < 1 || setSize === undefined)
    throw volumeError(naming.name, `${told} is none that the kernel knows`);
  if (members % near !== 0 || (isOffset && far > 1))
    throw volumeError(
      naming.name,
      `${told} is not read: want copies in whole runs: near copies that divide the members, far copies that are not "offset"`,
    );
  const rows = Math.floor(Math.floor(componentSectors / chunk) / far);
  return { members, near, far, chunk, setSize, rows };
}

/** The places of all copies of a position that are there, the kernel's first choice first. */
function copiesOf(
  first: number,
  geometry: Geometry,
  slots: readonly (MdLeg | undefined)[],
): MdCopy[] {
  const { near, far, rows, chunk } = geometry;
  const copies: MdCopy[] = [];
  for (let copy = 0; copy < near; copy += 1) {
    let member = first + copy;
    for (let run = 0; run < far; run += 1) {
      const leg = slots[member];
      if (leg !== undefined) copies.push({ leg, start: run * rows * chunk });
      member = nextMember(member, geometry);
    }
  }
  return copies;
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
