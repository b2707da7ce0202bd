/** SpreadList: a list that came with a stack, at the stack's addresses, handed to the images whose bytes it names. */
import { StorageError } from "../base/index.ts";
import {
  isRemoteDevice,
  MediaDevice,
  takeList,
  type Device,
  type RemoteDevice,
} from "../device/index.ts";
import type { StateRange } from "../poison/index.ts";
import { layoutOf } from "./layout.ts";
import { MirrorDevice } from "./mirror/mirror-device.ts";
import type { Area } from "./target.ts";
import { OverSlice } from "./targets/over-slice.ts";

/** What each image is told. */
export class SpreadList {
  readonly #lists = new Map<MediaDevice | RemoteDevice, StateRange[]>();
  readonly #innerOf: (device: Device) => Device;

  /** @param innerOf a device without the seam that may lie on it */
  constructor(innerOf: (device: Device) => Device) {
    this.#innerOf = innerOf;
  }

  /**
   * Takes a range of a table.
   *
   * @throws {StorageError} EOPNOTSUPP where something bad lies in what takes no list
   */
  spread(table: Device, part: StateRange): void {
    for (const share of layoutOf(table)?.shares(part) ?? []) this.#below(share, part.state);
  }

  /** Gives each image what was taken, of bytes that its own list calls unread; remembered where it is open for writing. */
  give(access: "read" | "write"): void {
    for (const [leaf, list] of this.#lists) {
      if (leaf instanceof MediaDevice) takeList(leaf, list, access);
      else leaf.takeGiven(list);
    }
  }

  #below({ device: layer, offset, length }: Area, state: StateRange["state"]): void {
    const device = this.#innerOf(layer);
    const part = { offset, length, state };
    if (device instanceof MediaDevice || isRemoteDevice(device)) {
      const list = this.#lists.get(device) ?? [];
      this.#lists.set(device, list);
      list.push(part);
    } else if (layoutOf(device) !== undefined) this.spread(device, part);
    else if (device instanceof OverSlice) this.#below(device.below(part), state);
    else if (state !== "poisoned" && state !== "lost") return;
    else if (device instanceof MirrorDevice) {
      // what the mirror cannot give is bad in every leg that counts
      for (const share of device.listShares(part)) this.#below(share, state);
    } else if (device.poison.totals().unread > 0)
      throw new StorageError(
        "EOPNOTSUPP",
        `Cannot take the list: ${device.identity.name} takes none: want the lists of the images below it`,
        { path: device.identity.name },
      );
  }
}
