/**
 * Page: a report as one HTML file that stands alone: no script, no font, no picture and no address from anywhere, and a policy that says so, because it
 * is made of a stranger's names and may be opened anywhere. It reads without its style, on paper, and at the width of a phone; below 1 MiB whatever the damage.
 */
import { createHash } from "node:crypto";
import { formatSize } from "../../base/index.ts";
import { firstRows } from "./budget.ts";
import { escapeHtml, grouped, nameHtml } from "./html-text.ts";
import { mapHtml, type LinkOf } from "./page-map.ts";
import { PAGE_STYLE } from "./page-style.ts";
import {
  elsewhereHtml,
  fileId,
  filesHtml,
  historyHtml,
  sumsHtml,
  timeHtml,
} from "./page-tables.ts";
import type { Report } from "./report.ts";

const STATES = ["clean", "unread", "poisoned", "lost"] as const;

/** Notes that are shown. */
const NOTES = { rows: 20, bytes: 20_000 };

/** The page, piece by piece. */
export function* reportPage(report: Report): Generator<string> {
  yield* head(report);
  yield `<body><main>`;
  yield `<header><h1>${nameHtml(report.target)}</h1><p class="soft small">Damage report of Theriac, ${timeHtml(report.made)} · ${formatSize(report.size)}${volumesText(report)}</p></header>`;
  yield verdict(report);
  yield* totals(report);
  const files = [...filesSection(report)];
  yield `<section><h2>Map</h2>`;
  yield* mapHtml(report.map, linksOf(report, files.join("")));
  yield "</section>";
  yield* files;
  if (report.elsewhere.length > 0) {
    yield `<section id="elsewhere"><h2>Damage elsewhere</h2>`;
    yield* elsewhereHtml(report.elsewhere);
    yield "</section>";
  }
  yield `<section><h2>What was done</h2>`;
  if (report.history.length > 0) yield* historyHtml(report.history);
  else yield `<p class="soft">Nothing is known to have been salvaged or repaired here.</p>`;
  yield "</section>";
  yield* notes(report);
  yield* next(report);
  yield `<footer>Offsets are bytes, the end of a range is the first byte behind it. The document <code>theriac.report/1</code> (<code>theriac report --json</code>) has everything that is shortened here.</footer>`;
  yield "</main></body></html>\n";
}

function* head(report: Report): Generator<string> {
  const hash = createHash("sha256").update(PAGE_STYLE).digest("base64");
  const policy = `default-src 'none'; style-src 'sha256-${hash}'; base-uri 'none'; form-action 'none'`;
  yield `<!doctype html>\n<html lang="en" data-schema="theriac.report/1"><head><meta charset="utf-8">`;
  yield `<meta http-equiv="Content-Security-Policy" content="${policy}">`;
  yield `<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="referrer" content="no-referrer">`;
  yield `<title>${escapeHtml(report.target)}: damage report</title><style>${PAGE_STYLE}</style></head>`;
}

function volumesText({ volumes }: Report): string {
  const systems = volumes
    .filter(({ filesystem }) => filesystem !== null)
    .slice(0, 4)
    .map(({ filesystem, label, name }) => {
      const text = `${filesystem ?? ""}${label === null || label === "" ? "" : ` “${label}”`}`;
      return escapeHtml(name === "" ? text : `${name}: ${text}`);
    });
  return systems.length === 0 ? "" : ` · ${systems.join(" · ")}`;
}

const TICK = `<svg viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2" aria-hidden="true"><circle cx="12" cy="12" r="10"/><path d="M7 12.5l3.5 3.5L17 9"/></svg>`;
const CROSS = `<svg viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2" aria-hidden="true"><circle cx="12" cy="12" r="10"/><path d="M12 6.5v7M12 16.5v1"/></svg>`;

/** What it comes to, in one sentence, and never better than it is. */
function verdict(report: Report): string {
  const { missing, size } = report;
  const { unread } = report.totals;
  const lead =
    missing > 0
      ? `${formatSize(missing)} of data are missing`
      : unread > 0
        ? "No data is known to be missing"
        : "No data is missing";
  const doubt =
    unread === 0
      ? "Every byte was read or is listed."
      : `${unreadText(report)}: more may be bad there.`;
  const empty = size === 0 ? "It is empty." : `${whoseText(report)} ${doubt}`;
  return `<section class="verdict${missing > 0 ? " bad" : ""}">${missing > 0 ? CROSS : TICK}<div><b>${lead}</b><span>${empty.trim()}</span></div></section>`;
}

