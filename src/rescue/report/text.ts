/** Text: a report as plain text, for a terminal or a mail: the map in characters, files, everything else, what was done. */
import { endOf, formatSize } from "../../base/index.ts";
import { badBytesOf, worstOf, type DamageMap, type MapCell } from "./damage-map.ts";
import type { DoneRun } from "./history.ts";
import { grouped, visible } from "./html-text.ts";
import type { HitFile, Report } from "./report.ts";

/** A character of the map: `.` clean, `r` repaired, `?` unread, `#` poisoned, `x` lost. */
const SIGNS: Readonly<Record<ReturnType<typeof worstOf>, string>> = {
  clean: ".",
  repaired: "r",
  unread: "?",
  poisoned: "#",
  lost: "x",
};

const MOST_FILES = 200;
const MOST_RANGES = 8;
const MOST_ROWS = 64;

/** The text, line by line, each with its newline. The line of R7 is the caller's. */
export function* reportText(report: Report): Generator<string> {
  yield `${visible(report.target)}: damage report, ${report.made.slice(0, 16).replace("T", " ")} UTC\n`;
  yield report.missing > 0
    ? `${grouped(report.missing)} bytes of data are missing; ${report.files.length === 1 ? "one file is" : `${grouped(report.files.length)} files are`} hit\n\n`
    : `no data is ${report.totals.unread > 0 ? "known to be " : ""}missing\n\n`;
  yield* mapText(report.map);
  if (report.files.length > 0) yield "\nFiles that miss bytes\n";
  for (const file of report.files.slice(0, MOST_FILES)) yield* fileText(file);
  if (report.files.length > MOST_FILES)
    yield `  ... and ${grouped(report.files.length - MOST_FILES)} more: see --json\n`;
  if (report.elsewhere.length > 0) yield "\nDamage elsewhere\n";
  for (const { what, kind, bytes, why } of report.elsewhere)
    yield `  ${what} (${kind}): ${grouped(bytes)} bytes. ${visible(why)}\n`;
  if (report.history.length > 0) yield "\nWhat was done\n";
  for (const run of report.history) yield* runText(run);
  if (report.notes.length > 0) yield "\nNotes\n";
  for (const note of report.notes.slice(0, MOST_ROWS)) yield `  ${visible(note)}\n`;
}

function* mapText({ cells, columns, cellBytes }: DamageMap): Generator<string> {
  let same = 0;
  for (let start = 0; start < cells.length; start += columns) {
    const row = cells.slice(start, start + columns);
    // rows that are whole and alike say nothing: one of them stands for all
    const isPlain = row.every((cell) => badBytesOf(cell) === 0 && signOf(cell) === signOf(row[0]));
    const before = cells[start - columns];
    if (isPlain && before !== undefined && same > 0 && signOf(before) === signOf(row[0])) {
      same += 1;
      if (start + columns >= cells.length) yield `  ${"".padStart(9)} (${same - 1} rows like it)\n`;
      continue;
    }
    if (same > 1) yield `  ${"".padStart(9)} (${same - 1} rows like it)\n`;
    same = isPlain ? 1 : 0;
    yield `  ${formatSize(row[0]?.offset ?? 0).padStart(9)} ${row.map(signOf).join("")}\n`;
  }
  yield `  one character is ${formatSize(cellBytes)}: . clean, r repaired, ? unread, # poisoned, x lost\n`;
}

function signOf(cell: MapCell | undefined): string {
  return cell === undefined ? "" : SIGNS[worstOf(cell)];
}

function* fileText(file: HitFile): Generator<string> {
  const [path] = file.paths;
  const name = path === undefined ? `inode ${file.inode ?? "?"}, no path` : visible(path);
  yield `  ${name}: ${grouped(file.bytes)} bytes\n`;
  const shown = file.ranges.slice(0, MOST_RANGES).map(({ offset, length, state }) => {
    const end = endOf({ offset: offset ?? 0, length });
    return offset === undefined ? `somewhere (${state})` : `${offset} to ${end} (${state})`;
  });
  const rest = file.ranges.length - shown.length;
  if (rest > 0) shown.push(`and ${grouped(rest)} more`);
  yield `      ${shown.join(", ")}\n`;
}

function* runText(run: DoneRun): Generator<string> {
  const when = run.at === undefined ? "" : ` ${visible(run.at)}`;
  const donors = run.donors ?? [];
  const from = donors.length === 0 ? "" : ` from ${donors.slice(0, 8).map(visible).join(", ")}`;
  const sums = Object.entries(run.sums)
    .filter(([, bytes]) => bytes > 0)
    .map(([name, bytes]) => `${visible(name)} ${grouped(bytes)}`);
  const end = run.complete === false ? ", interrupted" : "";
  yield `  ${visible(run.what)}${when}${end}${from}: ${sums.join(", ") || "nothing"}\n`;
}
