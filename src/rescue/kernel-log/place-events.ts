/**
 * placeEvents: where on a target the kernel's events are.
 *
 * A wrong place would blame the wrong file. So an event is placed only where its device's name leaves one reading: a
 * partition's name at that partition; a disk's name at the start of a target that is the disk. A target without a partition table may be
 * the image of a partition: then the one partition that the log names is believed, and names of its disk are not placed. Where the log
 * names several disks, the caller must say which one the target is.
 */
import { intersect, PAGE, RangeSet, SECTOR, type ByteRange } from "../../base/index.ts";
import { splitDeviceName, type DeviceName } from "./device-name.ts";
import type { KernelEvent } from "./kernel-event.ts";
import type { Target } from "../target.ts";

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
  const baseOf = (event: KernelEvent): number | string =>
    event.range === undefined ? "The line names no place" : (reasonOf(event) ?? start(event));
  const sectors = knownSectors(events, baseOf);
  const whole = { offset: 0, length: target.device.size };
  for (const event of events) {
    const base = baseOf(event);
    if (typeof base === "string" || event.range === undefined) {
      unplaced.push({ event, why: String(base) });
      continue;
    }
    const volume = target.volumes.find(({ offset }) => offset === base);
    const { offset, length } = scaled(event, event.range, {
      base,
      sectors,
      blockSize: volume?.map?.blockSize,
    });
    const moved = { offset: offset + base, length };
    const range = moved.offset < 0 ? undefined : intersect(moved, whole);
    if (range === undefined) {
      unplaced.push({ event, why: `The place is outside the target of ${whole.length} bytes` });
    } else placed.push({ event, range });
  }
  return { ranges: [...unreadable(placed)], placed, unplaced };
}

/** The sectors that the block layer names: exact, in bytes of the target. They tell how large the blocks of other lines are. */
function knownSectors(
  events: readonly KernelEvent[],
  baseOf: (event: KernelEvent) => number | string,
): RangeSet {
  const sectors = new RangeSet();
  for (const event of events) {
    const base = event.kind === "block" ? baseOf(event) : "";
    if (typeof base === "number" && event.range !== undefined) {
      sectors.add(base + event.range.offset, event.range.length);
    }
  }
  return sectors;
}

/** What is known about the size of the blocks that a line counts in. */
interface UnitClues {
  /** First byte of the named device on the target. */
  readonly base: number;
  readonly sectors: RangeSet;
  /** Of the file system there. */
  readonly blockSize: number | undefined;
}

/**
 * The range of a line that counts in blocks of a size that it does not tell: in the size with which it meets a sector that the
 * block layer named; else in the size of the file system's blocks (a mount gives it to the buffers); else as it was assumed.
 */
function scaled(event: KernelEvent, range: ByteRange, clues: UnitClues): ByteRange {
  if (!event.unitGuessed) return range;
  const command = event.kind === "scsi" || event.kind === "nvme";
  const assumed = command ? SECTOR : PAGE;
  const own = command ? undefined : clues.blockSize;
  const sizes = command
    ? [SECTOR, PAGE]
    : [own ?? PAGE, PAGE, 1024, 2048, SECTOR, 8192, 16_384, 32_768, 65_536];
  const inUnit = (bytes: number): ByteRange => ({
    offset: (range.offset / assumed) * bytes,
    length: (range.length / assumed) * bytes,
  });
  const confirmed = sizes
    .map(inUnit)
    .find(
      ({ offset, length }) => offset > 0 && clues.sectors.intersects(clues.base + offset, length),
    );
  return confirmed ?? inUnit(own ?? assumed);
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