/** Whose bytes are missing. */
function whoseText({ missing, files, elsewhere }: Report): string {
  const hit = files.length;
  if (missing === 0) return "";
  if (hit > 0) return `${grouped(hit)} ${hit === 1 ? "file misses" : "files miss"} bytes.`;
  return elsewhere.some(({ kind }) => kind === "unknown")
    ? "Whose bytes they are is not known."
    : "No content of a file is hit, but what the file system itself keeps is.";
}

/** How much nobody has read. */
function unreadText({ totals: { unread, total } }: Report): string {
  const percent = Math.floor((unread / total) * 100);
  if (unread === total) return "Nothing of the device has been read yet";
  if (percent >= 99) return "Nearly nothing of the device has been read yet";
  const share = percent === 0 ? formatSize(unread) : `${percent} %`;
  return `${share} of the device have not been read by anybody`;
}

/** The four states of R7, and what moved beside them. */
function* totals({ totals: sums, moved, missing }: Report): Generator<string> {
  yield `<section><h2>Bytes</h2><dl class="tiles">`;
  for (const state of STATES) {
    const percent = sums.total === 0 ? 0 : (sums[state] / sums.total) * 100;
    const share =
      percent > 0 && percent < 0.01 ? "under 0.01" : percent.toFixed(percent === 0 ? 0 : 2);
    yield `<div><dt><svg class="swatch s-${state}" aria-hidden="true"></svg>${state}</dt><dd class="num">${formatSize(sums[state])}<small>${grouped(sums[state])} B · ${share} %</small></dd></div>`;
  }
  yield "</dl>";
  yield barSvg(sums);
  const parts = STATES.map((state) => `${state} ${grouped(sums[state])}`).join(" + ");
  yield `<p class="equation num small">total ${grouped(sums.total)} = ${parts}</p>`;
  yield* sumsHtml([["data missing", missing], ...Object.entries(moved)]);
  yield "</section>";
}

/** The four states as one bar; what is there at all is seen. */
function barSvg(sums: Report["totals"]): string {
  const width = 1000;
  const least = 6;
  const wanted = STATES.map((state) =>
    sums[state] === 0 ? 0 : Math.max(least, (sums[state] / Math.max(1, sums.total)) * width),
  );
  const whole = wanted.reduce((sum, one) => sum + one, 0);
  let x = 0;
  const bars = STATES.map((state, index) => {
    const length = whole === 0 ? 0 : ((wanted[index] ?? 0) / whole) * width;
    const bar = `<rect class="s-${state}" x="${x.toFixed(1)}" width="${length.toFixed(1)}" height="14"/>`;
    x += length;
    return length === 0 ? "" : bar;
  });
  return `<svg class="bar" viewBox="0 0 ${width} 14" preserveAspectRatio="none" aria-hidden="true">${bars.join("")}</svg>`;
}

function* filesSection({ files }: Report): Generator<string> {
  if (files.length === 0) return;
  yield `<section><h2>Files that miss bytes <span class="soft">${grouped(files.length)}</span></h2>`;
  yield* filesHtml(files);
  yield "</section>";
}

/** Where a damaged cell leads to: the row of its file, where it has one. */
function linksOf({ files, elsewhere }: Report, section: string): LinkOf {
  const ids = new Map<string, string>();
  for (const [index, { paths }] of files.entries()) {
    if (!section.includes(` id="${fileId(index)}"`)) break;
    for (const path of paths) if (!ids.has(path)) ids.set(path, fileId(index));
  }
  const others = elsewhere.length > 0 ? "elsewhere" : undefined;
  return (path) => (path === undefined ? others : ids.get(path));
}

function* notes(report: Report): Generator<string> {
  if (report.notes.length === 0) return;
  const items = report.notes.map((note) => `<li>${escapeHtml(note)}</li>`);
  const shown = [...firstRows(items, NOTES)];
  const rest = report.notes.length - shown.length;
  if (rest > 0) shown.push(`<li class="soft">and ${grouped(rest)} more</li>`);
  yield `<section><h2>Notes</h2><ul>${shown.join("")}</ul></section>`;
}

/** What can be done next, where something can. */
function* next({ missing, totals: { unread } }: Report): Generator<string> {
  const steps = [
    ...(missing > 0
      ? [
          "<li><code>theriac repair IMAGE --from BACKUP</code> fetches the missing bytes from a copy and writes them in place.</li>",
          "<li><code>theriac salvage IMAGE OUT</code> copies out everything that can still be read.</li>",
        ]
      : []),
    ...(unread > 0
      ? ["<li><code>theriac scrub IMAGE</code> reads what nobody has read yet.</li>"]
      : []),
  ];
  if (steps.length > 0)
    yield `<section><h2>What can be done</h2><ul>${steps.join("")}</ul></section>`;
}
