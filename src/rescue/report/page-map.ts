/**
 * PageMap: the damage map as a picture: what ddrescueview draws, and whose bytes are gone. Two views of one grid, by state and by owner.
 *
 * Whole stretches of a row that are alike are one shape, with a grid laid over all; what is damaged is a cell of its own, as large as the share of its
 * bytes that is bad and never too small to be seen, and leads to the file that it belongs to. So a picture of any device stays small.
 */
import { endOf, formatSize } from "../../base/index.ts";
import {
  badBytesOf,
  ownerOfCell,
  worstOf,
  type CellStates,
  type DamageMap,
  type MapCell,
} from "./damage-map.ts";
import { escapeHtml, grouped } from "./html-text.ts";

/** Units of the picture for one cell. */
const CELL = 10;
/** Smallest mark, so that one sector of a terabyte is seen. */
const LEAST_MARK = 5.5;
/** Bytes of names that stand beside the pointer, over all cells. */
const MOST_NAMES = 60_000;

/** Where a cell leads to: the id of the row of its first path, or of what belongs to no file; `undefined`: it has none. */
export type LinkOf = (path: string | undefined) => string | undefined;

const STATE_NAMES: Readonly<Record<keyof CellStates, string>> = {
  clean: "clean",
  repaired: "repaired, clean now",
  unread: "unread: nobody knows",
  poisoned: "poisoned",
  lost: "lost: cleared, not restored",
};

const OWNER_NAMES: Readonly<Record<string, string>> = {
  file: "content of files",
  directory: "directories",
  metadata: "metadata",
  journal: "journal",
  slack: "slack: nothing is missing",
  free: "free space: nothing is missing",
  unknown: "unknown",
};

/** Both views with their legends. */
export function* mapHtml(map: DamageMap, linkOf: LinkOf): Generator<string> {
  const { cells, cellBytes, columns } = map;
  const rowBytes = cellBytes * columns;
  yield `<fieldset class="views"><input type="radio" name="view" id="by-state" checked><input type="radio" name="view" id="by-owner">`;
  yield `<label for="by-state">By state</label><label for="by-owner">By owner</label>`;
  for (const view of ["state", "owner"] as const) {
    yield `<div class="view ${view}-view">`;
    yield* gridSvg(map, view, linkOf);
    const last = cells.at(-1);
    const end = last === undefined ? 0 : endOf(last);
    yield `<div class="ends"><span>0</span><span>one block is ${formatSize(cellBytes)}, one row ${formatSize(rowBytes)}</span><span>${formatSize(end)}</span></div>`;
    yield view === "state" ? stateLegend(map) : ownerLegend(map);
    yield "</div>";
  }
  yield "</fieldset>";
}

function* gridSvg(map: DamageMap, view: "state" | "owner", linkOf: LinkOf): Generator<string> {
  const rows = Math.max(1, Math.ceil(map.cells.length / map.columns));
  const width = map.columns * CELL;
  const height = rows * CELL;
  const name = view === "state" ? "The device by state" : "What is damaged, by owner";
  yield `<svg class="map" viewBox="0 0 ${width} ${height}" role="group" aria-label="${name}">`;
  if (view === "state") yield PATTERNS;
  yield* stretches(map, view);
  yield `<rect width="${width}" height="${height}" class="lines"/>`;
  yield view === "state" ? [...stateMarks(map, linkOf)].join("") : ownerMarks(map);
  yield "</svg>";
}

/** The lines of the grid, and the look of what is lost: hatched, so that no colour alone tells it. Both views use them. */
const PATTERNS =
  `<defs><pattern id="lines" width="${CELL}" height="${CELL}" patternUnits="userSpaceOnUse"><path class="grid" d="M0 0H${CELL}M0 0V${CELL}"/></pattern>` +
  `<pattern id="lost" width="4" height="4" patternUnits="userSpaceOnUse"><rect class="s-lost" width="4" height="4"/><path class="hatch" d="M-1 1L1 -1M0 4L4 0M3 5L5 3"/></pattern></defs>`;

/** What lies under the marks: what most of a cell is. */
function groundOf({ states }: MapCell): "clean" | "unread" {
  return states.unread > states.clean + states.repaired ? "unread" : "clean";
}

/** Stretches of a row that are alike, each one shape. */
function* stretches(map: DamageMap, view: "state" | "owner"): Generator<string> {
  const { cells, columns } = map;
  for (let start = 0; start < cells.length;) {
    const first = cells[start] as MapCell;
    const ground = groundOf(first);
    const rowEnd = start - (start % columns) + columns;
    let stop = start + 1;
    while (stop < Math.min(rowEnd, cells.length) && groundOf(cells[stop] as MapCell) === ground)
      stop += 1;
    const last = cells[stop - 1] as MapCell;
    const x = (start % columns) * CELL;
    const y = Math.floor(start / columns) * CELL;
    const place = `x="${x}" y="${y}" width="${(stop - start) * CELL}" height="${CELL}"`;
    const title = `${formatSize(first.offset)} to ${formatSize(endOf(last))}: ${STATE_NAMES[ground]}`;
    yield view === "state"
      ? `<rect class="s-${ground}" ${place}><title>${title}</title></rect>`
      : `<rect class="back" ${place}/>`;
    start = stop;
  }
}

