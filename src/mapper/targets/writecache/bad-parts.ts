/** bad-parts: what of a write meets bad bytes, and whether its mode heals them: asked before any byte moves. */
import {
  alignOut,
  intersect,
  RangeSet,
  type BadRange,
  type ByteRange,
} from "../../../base/index.ts";
import type { AccessMode, Device } from "../../../device/index.ts";
import type { Part } from "./places.ts";

/** A part of a write with its place in the target. */
export interface PlacedPart {
  readonly part: Part;
  /** Offset in the target. */
  readonly at: number;
}

/** What stands in the way of a write. */
export interface BadPart extends PlacedPart {
  /** The first bad range in its way that the mode does not heal, in bytes of the part's device. */
  readonly refused: BadRange | undefined;
}

/** The parts of a write that have something bad in their clear units. */
export function badParts(parts: readonly PlacedPart[], mode: AccessMode): BadPart[] {
  const covered = new Map<Device, RangeSet>();
  const found: BadPart[] = [];
  for (const placed of parts) {
    const { device, offset, length } = placed.part;
    if (device.poison.empty) continue;
    const { clear, clearUnit } = device.capabilities;
    const units = alignOut({ offset, length }, clearUnit);
    const reach = { ...units, length: Math.min(units.length, device.size - units.offset) };
    let isBad = false;
    let refused: BadRange | undefined;
    for (const bad of device.poison.bad(reach)) {
      isBad = true;
      // beside the write it is in the way only of a disk, which takes whole units
      if (clear !== "overwrite" && intersect(bad, { offset, length }) === undefined) continue;
      const set = covered.get(device) ?? coveredOn(device, parts);
      covered.set(device, set);
      if (!heals(bad, { device, covered: set, mode })) refused ??= bad;
    }
    if (isBad) found.push({ ...placed, refused });
  }
  return found;
}

function coveredOn(device: Device, parts: readonly PlacedPart[]): RangeSet {
  return RangeSet.from(
    parts
      .filter(({ part }) => part.device === device)
      .map(({ part }): ByteRange => ({ offset: part.offset, length: part.length })),
  );
}

function heals(
  bad: ByteRange,
  write: { readonly device: Device; readonly covered: RangeSet; readonly mode: AccessMode },
): boolean {
  const { device, covered, mode } = write;
  if (mode === "recovery") return true;
  if (mode === "failFast") return false;
  const { clearUnit } = device.capabilities;
  const unit = intersect(alignOut(bad, clearUnit), { offset: 0, length: device.size });
  return unit !== undefined && covered.covers(unit.offset, unit.length);
}
