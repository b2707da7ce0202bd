/** PageTables: what is hit and what was done, as tables of the page. Each shows its first rows and says how many there are: a page stays small. */
import { endOf, formatSize } from "../../base/index.ts";
import { firstRows, type Budget } from "./budget.ts";
import type { DoneRun, DoneStep } from "./history.ts";
import { escapeHtml, grouped, nameHtml } from "./html-text.ts";
import type { HitClass, HitFile, MissingRange } from "./report.ts";

/** Of each table so much is shown, and of a file so many ranges. */
const FILES: Budget = { rows: 200, bytes: 140_000 };
const CLASSES: Budget = { rows: 60, bytes: 40_000 };
const RUNS: Budget = { rows: 20, bytes: 100_000 };
const TROUBLED: Budget = { rows: 40, bytes: 30_000 };
const WORKED: Budget = { rows: 40, bytes: 15_000 };
const SUMS: Budget = { rows: 16, bytes: 8000 };
const MOST_RANGES = 8;
const MOST_DONORS = 8;

/** The row of a file, by its place in the table. */
export function fileId(index: number): string {
  return `f${index}`;
}

/** Files that miss bytes. @returns how many have a row, from the first on */
export function* filesHtml(files: readonly HitFile[]): Generator<string, number> {
  yield `<table class="wide"><thead><tr><th>File</th><th class="num">Missing</th><th>Bytes of the file</th></tr></thead><tbody>`;
  const shown = yield* firstRows(rowsOf(files, fileRow), FILES);
  yield "</tbody></table>";
  yield more(files.length - shown, "files");
  return shown;
}

function* rowsOf<T>(
  items: Iterable<T>,
  row: (item: T, index: number) => string,
): Generator<string> {
  let index = 0;
  for (const item of items) {
    yield row(item, index);
    index += 1;
  }
}

function fileRow(file: HitFile, index: number): string {
  const [path] = file.paths;
  const name = path === undefined ? `inode ${file.inode ?? "?"}, no path` : nameHtml(path);
  const links =
    file.paths.length > 1 ? ` <span class="soft">+${file.paths.length - 1} names</span>` : "";
  const what = file.what === "data" ? "" : ` <span class="tag">${escapeHtml(file.what)}</span>`;
  const shown = file.ranges.slice(0, MOST_RANGES).map(rangeHtml);
  const rest = file.ranges.length - shown.length;
  if (rest > 0) shown.push(`<span class="soft">and ${grouped(rest)} more</span>`);
  return `<tr id="${fileId(index)}"><td>${name}${links}${what}</td><td class="num" data-label="Missing">${bytesHtml(file.bytes)}</td><td class="num" data-label="Bytes of the file"><div class="ranges">${shown.join("")}</div></td></tr>`;
}

function rangeHtml({ offset, length, state }: MissingRange): string {
  const place =
    offset === undefined ? "somewhere" : `${grouped(offset)}–${grouped(offset + length)}`;
  return `<span>${place} <span class="soft">${state}</span></span>`;
}

/** Everything else that is bad. */
export function* elsewhereHtml(classes: readonly HitClass[]): Generator<string> {
  yield `<table><thead><tr><th>What</th><th class="num">Bytes</th><th>What it means</th></tr></thead><tbody>`;
  const shown = yield* firstRows(rowsOf(classes, classRow), CLASSES);
  yield "</tbody></table>";
  yield more(classes.length - shown, "classes");
}

function classRow(hit: HitClass): string {
  const ranges = `${grouped(hit.ranges)} ${hit.ranges === 1 ? "range" : "ranges"}, first at ${grouped(hit.at)}`;
  return `<tr><td><svg class="swatch o-${hit.kind}" aria-hidden="true"></svg> ${escapeHtml(hit.what)} <span class="soft">${hit.kind}</span></td><td class="num" data-label="Bytes">${bytesHtml(hit.bytes)}<br><span class="soft small">${ranges}</span></td><td>${escapeHtml(hit.why)}</td></tr>`;
}