/** Where a mark stands: in the middle of its cell, as large as the share of its bytes. */
function squareOf(map: DamageMap, index: number, bytes: number): readonly [number, number, number] {
  const cell = map.cells[index] as MapCell;
  const inside = CELL - 1.2;
  const side = LEAST_MARK + (inside - LEAST_MARK) * Math.sqrt(Math.min(1, bytes / cell.length));
  const margin = (inside - side) / 2 + 0.9;
  const x = (index % map.columns) * CELL + margin;
  const y = Math.floor(index / map.columns) * CELL + margin;
  return [round(x), round(y), round(side)];
}

/** What was repaired, and over it what is bad: each a shape with what it is, and where it leads. */
function* stateMarks(map: DamageMap, linkOf: LinkOf): Generator<string> {
  const budget = { bytes: MOST_NAMES };
  yield `<path class="s-repaired" d="${pathOf(map, ({ states }) => (badBytesOf({ states }) > 0 ? states.repaired : 0))}"/>`;
  for (const [index, cell] of map.cells.entries()) {
    const bad = badBytesOf(cell);
    const bytes = bad > 0 ? bad : cell.states.repaired;
    if (bytes === 0) continue;
    const [x, y, side] = squareOf(map, index, bytes);
    const look = bad > 0 ? worstOf(cell) : "repaired";
    const shape = `<rect class="s-${look}" x="${x}" y="${y}" width="${side}" height="${side}"><title>${titleOf(cell, budget)}</title></rect>`;
    const link = bad > 0 ? linkOf(cell.paths[0]) : undefined;
    yield link === undefined ? shape : `<a href="#${link}">${shape}</a>`;
  }
}

/** What is bad, one shape for all that belongs to one kind. */
function ownerMarks(map: DamageMap): string {
  return Object.entries(OWNER_NAMES)
    .map(([kind, name]) => {
      const path = pathOf(map, (cell) => (ownerOfCell(cell) === kind ? badBytesOf(cell) : 0));
      return path === "" ? "" : `<path class="o-${kind}" d="${path}"><title>${name}</title></path>`;
    })
    .join("");
}

/** Squares of all cells with bytes of a kind, as one path. */
function pathOf(map: DamageMap, bytesOf: (cell: MapCell) => number): string {
  let path = "";
  for (const [index, cell] of map.cells.entries()) {
    const bytes = bytesOf(cell);
    if (bytes === 0) continue;
    const [x, y, side] = squareOf(map, index, bytes);
    path += `M${x} ${y}h${side}v${side}h-${side}z`;
  }
  return path;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

/** What stands beside the pointer; names only as long as there is room for them. */
function titleOf(cell: MapCell, budget: { bytes: number }): string {
  const parts = Object.entries(cell.states)
    .filter(([, bytes]) => bytes > 0)
    .map(([state, bytes]) => `${state} ${grouped(bytes)}`);
  const owners = Object.entries(cell.owners).map(([kind, bytes]) => `${kind} ${grouped(bytes)}`);
  const lines = [
    `${grouped(cell.offset)} to ${grouped(endOf(cell))}`,
    `${parts.join(", ")} bytes`,
    ...(owners.length === 0 ? [] : [owners.join(", ")]),
  ];
  for (const path of budget.bytes > 0 ? cell.paths : []) {
    const name = escapeHtml(path.length > 120 ? `…${path.slice(-118)}` : path);
    budget.bytes -= Buffer.byteLength(name);
    lines.push(name);
  }
  return lines.join("\n");
}

function stateLegend({ cells }: DamageMap): string {
  const sums = { clean: 0, repaired: 0, unread: 0, poisoned: 0, lost: 0 };
  for (const { states } of cells)
    for (const state of Object.keys(sums) as (keyof CellStates)[]) sums[state] += states[state];
  const items = Object.entries(sums)
    .filter(([, bytes]) => bytes > 0)
    .map(([state, bytes]) => {
      const name = STATE_NAMES[state as keyof CellStates];
      return legendItem(`s-${state}`, `${name}, ${formatSize(bytes)}`);
    });
  return `<ul class="legend">${items.join("")}</ul>`;
}

function ownerLegend({ cells }: DamageMap): string {
  const sums = new Map<string, number>();
  for (const { owners } of cells)
    for (const [kind, bytes] of Object.entries(owners))
      sums.set(kind, (sums.get(kind) ?? 0) + bytes);
  const items = Object.entries(OWNER_NAMES).flatMap(([kind, name]) => {
    const bytes = sums.get(kind) ?? 0;
    return bytes === 0 ? [] : [legendItem(`o-${kind}`, `${name}, ${formatSize(bytes)}`)];
  });
  return items.length === 0
    ? `<p class="soft small">Nothing is damaged.</p>`
    : `<ul class="legend">${items.join("")}</ul>`;
}

function legendItem(look: string, text: string): string {
  return `<li><svg class="map" viewBox="0 0 14 14" aria-hidden="true"><rect class="${look}" width="14" height="14"/></svg><span>${text}</span></li>`;
}
