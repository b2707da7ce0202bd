/**
 * cxl-json: what `cxl list --media-errors` prints: records in bytes, multiples of 64, from the start of a memory device or region.
 *
 * `flags` is a comma-terminated list. "Overflow" says that the device's own list was too short, "More" and "Scanning" that it was not read to its
 * end: the text is then incomplete, and nobody may claim "clean" from it. (cxl/json.c, Documentation/cxl/cxl-list.txt)
 */
import type { PoisonView } from "../poison-list.ts";
import { objectsIn, parseJson, pickDevice, readNumber, type JsonDevice } from "./json-text.ts";
import { ListBuilder, type ParsedList, type ParseOptions } from "./parsed-list.ts";
import { roundedBad } from "./rounded-bad.ts";

/** Bytes of a line of CXL memory: the smallest thing that is poisoned. */
const LINE = 64;

interface Row {
  readonly offset?: unknown;
  readonly length: unknown;
  readonly flags?: string | undefined;
}

type ShapeParser = (value: unknown) => { readonly data?: Row[]; readonly error?: string };

/** zod takes 50 ms to load, so only who reads JSON pays for it. */
async function loadShape(): Promise<ShapeParser> {
  const { z } = await import("zod");
  const number = z.union([z.number(), z.string()]);
  const rows = z.array(
    z.looseObject({ offset: number.optional(), length: number, flags: z.string().optional() }),
  );
  return (value) => {
    const result = rows.safeParse(value);
    if (result.success) return { data: result.data };
    return { error: `entry ${result.error.issues[0]?.path.join("/") ?? ""}` };
  };
}

function devicesIn(document: unknown, builder: ListBuilder, shape: ShapeParser): JsonDevice<Row>[] {
  const devices: JsonDevice<Row>[] = [];
  for (const { path, object } of objectsIn(document)) {
    const { media_errors: errors, memdev, region } = object;
    const name = [memdev, region].find((value) => typeof value === "string");
    // The key is absent where a device has no errors; records themselves have no name of a memory device.
    if (errors === undefined && (name === undefined || object["source"] !== undefined)) continue;
    const { data, error } = shape(errors ?? []);
    if (data === undefined) {
      throw builder.error(
        `at ${path}/media_errors`,
        `want [{"offset","length"}] with numbers: got another shape in ${error}`,
      );
    }
    devices.push({ name: typeof name === "string" ? name : "", path, rows: data });
  }
  return devices;
}

function addRow(builder: ListBuilder, row: Row, where: string): void {
  const unfinished = (row.flags ?? "")
    .split(",")
    .filter((flag) => ["Overflow", "More", "Scanning"].includes(flag.trim()));
  if (unfinished.length > 0) {
    builder.incomplete = true;
    builder.note(
      `${where}: flags ${unfinished.join(", ")}: the device has more errors than its list; scan before calling anything clean`,
    );
  }
  if (row.offset === undefined) {
    builder.incomplete = true;
    builder.note(`${where}: the record has no offset and could not be placed`);
    return;
  }
  const offset = readNumber(row.offset, where, builder);
  const length = readNumber(row.length, where, builder);
  if (length === 0n || offset % BigInt(LINE) !== 0n || length % BigInt(LINE) !== 0n) {
    throw builder.error(
      where,
      `want whole lines of ${LINE} bytes: got offset ${offset}, length ${length}`,
    );
  }
  builder.add({ offset, length, state: "poisoned" }, where);
}

/**
 * Reads the text.
 *
 * @throws {StorageError} EBADMSG with the place, what stands there and what should
 */
export async function parseCxl(text: string, options: ParseOptions): Promise<ParsedList> {
  const builder = new ListBuilder("cxl", options);
  const document = parseJson(text, builder);
  const devices = devicesIn(document, builder, await loadShape());
  const { device } = options;
  const picked = pickDevice(devices, device === undefined ? { builder } : { device, builder });
  picked.rows.forEach((row, index) =>
    addRow(builder, row, `at ${picked.path}/media_errors/${index}`),
  );
  return builder.finish();
}

/** Writes the object of one memory device with its poisoned and lost ranges, rounded outwards to 64 bytes, a piece at a time. */
export function* formatCxl(
  view: PoisonView,
  options: { readonly device?: string } = {},
): Generator<string> {
  yield `[\n  {\n    "memdev":${JSON.stringify(options.device ?? "mem0")}`;
  let separator = ',\n    "media_errors":[\n';
  let any = false;
  for (const { offset, length } of roundedBad(view, LINE)) {
    yield `${separator}      {"offset":${offset},"length":${length},"source":"Unknown"}`;
    separator = ",\n";
    any = true;
  }
  yield any ? "\n    ]\n  }\n]\n" : "\n  }\n]\n";
}
