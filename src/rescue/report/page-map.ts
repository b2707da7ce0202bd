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

/** Where a cell leads to: the id of the row of a path; `undefined`: it has none. */
export type LinkOf = (path: string) => string | undefined;

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
  yield `<svg class="map" viewBox="0 0 ${width} ${height}" role="group" aria-label="${name}"><defs>`;
  yield `<pattern id="g-${view}" width="${CELL}" height="${CELL}" patternUnits="userSpaceOnUse"><path class="grid" d="M0 0H${CELL}M0 0V${CELL}"/></pattern>`;
  yield `<pattern id="h-${view}" width="4" height="4" patternUnits="userSpaceOnUse"><path class="hatch" d="M-1 1L1 -1M0 4L4 0M3 5L5 3"/></pattern></defs>`;
  yield* stretches(map, view);
  // a pattern starts at its own edge: the last lines on the right and below are the card's own colour anyway
  yield `<rect width="${width}" height="${height}" fill="url(#g-${view})" pointer-events="none"/>`;
  for (const [index, cell] of map.cells.entries())
    if (badBytesOf(cell) + cell.states.repaired > 0)
      yield marksSvg({ cell, index, columns: map.columns }, view, linkOf);
  yield "</svg>";
}

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

/** Where a cell stands. */
interface Place {
  readonly cell: MapCell;
  readonly index: number;
  readonly columns: number;
}

/** What of a cell was repaired, and what of it is bad; each as large as its share, the one over the other. */
function marksSvg(at: Place, view: "state" | "owner", linkOf: LinkOf): string {
  const { cell } = at;
  const { repaired } = cell.states;
  const title = `<title>${titleOf(cell)}</title>`;
  const isRepaired = repaired > 0 && view === "state";
  const under = isRepaired ? markSvg(at, { bytes: repaired, look: "s-repaired", title }) : "";
  const bytes = badBytesOf(cell);
  if (bytes === 0) return under;
  const state = worstOf(cell);
  const look = view === "state" ? `s-${state}` : `o-${ownerOfCell(cell) ?? "unknown"}`;
  const mark = markSvg(at, { bytes, look, title });
  const isLost = view === "state" && state === "lost";
  const hatch = isLost ? markSvg(at, { bytes, look: "hatched", title: "" }) : "";
  const [path] = cell.paths;
  const link = path === undefined ? "elsewhere" : linkOf(path);
  const shape = mark + hatch;
  return under + (link === undefined ? shape : `<a href="#${link}">${shape}</a>`);
}

function markSvg(
  { cell, index, columns }: Place,
  mark: { bytes: number; look: string; title: string },
): string {
  const inside = CELL - 1.2;
  const side = LEAST_MARK + (inside - LEAST_MARK) * Math.sqrt(mark.bytes / cell.length);
  const margin = (inside - side) / 2 + 0.9;
  const x = round((index % columns) * CELL + margin);
  const y = round(Math.floor(index / columns) * CELL + margin);
  return `<rect class="${mark.look}" x="${x}" y="${y}" width="${round(side)}" height="${round(side)}" rx="1">${mark.title}</rect>`;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

/** What stands beside the pointer. */
function titleOf(cell: MapCell): string {
  const parts = Object.entries(cell.states)
    .filter(([, bytes]) => bytes > 0)
    .map(([state, bytes]) => `${state} ${grouped(bytes)}`);
  const owners = Object.entries(cell.owners).map(([kind, bytes]) => `${kind} ${grouped(bytes)}`);
  const lines = [
    `${grouped(cell.offset)} to ${grouped(endOf(cell))}`,
    `${parts.join(", ")} bytes`,
    ...(owners.length === 0 ? [] : [`whose: ${owners.join(", ")}`]),
    ...cell.paths.map((path) => (path.length > 120 ? `…${path.slice(-118)}` : path)),
  ];
  return lines.map(escapeHtml).join("\n");
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
  const hatch = look === "s-lost" ? `<rect class="hatched" width="14" height="14"/>` : "";
  return `<li><svg viewBox="0 0 14 14" aria-hidden="true"><rect class="${look}" width="14" height="14" rx="3"/><g class="map">${hatch}</g></svg><span>${text}</span></li>`;
}
