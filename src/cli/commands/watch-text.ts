/** watch-text: an event as a line for people. */
import { formatSize } from "../../base/index.ts";
import type { WatchChange, WatchEvent } from "../../rescue/index.ts";
import { printable, type Paint, type Style } from "../style.ts";

/** Paths and places that a line names. */
const NAMED_MAX = 3;

const WORDS: Readonly<Record<WatchChange, string>> = {
  watching: "watching",
  appeared: "went bad",
  changed: "changed",
  healed: "healed",
  gone: "gone",
  returned: "is back",
  reported: "reported",
  failed: "no list",
  recovered: "list is back",
  health: "health",
  repaired: "repaired",
  refused: "not repaired",
};

/** One line, with its newline. */
export function eventLine(event: WatchEvent, style: Style): string {
  const { time, target, change, bytes, source, why, detail } = event;
  const paint = colorOf(style, event);
  const parts = [`${style.dim(time)} ${printable(target)}: ${paint(WORDS[change])}`];
  if (bytes > 0) parts.push(placesOf(event));
  else if (change === "watching" || change === "returned") parts.push("no byte is known to be bad");
  if (event.fileCount > 0) parts.push(filesOf(event));
  if (source !== undefined) parts.push(printable(source));
  if (why !== undefined) parts.push(printable(why));
  if (detail !== undefined) parts.push(printable(JSON.stringify(detail)));
  return `${parts.join(": ")}\n`;
}

function colorOf(style: Style, { change, bytes }: WatchEvent): Paint {
  if (change === "healed" || change === "repaired" || change === "recovered") return style.green;
  if (change === "watching" || change === "returned") return bytes > 0 ? style.red : style.green;
  return change === "changed" || change === "health" ? style.yellow : style.red;
}

function placesOf({ bytes, ranges, rangeCount }: WatchEvent): string {
  if (ranges.length === 0) return formatSize(bytes);
  const places = ranges
    .slice(0, NAMED_MAX)
    .map(({ offset, length, state }) => `${length} bytes at ${offset} (${state})`);
  const more = rangeCount - Math.min(NAMED_MAX, ranges.length);
  return `${places.join(", ")}${more > 0 ? `, and ${more} ranges more, ${formatSize(bytes)} in all` : ""}`;
}

function filesOf({ files, fileCount }: WatchEvent): string {
  const named = files.slice(0, NAMED_MAX).map(printable);
  const more = fileCount - named.length;
  return `${named.join(", ")}${more > 0 ? `, and ${more} files more` : ""}`;
}
