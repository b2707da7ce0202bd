/** MetaArea: what a mirror keeps of itself on a device, as one buffer in memory: read whole, written by sectors that changed. */
import { alignOut, endOf, SECTOR, type ByteRange, type MaybePromise } from "../../base/index.ts";
import { thoroughMode, type Device } from "../../device/index.ts";
import { after } from "../after.ts";

/** A run of sectors of a device. */
export class MetaArea {
  readonly device: Device;
  readonly offset: number;
  readonly bytes: Uint8Array;

  /** @param bytes of whole sectors; zeros until read */
  constructor(device: Device, offset: number, bytes: Uint8Array) {
    this.device = device;
    this.offset = offset;
    this.bytes = bytes;
  }

  /** Reads all of it. @returns what of it the device does not give, from its own start; those bytes are zeros */
  read(): MaybePromise<readonly ByteRange[]> {
    const { device, offset, bytes } = this;
    return after(device.read(bytes, offset, thoroughMode(device)), ({ missing }) => {
      const holes = missing.map((hole) => ({
        offset: hole.offset - offset,
        length: hole.length,
      }));
      for (const hole of holes) bytes.fill(0, hole.offset, endOf(hole));
      return holes;
    });
  }

  /** Writes the sectors that a range touches; what is bad there is healed. */
  write(range: ByteRange): MaybePromise<void> {
    const { offset, length } = alignOut(range, SECTOR);
    const part = this.bytes.subarray(offset, offset + length);
    return this.device.write(part, this.offset + offset, thoroughMode(this.device));
  }
}
