/** lvm-segments: one segment of a logical volume as the words of a row, for each type of segment that is read. */
import type { ConfigScalar } from "./lvm-text.ts";
import type { ConfigReader } from "./config-reader.ts";

/** Legs of one segment; LVM's own bound is lower. */
const LEGS_MAX = 1024;

/** What a segment says, and what it can ask of the group. */
export interface SegmentContext {
  readonly segment: ConfigReader;
  /** Whether the volume was made without a first sync. */
  readonly isNotSynced: boolean;
  /** A place in a physical or logical volume as `DEVICE START`; where it is missing, of a table of errors. */
  place(name: string, extent: number, extents: number): string;
  /** A whole logical volume by its table's name; `undefined` where part of it is missing. */
  whole(name: string): string | undefined;
  /** A whole logical volume by its table's name, errors where part of it is missing. */
  table(name: string): string;
  /** What the text says of a volume: "REBUILD", "WRITEMOSTLY". */
  marks(name: string): readonly ConfigScalar[];
  /** Refuses the segment, with wish and what came. */
  fail(wish: string): never;
}

/** The types that are read, and `TARGET ARGS` of each. */
const TYPES: ReadonlyMap<string, (context: SegmentContext, extents: number) => string> = new Map([
  ["striped", stripedText],
  ["linear", stripedText],
  ["mirror", mirrorText],
  ["raid1", raidText],
  ["error", () => "error"],
  ["zero", () => "zero"],
]);

/** `TARGET ARGS` of a segment. @throws {StorageError} EBADMSG */
export function segmentText(context: SegmentContext, extents: number): string {
  const type = context.segment.text("type");
  const read = TYPES.get(type);
  if (read !== undefined) return read(context, extents);
  return context.fail(
    `segment type ${JSON.stringify(type)} is not read: want one of ${[...TYPES.keys()].join(", ")}`,
  );
}

/** Pairs of a name and what goes with it, as many as the segment counts. */
function pairs(
  context: SegmentContext,
  list: string,
  count: number,
): (readonly [string, ConfigScalar])[] {
  const words = context.segment.list(list);
  if (count > LEGS_MAX || words.length !== 2 * count)
    return context.fail(
      `want ${count} pairs in ${list}, at most ${LEGS_MAX}: got ${words.length} words`,
    );
  return Array.from({ length: count }, (_, index) => {
    const name = words[2 * index];
    if (typeof name !== "string")
      return context.fail(`want a name in ${list}: got ${JSON.stringify(name)}`);
    return [name, words[2 * index + 1] ?? 0] as const;
  });
}

function placesOf(
  context: SegmentContext,
  named: (readonly [string, ConfigScalar])[],
  extents: number,
): string[] {
  return named.map(([name, extent]) => {
    if (typeof extent !== "number" || !Number.isSafeInteger(extent) || extent < 0)
      return context.fail(`want an extent behind ${name}: got ${JSON.stringify(extent)}`);
    return context.place(name, extent, extents);
  });
}

function stripedText(context: SegmentContext, extents: number): string {
  const count = context.segment.count("stripe_count", 1);
  const named = pairs(context, "stripes", count);
  if (extents % count !== 0)
    return context.fail(`want extents that divide by ${count} stripes: got ${extents}`);
  const places = placesOf(context, named, extents / count).join(" ");
  if (count === 1) return `linear ${places}`;
  return `striped ${count} ${context.segment.count("stripe_size", 1)} ${places}`;
}

function mirrorText(context: SegmentContext, extents: number): string {
  const { segment, isNotSynced } = context;
  const count = segment.count("mirror_count", 1);
  const places = placesOf(context, pairs(context, "mirrors", count), extents).join(" ");
  const region = segment.count("region_size", 1);
  const log = segment.has("mirror_log")
    ? ["disk", context.table(segment.text("mirror_log"))]
    : ["core"];
  const words = [...log.slice(1), region, ...(isNotSynced ? ["nosync"] : [])];
  return `mirror ${log[0]} ${words.length} ${words.join(" ")} ${count} ${places} 1 handle_errors`;
}

function raidText(context: SegmentContext): string {
  const { segment, isNotSynced } = context;
  const count = segment.count("device_count", 1);
  const named = pairs(context, "raids", count);
  const legs = named.map(([meta, data]) => {
    if (typeof data !== "string") return context.fail(`want a name behind ${meta}: got ${data}`);
    const [one, other] = [context.whole(meta), context.whole(data)];
    return one === undefined || other === undefined ? "- -" : `${one} ${other}`;
  });
  const marked = (mark: string, word: string): (string | number)[] =>
    named.flatMap(([, data], leg) => (context.marks(`${data}`).includes(mark) ? [word, leg] : []));
  const numbered = (field: string, word: string): (string | number)[] =>
    segment.has(field) ? [word, segment.count(field)] : [];
  // in the order in which the kernel prints them
  const words = [
    0,
    ...(isNotSynced ? ["nosync"] : []),
    ...marked("REBUILD", "rebuild"),
    ...numbered("min_recovery_rate", "min_recovery_rate"),
    ...numbered("max_recovery_rate", "max_recovery_rate"),
    ...marked("WRITEMOSTLY", "write_mostly"),
    ...numbered("writebehind", "max_write_behind"),
    ...numbered("region_size", "region_size"),
  ];
  return `raid raid1 ${words.length} ${words.join(" ")} ${count} ${legs.join(" ")}`;
}
