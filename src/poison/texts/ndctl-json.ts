/**
 * ndctl-json: what `ndctl list -M` and `ndctl inject-error --status` print: bad blocks in sectors of 512 bytes.
 *
 * A namespace or region object has `badblock_count` and, with -M, `badblocks: [{offset, length, dimms}]`, from the start of that object. Where a region
 * and a namespace in it both have records, the namespace's are meant: that is what a program sees. A count without records (BTT, or no -M) cannot
 * be placed: it is an error, not a clean device. (ndctl/json.c, ndctl/inject-error.c)
 */
import { SECTOR } from "../../base/index.ts";
import type { PoisonView } from "../poison-list.ts";
import { objectsIn, parseJson, pickDevice, readNumber, type JsonDevice } from "./json-text.ts";
import { ListBuilder, type ParsedList, type ParseOptions } from "./parsed-list.ts";
import { roundedBad } from "./rounded-bad.ts";

interface Row {
  readonly offset: bigint;
  readonly length: bigint;
  readonly where: string;
}

type ShapeParser = (object: unknown) => {
  readonly data?: Record<string, unknown>[];
  readonly error?: string;
};

/** zod takes 50 ms to load, so only who reads JSON pays for it. */
async function loadShape(): Promise<ShapeParser> {
  const { z } = await import("zod");
  const number = z.union([z.number(), z.string()]);
  const rows = z.array(
    z.union([
      z.looseObject({ offset: number, length: number }),
      z.looseObject({ block: number, count: number }),
    ]),
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
    const { badblocks, badblock_count: count, dev } = object;
    if (badblocks === undefined && dev === undefined) continue;
    const where = `at ${path || "/"}`;
    if (badblocks === undefined && Number(count ?? 0) !== 0) {
      throw builder.error(
        where,
        `want "badblocks" beside a badblock_count of ${String(count)}: got none; list with --media-errors`,
      );
    }
    const { data, error } = shape(badblocks ?? []);
    if (data === undefined)
      throw builder.error(
        `${where}/badblocks`,
        `want [{"offset","length"}] or [{"block","count"}] with numbers: got another shape in ${error}`,
      );
    const rows = data.map((row, index) => {
      const place = `${where}/badblocks/${index}`;
      const offset = readNumber(row["offset"] ?? row["block"], place, builder) * BigInt(SECTOR);
      return {
        offset,
        length: readNumber(row["length"] ?? row["count"], place, builder) * BigInt(SECTOR),
        where: place,
      };
    });
    checkCount(builder, { rows, count, where });
    devices.push({ name: typeof dev === "string" ? dev : "", path, rows });
  }
  return devices;
}

/** A count above the records named: the kernel's text was cut off before ndctl read it. */
function checkCount(
  builder: ListBuilder,
  { rows, count, where }: { rows: readonly Row[]; count: unknown; where: string },
): void {
  if (typeof count !== "number") return;
  const sectors = rows.reduce((sum, row) => sum + row.length, 0n) / BigInt(SECTOR);
  if (Number.isFinite(count) && BigInt(Math.trunc(count)) === sectors) return;
  builder.incomplete = true;
  builder.note(`${where}: badblock_count is ${count}, but the records name ${sectors} sectors`);
}

/** Without the regions around namespaces that have records of their own. */
function preferNamespaces(devices: readonly JsonDevice<Row>[]): readonly JsonDevice<Row>[] {
  const namespaces = devices.filter(
    ({ name, rows }) => rows.length > 0 && name.startsWith("namespace"),
  );
  return namespaces.length > 0 ? namespaces : devices;
}

/**
 * Reads the text.
 *
 * @throws {StorageError} EBADMSG with the place, what stands there and what should
 */
export async function parseNdctl(text: string, options: ParseOptions): Promise<ParsedList> {
  const builder = new ListBuilder("ndctl", options);
  const document = parseJson(text, builder);
  const devices = devicesIn(document, builder, await loadShape());
  const { device } = options;
  const picked =
    device === undefined
      ? pickDevice(preferNamespaces(devices), { builder })
      : pickDevice(devices, { device, builder });
  for (const { offset, length, where } of picked.rows) {
    if (length === 0n) throw builder.error(where, "want a length from 1: got 0");
    builder.add({ offset, length, state: "poisoned" }, where);
  }
  return builder.finish();
}

/** Writes the object of one namespace with its poisoned and lost ranges, rounded outwards to sectors, a piece at a time. */
export function* formatNdctl(
  view: PoisonView,
  options: { readonly device?: string } = {},
): Generator<string> {
  let count = 0;
  for (const { length } of roundedBad(view, SECTOR)) count += length / SECTOR;
  yield `{\n  "dev":${JSON.stringify(options.device ?? "namespace0.0")},\n  "badblock_count":${count},\n  "badblocks":[`;
  let separator = "\n";
  for (const { offset, length } of roundedBad(view, SECTOR)) {
    yield `${separator}    {"offset":${offset / SECTOR},"length":${length / SECTOR}}`;
    separator = ",\n";
  }
  yield "\n  ]\n}\n";
}
