/** zero: reads as zeros, and what is written is gone (drivers/md/dm-zero.c): `zero`. Its bytes are clean, and a hole: nothing to salvage. */
import { checkRange, type ByteRange } from "../../base/index.ts";
import { COMPLETE, type HealWrite, type ReadResult } from "../../device/index.ts";
import type { DeviceTarget, TargetType } from "../target.ts";
import { ConstantDevice } from "./constant-device.ts";

class ZeroDevice extends ConstantDevice {
  constructor(size: number) {
    super("zero", size, "clean");
  }

  override read(into: Uint8Array, offset: number): ReadResult {
    checkRange({ offset, length: into.length }, this.size);
    into.fill(0);
    return COMPLETE;
  }

  override write(from: Uint8Array, offset: number): void {
    checkRange({ offset, length: from.length }, this.size);
  }

  override heal(writes: readonly HealWrite[]): undefined[] {
    return writes.map(() => undefined);
  }

  override clear(range: ByteRange): void {
    checkRange(range, this.size);
  }

  holeFrom(offset: number): number {
    return this.size - offset;
  }
}

/** `zero` */
export const zero: TargetType = {
  name: "zero",
  construct(row): DeviceTarget {
    if (row.args.length > 0) return row.fail(`No arguments required: got ${row.args.length} words`);
    const device = new ZeroDevice(row.length);
    return { kind: "device", type: "zero", areas: [], device, below: () => [] };
  },
};
