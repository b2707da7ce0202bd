/**
 * placeEvents: where on a target the kernel's events are.
 *
 * A wrong place would blame the wrong file. So an event is placed only where its device's name leaves one reading: a
 * partition's name at that partition; a disk's name at the start of a target that is the disk. A target without a partition table may be
 * the image of a partition: then the log's names of partitions are believed, and names of the disk are not placed.
 */
import { intersect, RangeSet, type ByteRange } from "../base/index.ts";
import { splitDeviceName } from "./device-name.ts";
import type { KernelEvent } from "./kernel-event.ts";
import type { Target } from "./target.ts";

/** An event with its place on the target. */
export interface PlacedEvent {
  readonly event: KernelEvent;
  /** Bytes of the target. */
  readonly range: ByteRange;
}

/** What of a log is on a target. */
export interface PlacedEvents {
  /** Bytes that the log says cannot be read: ascending, merged, inside the target. */
  readonly ranges: readonly ByteRange[];
  readonly placed: readonly PlacedEvent[];
  /** Events that name no byte of the target, each with a sentence that says why. */
  readonly unplaced: readonly { readonly event: KernelEvent; readonly why: string }[];
}

/** How events are placed. */
export interface PlaceOptions {
  /** Physical address of the target's first byte, for machine checks on persistent memory. @default memory is not placed */
  readonly physicalStart?: number;
}

/** Places events on a target; each event is in `placed` or in `unplaced`. */
export function placeEvents(
  target: Pick<Target, "device" | "volumes">,
  events: readonly KernelEvent[],
  options: PlaceOptions = {},
): PlacedEvents {
  const placed: PlacedEvent[] = [];
  const unplaced: { event: KernelEvent; why: string }[] = [];
  const start = startsOf(target, events, options);
  const whole = { offset: 0, length: target.device.size };
  for (const event of events) {
    const base =
      event.range === undefined ? "The line names no place" : (reasonOf(event) ?? start(event));
    if (typeof base === "string" || event.range === undefined) {
      unplaced.push({ event, why: String(base) });
      continue;
    }
    const moved = { offset: event.range.offset + base, length: event.range.length };
    const range = moved.offset < 0 ? undefined : intersect(moved, whole);
    if (range === undefined)
      unplaced.push({ event, why: `The place is outside the target of ${whole.length} bytes` });
    else placed.push({ event, range });
  }
  return { ranges: [...unreadable(placed)], placed, unplaced };
}

/** Why an event says nothing of bytes that cannot be read; `undefined` where it does. */
function reasonOf({ cause, status, operation, kind }: KernelEvent): string | undefined {
  if (cause === "corrected") return "The data was read in the end";
  if (cause === "other") return `Not the media's fault: ${status}`;
  if (operation === "write") return "A write failed: what can be read there is unknown";
  return kind === "ata"
    ? "The line names a port, not a disk; the disk's own lines say the same"
    : undefined;
}

/** Where each event's device begins on the target, or why that is unknown. */
function startsOf(
  target: Pick<Target, "volumes">,
  events: readonly KernelEvent[],
  options: PlaceOptions,
): (event: KernelEvent) => number | string {
  const starts = new Map(target.volumes.map(({ name, offset }) => [name, offset]));
  const hasTable = target.volumes.some(({ name }) => name !== "");
  const named = new Set(events.flatMap(({ device }) => (device === undefined ? [] : [device])));
  const partitioned = new Set(
    [...named]
      .map(splitDeviceName)
      .flatMap(({ disk, partition }) => (partition === undefined ? [] : [disk])),
  );
  return ({ device, space }) => {
    if (space === "physical") {
      return options.physicalStart === undefined
        ? "A physical address: where the target stands in memory is not known"
        : -options.physicalStart;
    }
    if (device === undefined) return "The line names no device";
    const { disk, partition } = splitDeviceName(device);
    if (partition !== undefined) {
      const known = hasTable ? starts.get(`partition ${partition}`) : 0;
      return known ?? `The target has no partition ${partition}`;
    }
    if (hasTable || !partitioned.has(disk)) return 0;
    return `The target has no partition table, and the log names partitions of ${disk}: where it begins on ${disk} is not known`;
  };
}

/** The bytes that cannot be read. A failed command's whole range is left out where another line says which sector of it failed. */
function unreadable(placed: readonly PlacedEvent[]): RangeSet {
  const exact = RangeSet.from(
    placed.filter(({ event }) => event.kind !== "scsi").map(({ range }) => range),
  );
  const set = exact.clone();
  for (const { event, range } of placed) {
    if (event.kind === "scsi" && !exact.intersects(range.offset, range.length)) {
      set.add(range.offset, range.length);
    }
  }
  return set;
}
