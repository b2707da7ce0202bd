/** mirrorTarget(): a row whose bytes are kept several times, as a target. */
import type { Area, DeviceTarget } from "../target.ts";
import type { MirrorLeg } from "./copies.ts";
import { MirrorDevice } from "./mirror-device.ts";
import type { RegionLog } from "./region-log.ts";

/** What such a row is made of. */
export interface MirrorRow {
  /** Name of the kind. */
  readonly type: string;
  /** In the order in which they are asked for data. */
  readonly legs: readonly MirrorLeg[];
  /** Bytes. */
  readonly size: number;
  readonly log: RegionLog;
  /** What the log uses of its devices. */
  readonly areas: readonly Area[];
}

/** Makes the target. */
export function mirrorTarget(row: MirrorRow): DeviceTarget {
  const { type, size, log } = row;
  const legs = row.legs.toSorted((one, other) => one.index - other.index);
  const name = `${type} over ${legs.map(({ device }) => device.identity.name).join(", ")}`;
  const device = new MirrorDevice({ name, size, legs: row.legs, log });
  const areas = legs.map((leg) => ({ device: leg.device, offset: leg.offset, length: size }));
  return {
    kind: "device",
    type,
    areas: [...areas, ...row.areas],
    device,
    activate: () => device.activate(),
    below: (offset) => legs.map((leg) => ({ device: leg.device, offset: leg.offset + offset })),
    above: (place) => {
      const leg = legs.find(
        (one) =>
          one.device === place.device &&
          place.offset >= one.offset &&
          place.offset < one.offset + size,
      );
      return leg === undefined ? undefined : place.offset - leg.offset;
    },
  };
}
