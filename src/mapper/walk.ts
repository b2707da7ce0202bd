/** walk: one address of a stack, down through every level to the leaves, and from a leaf back up. For people: nothing here is fast. */
import type { Device } from "../device/index.ts";
import type { PoisonState } from "../poison/index.ts";
import { MappedDevice } from "./mapped-device.ts";
import type { TableRow } from "./table-text.ts";
import type { DevicePlace, MapTarget, Target } from "./target.ts";

/** One level of a walk. */
export interface WalkStep {
  readonly device: Device;
  readonly offset: number;
  readonly state: PoisonState;
  /** The row of a table that holds the byte; `undefined` at a leaf. */
  readonly row: TableRow | undefined;
  /** Which leg it is in, from 0, where legs take turns. */
  readonly leg: number | undefined;
  /** Where the row keeps it, every copy. */
  readonly below: readonly WalkStep[];
}

/** Walks one address down. @param offset below the size of the device */
export function walkDown(device: Device, offset: number): WalkStep {
  const [part] = device.poison.states({ offset, length: 1 });
  const state = part?.state ?? "unread";
  const found =
    device instanceof MappedDevice
      ? device.rows.find(({ begin, length }) => begin <= offset && offset < begin + length)
      : undefined;
  if (found === undefined)
    return { device, offset, state, row: undefined, leg: undefined, below: [] };
  const inRow = offset - found.begin;
  const { target, row } = found;
  const leg = target.kind === "map" ? legAt(target, inRow).index : undefined;
  return {
    device,
    offset,
    state,
    row,
    leg: target.kind === "map" && target.chunk !== Infinity ? leg : undefined,
    below: placesBelow(target, inRow).map((place) => walkDown(place.device, place.offset)),
  };
}

/** The leg that holds a byte of a row, and the byte's place in that leg. */
function legAt(
  { chunk, step = chunk, legs }: MapTarget,
  inRow: number,
): { readonly index: number; readonly inLeg: number } {
  if (chunk === Infinity) return { index: 0, inLeg: inRow };
  const turn = Math.floor(inRow / chunk);
  const inLeg = Math.floor(turn / legs.length) * step + (inRow - turn * chunk);
  return { index: turn % legs.length, inLeg };
}

function placesBelow(target: Target, inRow: number): readonly DevicePlace[] {
  if (target.kind === "device") return target.below(inRow);
  const { index, inLeg } = legAt(target, inRow);
  const leg = target.legs[index];
  return leg === undefined ? [] : [{ device: leg.device, offset: leg.offset + inLeg }];
}

/** The addresses of a device at which a byte of a leaf shows, ascending: by the rows, level by level, and not by the flattened layout. */
export function addressesAbove(device: Device, place: DevicePlace): number[] {
  if (device === place.device) return [place.offset];
  if (!(device instanceof MappedDevice)) return [];
  const found = device.rows.flatMap(({ begin, target }) =>
    target.kind === "map"
      ? mapAddresses(target, place).map((inRow) => begin + inRow)
      : deviceAddresses(target, place).map((inRow) => begin + inRow),
  );
  return found.sort((one, other) => one - other);
}

function mapAddresses({ chunk, step = chunk, legs }: MapTarget, place: DevicePlace): number[] {
  return legs.flatMap((leg, index) =>
    addressesAbove(leg.device, place)
      .map((offset) => offset - leg.offset)
      .filter((inLeg) => inLeg >= 0 && inLeg < leg.length)
      .filter((inLeg) => chunk === Infinity || inLeg % step < chunk)
      .map((inLeg) => {
        if (chunk === Infinity) return inLeg;
        const row = Math.floor(inLeg / step);
        return (row * legs.length + index) * chunk + (inLeg - row * step);
      }),
  );
}

function deviceAddresses(
  target: Extract<Target, { kind: "device" }>,
  place: DevicePlace,
): number[] {
  const devices = new Set(target.areas.map(({ device }) => device));
  const found = new Set<number>();
  for (const device of devices) {
    for (const offset of addressesAbove(device, place)) {
      const inRow = target.above?.({ device, offset });
      if (inRow !== undefined) found.add(inRow);
    }
  }
  return [...found];
}

/** The tables of a stack, the top first, each once. */
export function tablesOf(top: Device): MappedDevice[] {
  const tables = new Set<MappedDevice>();
  const visit = (device: Device): void => {
    if (!(device instanceof MappedDevice) || tables.has(device)) return;
    tables.add(device);
    for (const { target } of device.rows) for (const area of target.areas) visit(area.device);
  };
  visit(top);
  return [...tables];
}
