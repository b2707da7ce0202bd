/** json-text: JSON that others wrote: where it breaks, which of its devices is meant, and numbers as ndctl and cxl print them. */
import { parseSize } from "../../base/index.ts";
import type { ListBuilder } from "./parsed-list.ts";
import { shown } from "./parsed-list.ts";

/** Reads JSON; an error names the line. */
export function parseJson(text: string, builder: ListBuilder): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    const position = /position (\d+)/.exec((error as Error).message)?.[1];
    const line = text
      .slice(0, position === undefined ? text.length : Number(position))
      .split("\n").length;
    throw builder.error(`line ${line}`, `want JSON: ${(error as Error).message}`);
  }
}

/**
 * Every object of the document with its path, outside in. Bounded by the document itself; no recursion, so depth does not matter.
 */
export function* objectsIn(
  document: unknown,
): Generator<{ path: string; object: Record<string, unknown> }> {
  const waiting: { path: string; value: unknown }[] = [{ path: "", value: document }];
  for (let item = waiting.pop(); item !== undefined; item = waiting.pop()) {
    const { path, value } = item;
    if (typeof value !== "object" || value === null) continue;
    if (!Array.isArray(value)) yield { path, object: value as Record<string, unknown> };
    for (const [key, child] of Object.entries(value).reverse()) {
      // A path that grows with the depth would make deep documents quadratic.
      if (typeof child === "object")
        waiting.push({ path: path.length > 200 ? path : `${path}/${key}`, value: child });
    }
  }
}

/**
 * A number as JSON of ndctl and cxl has it: plain; quoted hex ("0x40"); or a size for people ("4294967296 (4.00 GiB 4.29 GB)").
 *
 * @throws {StorageError} EBADMSG if it is none, or no whole number from 0 to 2^53
 */
export function readNumber(value: unknown, where: string, builder: ListBuilder): bigint {
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0) return BigInt(value);
  if (typeof value === "string") {
    const text = value.replace(/ \(.*\)$/, "");
    try {
      return BigInt(parseSize(text));
    } catch {
      // Told below, with the value.
    }
  }
  const got = typeof value === "string" ? shown(value) : String(value);
  throw builder.error(where, `want a whole number from 0 to 2^53: got ${got}`);
}

/** A device in a document that may have several. */
export interface JsonDevice<Row> {
  readonly name: string;
  readonly path: string;
  readonly rows: readonly Row[];
}

/**
 * Picks the device that is meant: the named one, or the only one with records.
 *
 * @throws {StorageError} EBADMSG if there is none, or more than one could be meant
 */
export function pickDevice<Row>(
  devices: readonly JsonDevice<Row>[],
  options: { readonly device?: string; readonly builder: ListBuilder },
): JsonDevice<Row> {
  const { device, builder } = options;
  const names = devices
    .map(({ name, path }) => name || path || "/")
    .slice(0, 8)
    .join(", ");
  if (device !== undefined) {
    const named = devices.find(({ name }) => name === device);
    if (named !== undefined) return named;
    throw builder.error("", `want device ${shown(device)}: got ${names || "no device"}`);
  }
  const withRows = devices.filter(({ rows }) => rows.length > 0);
  const [only, second] = withRows.length > 0 ? withRows : devices.slice(0, 1);
  if (only === undefined) throw builder.error("", "want the JSON of a device: got no device in it");
  if (second !== undefined)
    throw builder.error(
      "",
      `want the records of one device: got ${names}; name one, or list it alone`,
    );
  return only;
}
