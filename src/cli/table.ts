/** Table: rows of text in columns that fit a terminal. */

/** One column. */
export interface TableColumn {
  readonly title: string;
  /** @default "left" */
  readonly align?: "left" | "right";
  /** Whether this column is cut, in its middle, where the row is too wide. One column should be. @default false */
  readonly flexible?: boolean;
}

/** How a table is laid out. */
export interface TableOptions {
  /** Columns of the terminal. @default 80 */
  readonly columns?: number;
  /** What to do with the title row: a `Style` function. @default plain */
  readonly titleStyle?: (text: string) => string;
  /** What to do with a cell after it was padded. @default plain */
  readonly cellStyle?: (
    text: string,
    cell: { readonly row: number; readonly column: number },
  ) => string;
}

const GAP = "  ";
// oxlint-disable-next-line no-control-regex -- colour begins with one
const ESCAPES = /\u001B\[[0-9;]*m/g;

/** Columns that a text takes: escape sequences take none, wide characters are counted as one. */
export function textWidth(text: string): number {
  return Array.from(text.replace(ESCAPES, "")).length;
}

/** Text cut in its middle to at most `width` characters, with "…" where it was cut: both ends of a path say something. */
export function shorten(text: string, width: number): string {
  const characters = Array.from(text);
  if (characters.length <= width) return text;
  if (width <= 1) return "…".slice(0, width);
  const head = Math.floor((width - 1) / 3);
  const tail = width - 1 - head;
  return `${characters.slice(0, head).join("")}…${characters.slice(-tail).join("")}`;
}

/**
 * Lays rows out under their titles, with a newline after each. Cells are plain text (`printable` where a stranger wrote it).
 *
 * @returns "" where there are no rows
 */
export function formatTable(
  columns: readonly TableColumn[],
  rows: readonly (readonly string[])[],
  options: TableOptions = {},
): string {
  if (rows.length === 0) return "";
  const widths = columnWidths(columns, rows, options.columns ?? 80);
  const line = (
    cells: readonly string[],
    style: (text: string, column: number) => string,
  ): string =>
    columns
      .map((column, at) => {
        const width = widths[at] ?? 0;
        const text = shorten(cells[at] ?? "", width);
        const padding = " ".repeat(width - textWidth(text));
        if (column.align === "right") return padding + style(text, at);
        return at === columns.length - 1 ? style(text, at) : style(text, at) + padding;
      })
      .join(GAP)
      .trimEnd();
  const titles = columns.map((column) => column.title);
  const lines = [line(titles, (text) => options.titleStyle?.(text) ?? text)];
  for (const [row, cells] of rows.entries()) {
    lines.push(line(cells, (text, column) => options.cellStyle?.(text, { row, column }) ?? text));
  }
  return `${lines.join("\n")}\n`;
}

/** The width of each column: as wide as its widest cell, the flexible ones sharing what the terminal has left. */
function columnWidths(
  columns: readonly TableColumn[],
  rows: readonly (readonly string[])[],
  available: number,
): number[] {
  const widths = columns.map((column) => textWidth(column.title));
  for (const cells of rows) {
    for (const [at, cell] of cells.entries())
      widths[at] = Math.max(widths[at] ?? 0, textWidth(cell));
  }
  let excess = widths.reduce((sum, width) => sum + width + GAP.length, -GAP.length) - available;
  for (const [at, column] of columns.entries()) {
    if (column.flexible !== true || excess <= 0) continue;
    const width = widths[at] ?? 0;
    const smaller = Math.max(Math.min(12, width), width - excess);
    excess -= width - smaller;
    widths[at] = smaller;
  }
  return widths;
}