/** What was done, the last run first. */
export function* historyHtml(history: readonly DoneRun[]): Generator<string> {
  const runs = rowsOf(history.toReversed(), (run) => [...runHtml(run)].join(""));
  const shown = yield* firstRows(runs, RUNS);
  yield more(history.length - shown, "runs");
}

function* runHtml(run: DoneRun): Generator<string> {
  const when = run.at === undefined ? "" : ` <span class="soft small">${timeHtml(run.at)}</span>`;
  const end = run.complete === false ? ` <span class="tag bad">interrupted</span>` : "";
  yield `<div class="run"><h3>${escapeHtml(titled(run.what))}${end}${when}</h3>`;
  const donors = run.donors ?? [];
  if (donors.length > 0)
    yield `<p class="small soft">from ${donors.slice(0, MOST_DONORS).map(nameHtml).join(", ")}</p>`;
  yield* sumsHtml(Object.entries(run.sums).filter(([, bytes]) => bytes > 0));
  if (run.steps.length > 0) yield* stepsHtml(run.steps);
  yield "</div>";
}

/** Bytes by what became of them. */
export function* sumsHtml(sums: readonly (readonly [string, number])[]): Generator<string> {
  yield `<ul class="chips">`;
  yield* firstRows(
    rowsOf(
      sums,
      ([name, bytes]) => `<li>${escapeHtml(name)} <b class="num">${grouped(bytes)}</b></li>`,
    ),
    SUMS,
  );
  yield "</ul>";
}

/** Steps of a run: those that did not work stand open, because they are what there is to do. */
function* stepsHtml(steps: readonly DoneStep[]): Generator<string> {
  const troubled = steps.filter(({ outcome }) => !isGood(outcome));
  const worked = steps.filter(({ outcome }) => isGood(outcome));
  if (troubled.length > 0) yield* stepTable(troubled, TROUBLED);
  if (worked.length === 0) return;
  const title = `${grouped(worked.length)} ${worked.length === 1 ? "step" : "steps"} without trouble`;
  yield `<details><summary>${title}</summary>`;
  yield* stepTable(worked, WORKED);
  yield "</details>";
}

function* stepTable(steps: readonly DoneStep[], budget: Budget): Generator<string> {
  yield `<table><thead><tr><th>What became of it</th><th class="num">Bytes of the device</th><th>Whose, and why</th></tr></thead><tbody>`;
  const shown = yield* firstRows(rowsOf(steps, stepRow), budget);
  yield "</tbody></table>";
  yield more(steps.length - shown, "steps");
}

function isGood(outcome: string): boolean {
  return (
    outcome === "healed" || outcome === "given-up" || outcome === "undone" || outcome === "left"
  );
}

function stepRow(step: DoneStep): string {
  const good = step.outcome === "healed" ? " good" : isGood(step.outcome) ? "" : " bad";
  const grade =
    step.grade === undefined ? "" : ` <span class="tag">${escapeHtml(step.grade)}</span>`;
  const donor =
    step.donor === undefined ? "" : ` <span class="soft">from</span> ${nameHtml(step.donor)}`;
  const path = step.path === undefined ? "" : `${nameHtml(step.path)}<br>`;
  const why = `<span class="small soft">${escapeHtml(step.reason ?? "")}</span>`;
  return `<tr><td><span class="tag${good}">${escapeHtml(step.outcome)}</span>${grade}${donor}</td><td class="num" data-label="Bytes of the device">${grouped(step.offset)}–${grouped(endOf(step))}</td><td>${path}${why}</td></tr>`;
}

/** Exact bytes, and for people. */
function bytesHtml(bytes: number): string {
  return bytes < 1024
    ? `${bytes} B`
    : `${formatSize(bytes)} <span class="soft small">${grouped(bytes)} B</span>`;
}

function more(count: number, what: string): string {
  return count > 0
    ? `<p class="soft small">And ${grouped(count)} more ${what}: the JSON document has all of them.</p>`
    : "";
}

/** A time of a log as people read it; what is none stays as it is. */
export function timeHtml(text: string): string {
  const date = new Date(text);
  return Number.isNaN(date.getTime())
    ? escapeHtml(text)
    : `${date.toISOString().slice(0, 16).replace("T", " ")} UTC`;
}

function titled(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}
