/**
 * placeEvents: where on a target the kernel's events are.
 *
 * A wrong place would blame the wrong file. So an event is placed only where its device's name leaves one reading: a
 * partition's name at that partition; a disk's name at the start of a target that is the disk. A target without a partition table may be
 * the image of a partition: then the one partition that the log names is believed, and names of its disk are not placed. Where the log
 * names several disks, the caller must say which one the target is.
 */
import { intersect, RangeSet, type ByteRange } from "../base/index.ts";
import { splitDeviceName, type DeviceName } from "./device-name.ts";
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
  /**
   * Which device of the log the target is: `sda`, `/dev/nvme0n1p2`. @default the target's own name where it is `/dev/NAME`; else the
   * only disk that the log names
   */
  readonly device?: string;
  /** Physical address of the target's first byte, for machine checks on persistent memory. @default memory is not placed */
  readonly physicalStart?: number;
}

/** What is needed of a target. */
export type PlaceTarget = Pick<Target, "device" | "path" | "volumes">;

/** Places events on a target; each event is in `placed` or in `unplaced`. */
export function placeEvents(
  target: PlaceTarget,
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
  target: PlaceTarget,
  events: readonly KernelEvent[],
  options: PlaceOptions,
): (event: KernelEvent) => number | string {
  const { physicalStart } = options;
  const chosen = options.device ?? /^\/dev\/([^/]+)$/.exec(target.path)?.[1];
  const byName =
    chosen === undefined
      ? startByLog(target, events)
      : startByChoice(target, splitDeviceName(chosen));
  return ({ device, space }) => {
    if (space === "physical") {
      const unknown = "A physical address: where the target stands in memory is not known";
      return physicalStart === undefined ? unknown : -physicalStart;
    }
    return device === undefined ? "The line names no device" : byName(splitDeviceName(device));
  };
}

/** Where a device of some name begins on the target, or why that is unknown. */
type StartOf = (name: DeviceName) => number | string;

/** The target is known by name. */
function startByChoice(target: PlaceTarget, chosen: DeviceName): StartOf {
  return (name) => {
    if (name.disk !== chosen.disk) return `The line is of ${name.disk}, not of ${chosen.disk}`;
    if (name.partition === chosen.partition) return 0;
    if (chosen.partition !== undefined) {
      return `The line is of another part of ${chosen.disk} than partition ${chosen.partition}`;
    }
    return startOfPartition(target, name.partition);
  };
}

/** The target is what the log names, where it names only one thing. */
function startByLog(target: PlaceTarget, events: readonly KernelEvent[]): StartOf {
  const names = events
    .filter((event) => event.range !== undefined && reasonOf(event) === undefined)
    .flatMap(({ device }) => (device === undefined ? [] : [splitDeviceName(device)]));
  const disks = new Set(names.map(({ disk }) => disk));
  if (disks.size > 1) {
    const shown = [...disks].slice(0, 8).join(", ");
    return () => `The log names several disks (${shown}): which one the target is must be said`;
  }
  if (target.volumes.some(({ name }) => name !== "")) {
    return ({ partition }) => (partition === undefined ? 0 : startOfPartition(target, partition));
  }
  const partitions = new Set(names.flatMap(({ partition }) => partition ?? []));
  return ({ disk, partition }) => {
    if (partitions.size > 1) {
      return `The target has no partition table, and the log names several partitions of ${disk}: which one the target is must be said`;
    }
    if (partition !== undefined || partitions.size === 0) return 0;
    return `The target has no partition table, and the log names a partition of ${disk}: where it begins on ${disk} is not known`;
  };
}

function startOfPartition(target: PlaceTarget, partition: number | undefined): number | string {
  const volume = target.volumes.find(({ name }) => name === `partition ${partition ?? ""}`);
  return volume?.offset ?? `The target has no partition ${partition ?? ""}`;
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
