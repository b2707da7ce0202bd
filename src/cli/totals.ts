/** Totals: the line of R7 that every command prints: `total = clean + unread + poisoned + lost`, exact, in bytes. */
import { assert } from "../base/index.ts";
import type { PoisonTotals } from "../poison/index.ts";
import { stateColor, type Style } from "./style.ts";

/** The four states in the order of the line. */
const STATES = ["clean", "unread", "poisoned", "lost"] as const;

/**
 * The line of R7, with a newline, and below it what moved where something did:
 *
 *     total 268435456 = clean 268431360 + unread 0 + poisoned 4096 + lost 0
 *     repaired 12288 · refused 4096
 *
 * @param moved bytes by what happened to them; a part that is 0 is printed too, because it says so
 * @throws {AssertionError} where the four do not add up (R7)
 */
export function formatTotals(
  totals: PoisonTotals,
  style: Style,
  moved: Readonly<Record<string, number>> = {},
): string {
  const sum = STATES.reduce((bytes, state) => bytes + totals[state], 0);
  assert(sum === totals.total, "R7: total = clean + unread + poisoned + lost");
  const parts = STATES.map((state) => {
    const text = `${state} ${totals[state]}`;
    return totals[state] === 0 ? text : stateColor(style, state)(text);
  });
  const line = `${style.bold(`total ${totals.total}`)} = ${parts.join(" + ")}\n`;
  const pieces = Object.entries(moved).map(([what, bytes]) => `${what} ${bytes}`);
  return pieces.length === 0 ? line : `${line}${wrapped(pieces)}\n`;
}

/** Columns that every terminal has. */
const COLUMNS = 80;

/** Pieces on as few lines as they need. */
function wrapped(pieces: readonly string[]): string {
  const lines: string[] = [];
  for (const piece of pieces) {
    const longer = `${lines.at(-1)} · ${piece}`;
    if (lines.length === 0 || longer.length > COLUMNS) lines.push(piece);
    else lines[lines.length - 1] = longer;
  }
  return lines.join("\n");
}
