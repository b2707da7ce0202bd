/** Json: a document printed piece by piece, so that a list of ten million ranges needs no string of its size. */
import type { JsonDocument } from "./command.ts";

/** Bytes of text after which a piece is handed on. */
const PIECE = 64 * 1024;

/** JSON has no bigint: nanoseconds print as text, because a number would lose their end. */
function replacer(_key: string, value: unknown): unknown {
  return typeof value === "bigint" ? value.toString() : value;
}

/** A value as JSON. A replacer makes `JSON.stringify` several times slower, so it comes in only where a bigint does. */
function textOf(value: unknown): string | undefined {
  try {
    return JSON.stringify(value);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    return JSON.stringify(value, replacer);
  }
}

function isIterable(value: unknown): value is Iterable<unknown> {
  return typeof value === "object" && value !== null && Symbol.iterator in value;
}

/**
 * A document as text in pieces, one property a line, arrays and iterables at its top level one item a line.
 * A property that is `undefined` is left out, as by `JSON.stringify`.
 */
export function* jsonPieces(document: JsonDocument): Generator<string> {
  let piece = "{";
  let first = true;
  for (const [key, value] of Object.entries(document)) {
    if (value === undefined) continue;
    piece += `${first ? "" : ","}\n  ${JSON.stringify(key)}: `;
    first = false;
    if (!isIterable(value)) {
      piece += textOf(value);
      continue;
    }
    let count = 0;
    for (const item of value) {
      piece += `${count === 0 ? "[" : ","}\n    ${textOf(item) ?? "null"}`;
      count += 1;
      if (piece.length < PIECE) continue;
      yield piece;
      piece = "";
    }
    piece += count === 0 ? "[]" : "\n  ]";
  }
  yield `${piece}\n}\n`;
}
