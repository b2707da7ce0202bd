/** DamageTable: damage as people read it: files with their byte ranges, then everything else by class. */
import { formatSize } from "../../base/index.ts";
import type { Damage } from "../../rescue/index.ts";
import { isMissing } from "../../rescue/index.ts";
import { printable, type Style } from "../style.ts";
import { formatTable } from "../table.ts";
import { wrapped } from "./plan-table.ts";

/** Rows that a table shows; the document always has all. */
const MOST_ROWS = 200;

/** How a table is drawn. */
export interface DamageTableOptions {
  readonly style: Style;
  readonly columns: number;
  /** Whether something that belongs to the table follows, so that no empty line does. @default false */
  readonly close?: boolean;
}

/** What is damaged, as two tables with their titles; "" where nothing is. */
export function* damageTables(
  damage: readonly Damage[],
  options: DamageTableOptions,
): Generator<string> {
  const files = damage.filter(
    ({ owners }) => owners[0]?.kind === "file" || owners[0]?.kind === "directory",
  );
  const others = damage.filter((one) => !files.includes(one));
  if (files.length > 0) yield* section("Files", fileRows(files), options);
  if (others.length === 0) return;
  yield* section("Elsewhere", classRows(others), { ...options, close: true });
  yield* meanings(others, options);
}

interface Rows {
  readonly titles: readonly { title: string; align?: "left" | "right"; flexible?: boolean }[];
  readonly rows: readonly (readonly string[])[];
}

function* section(title: string, rows: Rows, options: DamageTableOptions): Generator<string> {
  yield `${options.style.bold(title)}\n`;
  yield formatTable(rows.titles, rows.rows.slice(0, MOST_ROWS), {
    columns: options.columns,
    titleStyle: options.style.dim,
  });
  if (rows.rows.length > MOST_ROWS)
    yield `... and ${rows.rows.length - MOST_ROWS} more rows: see --json\n`;
  if (options.close !== true) yield "\n";
}

/** One row for each range of each file. */
function fileRows(damage: readonly Damage[]): Rows {
  const rows = damage.flatMap((one) =>
    one.owners.flatMap((owner) => {
      const names = owner.paths ?? [];
      const name = names[0] ?? (owner.inode === undefined ? "?" : `inode ${owner.inode}, no path`);
      const more = names.length > 1 ? ` (+${names.length - 1} links)` : "";
      const ranges = owner.ranges.length === 0 ? [undefined] : owner.ranges;
      return ranges.map((range) => [
        printable(name) + more,
        range === undefined ? "?" : String(range.offset),
        formatSize(range?.length ?? one.length),
        one.state,
        owner.what,
      ]);
    }),
  );
  return {
    titles: [
      { title: "path", flexible: true },
      { title: "at byte", align: "right" },
      { title: "gone", align: "right" },
      { title: "state" },
      { title: "what" },
    ],
    rows,
  };
}

/** One row for each class of what is no file's content. */
function classRows(damage: readonly Damage[]): Rows {
  const classes = new Map<string, { ranges: number; bytes: number; missing: boolean }>();
  for (const one of damage) {
    const key = classOf(one);
    const sums = classes.get(key) ?? { ranges: 0, bytes: 0, missing: false };
    classes.set(key, {
      ranges: sums.ranges + 1,
      bytes: sums.bytes + one.length,
      missing: sums.missing || isMissing(one),
    });
  }
  const rows = [...classes].map(([key, sums]) => [
    key,
    String(sums.ranges),
    formatSize(sums.bytes),
    sums.missing ? "yes" : "no",
  ]);
  return {
    titles: [
      { title: "what" },
      { title: "places", align: "right" },
      { title: "bytes", align: "right" },
      { title: "missing" },
    ],
    rows,
  };
}

/** "metadata: inode"; of a class that has the name of its kind that name alone. */
function classOf({ owners }: Damage): string {
  const owner = owners[0];
  if (owner === undefined || owner.kind === owner.what) return owner?.kind ?? "unknown";
  return `${owner.kind}: ${owner.what}`;
}

/** What the loss of each class means, a sentence that may need more than a line. */
function* meanings(damage: readonly Damage[], options: DamageTableOptions): Generator<string> {
  const told = new Map<string, string>();
  for (const one of damage) {
    const why = one.owners[0]?.why ?? "";
    if (why !== "" && !told.has(classOf(one))) told.set(classOf(one), why);
  }
  for (const [key, why] of told)
    yield wrapped(`${key.replace(/^.*: /, "")}: ${printable(why)}`, options.columns);
  yield "\n";
}
