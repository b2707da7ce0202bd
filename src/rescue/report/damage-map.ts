/**
 * DamageMap: a target of any size as a picture of at most some thousand cells, each with its bytes by state and, where it is damaged, by owner.
 *
 * One pass over the list and over the damage, in time and memory of both and not of the target. A cell is a power of two of bytes.
 */
import { endOf, intersect, RangeSet, type ByteRange } from "../../base/index.ts";
import type { OwnerKind } from "../../fs/index.ts";
import type { PoisonView } from "../../poison/index.ts";
import type { Damage } from "../damage.ts";

/** Bytes of a cell by what they are; "repaired" is clean, and was not. They add up to the cell's length. */
export type CellStates = Record<"clean" | "repaired" | "unread" | "poisoned" | "lost", number>;

/** One cell. */
export interface MapCell extends ByteRange {
  readonly states: CellStates;
  /** Bad bytes by the kind of their first owner; a kind without bytes is not there. */
  readonly owners: Partial<Record<OwnerKind, number>>;
  /** The first files that miss bytes here, at most three. */
  readonly paths: readonly string[];
}

/** The picture. */
export interface DamageMap {
  /** Bytes of a cell; the last one may be shorter. */
  readonly cellBytes: number;
  /** Cells of a row. */
  readonly columns: number;
  /** By place, without gaps. */
  readonly cells: readonly MapCell[];
}

/** What a map is made of. */
export interface DamageMapParts {
  readonly poison: PoisonView;
  readonly damage: readonly Damage[];
  /** What was healed; what of it is bad now does not count. */
  readonly repaired: RangeSet;
  /** Ranges that are bad beside the list: a kernel log reports them. @default none */
  readonly reported?: Iterable<ByteRange>;
}

/** Cells at most, and cells of a row. */
export const MOST_CELLS = 2048;
const COLUMNS = 64;
const SMALLEST_CELL = 512;
const MOST_PATHS = 3;

/** Makes the map of a target. */
export function damageMap(parts: DamageMapParts): DamageMap {
  const { size } = parts.poison;
  let cellBytes = SMALLEST_CELL;
  while (size / cellBytes > MOST_CELLS) cellBytes *= 2;
  const cells = Array.from({ length: Math.ceil(size / cellBytes) }, (_, index): MapCell => {
    const offset = index * cellBytes;
    const length = Math.min(cellBytes, size - offset);
    const states = { clean: 0, repaired: 0, unread: 0, poisoned: 0, lost: 0 };
    return { offset, length, states, owners: {}, paths: [] };
  });
  const grid = { cells, cellBytes };
  for (const part of parts.poison.states({ offset: 0, length: size }))
    spread(grid, part, (cell, bytes) => (cell.states[part.state] += bytes));
  addReported(grid, parts);
  for (const one of parts.damage) addOwners(grid, one);
  for (const range of parts.repaired) addRepaired(grid, range, parts.poison);
  return { cellBytes, columns: COLUMNS, cells };
}

interface Grid {
  readonly cells: readonly MapCell[];
  readonly cellBytes: number;
}

/** Gives each cell that a range touches its share. */
function spread(
  { cells, cellBytes }: Grid,
  range: ByteRange,
  give: (cell: MapCell, bytes: number) => void,
): void {
  for (let index = Math.floor(range.offset / cellBytes); index < cells.length; index += 1) {
    const cell = cells[index];
    if (cell === undefined || cell.offset >= endOf(range)) break;
    const shared = intersect(cell, range);
    if (shared !== undefined) give(cell, shared.length);
  }
}

function addReported(grid: Grid, { poison, reported = [] }: DamageMapParts): void {
  for (const range of RangeSet.from(reported)) {
    for (const part of poison.states(range)) {
      const { state } = part;
      if (state !== "clean" && state !== "unread") continue;
      spread(grid, part, ({ states }, bytes) => {
        states[state] -= bytes;
        states.poisoned += bytes;
      });
    }
  }
}

function addOwners(grid: Grid, damage: Damage): void {
  const [owner] = damage.owners;
  const kind = owner?.kind ?? "unknown";
  const path = owner?.paths?.[0];
  spread(grid, damage, (cell, bytes) => {
    cell.owners[kind] = (cell.owners[kind] ?? 0) + bytes;
    const paths = cell.paths as string[];
    if (path !== undefined && paths.length < MOST_PATHS && !paths.includes(path)) paths.push(path);
  });
}

/** What was healed and is clean now. */
function addRepaired(grid: Grid, range: ByteRange, poison: PoisonView): void {
  const inside = intersect(range, { offset: 0, length: poison.size });
  if (inside === undefined) return;
  for (const part of poison.states(inside)) {
    if (part.state !== "clean") continue;
    spread(grid, part, ({ states }, bytes) => {
      const moved = Math.min(states.clean, bytes);
      states.clean -= moved;
      states.repaired += moved;
    });
  }
}

/** The state that a cell is shown with: the worst of its bytes. */
export function worstOf({ states }: MapCell): keyof CellStates {
  if (states.poisoned > 0) return "poisoned";
  if (states.lost > 0) return "lost";
  if (states.repaired > 0) return "repaired";
  return states.unread > states.clean ? "unread" : "clean";
}

/** Bad bytes of a cell. */
export function badBytesOf({ states }: Pick<MapCell, "states">): number {
  return states.poisoned + states.lost;
}

/** The kind that owns most of a cell's bad bytes; `undefined` where none is bad. */
export function ownerOfCell({ owners }: MapCell): OwnerKind | undefined {
  let most: OwnerKind | undefined;
  for (const [kind, bytes] of Object.entries(owners) as [OwnerKind, number][]) {
    if (most === undefined || bytes > (owners[most] ?? 0)) most = kind;
  }
  return most;
}
