/** PlanTable: the steps of a plan or a repair as people read them. */
import { formatSize } from "../../base/index.ts";
import type { PlanStep } from "../../rescue/index.ts";
import { printable, type Style } from "../style.ts";
import { formatTable } from "../table.ts";

const MOST_ROWS = 200;
const MOST_REASONS = 20;

/** How steps are shown. */
export interface PlanTableOptions {
  readonly style: Style;
  readonly columns: number;
  /** The word in the last column; of a repair what came out. @default the action, and the grade where there is one */
  readonly outcome?: (step: PlanStep) => string;
}

/** The steps as a table, then every reason why something is not healed, with its bytes. */
export function* planTable(
  steps: readonly PlanStep[],
  options: PlanTableOptions,
): Generator<string> {
  const outcome = options.outcome ?? plannedOutcome;
  const rows = steps
    .slice(0, MOST_ROWS)
    .map((step) => [
      ownerName(step),
      String(step.owner.fileOffset ?? step.offset),
      formatSize(step.length),
      outcome(step),
    ]);
  const titles = [
    { title: "what", flexible: true },
    { title: "at byte", align: "right" },
    { title: "bytes", align: "right" },
    { title: "outcome" },
  ] as const;
  yield formatTable(titles, rows, { columns: options.columns, titleStyle: options.style.dim });
  if (steps.length > MOST_ROWS) yield `... and ${steps.length - MOST_ROWS} more: see --json\n`;
  const reasons = new Map<string, number>();
  for (const step of steps) {
    if (step.action === "refused" || step.action === "unavailable")
      reasons.set(step.reason, (reasons.get(step.reason) ?? 0) + step.length);
  }
  if (reasons.size > 0) yield `\n${options.style.bold("Why not")}\n`;
  for (const [reason, bytes] of [...reasons].slice(0, MOST_REASONS))
    yield wrapped(`${formatSize(bytes)}: ${printable(reason)}`, options.columns);
  if (reasons.size > MOST_REASONS)
    yield `... and ${reasons.size - MOST_REASONS} more reasons: see --json\n`;
  if (steps.length > 0) yield "\n";
}

function plannedOutcome(step: PlanStep): string {
  return step.grade === undefined ? step.action : `${step.action}, ${step.grade}`;
}

/** A file's path, or the class. */
export function ownerName(step: PlanStep): string {
  const { owner } = step;
  if (owner.kind === "file" && owner.what === "data")
    return `${printable(owner.path ?? `inode ${owner.inode ?? "?"}`)}${sharersOf(owner)}`;
  const where = owner.path === undefined ? "" : ` of ${printable(owner.path)}`;
  return `${owner.what}${where}`;
}

/** How many other files share what a step heals. */
function sharersOf({ sharers = [] }: PlanStep["owner"]): string {
  return sharers.length === 0 ? "" : ` and ${sharers.length} that share it`;
}

/** A text in lines of the terminal, the second and later ones indented. */
export function wrapped(text: string, columns: number): string {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && line.length + 1 + word.length > columns - 2) {
      lines.push(line);
      line = `    ${word}`;
    } else line = line === "" ? `  ${word}` : `${line} ${word}`;
  }
  return `${[...lines, line].join("\n")}\n`;
}
