/**
 * error: fails every read and write (drivers/md/dm-target.c): `error [DEVICE START]`. What LVM puts where a disk is missing, and what people put
 * over a bad sector: so its bytes are poisoned, known, and nothing heals them.
 */
import { checkRange, MediaError, type ByteRange } from "../../base/index.ts";
import { COMPLETE, type HealWrite, type ReadResult } from "../../device/index.ts";
import type { DeviceTarget, TargetType } from "../target.ts";
import { ConstantDevice } from "./constant-device.ts";
import { areaAt } from "./linear.ts";

class ErrorDevice extends ConstantDevice {
  constructor(size: number) {
    super("error", size, "poisoned");
  }

  override read(into: Uint8Array, offset: number): ReadResult {
    const range = { offset, length: into.length };
    checkRange(range, this.size);
    return into.length === 0 ? COMPLETE : { missing: [{ ...range, state: "poisoned" }] };
  }

  override write(from: Uint8Array, offset: number): void {
    const range = { offset, length: from.length };
    checkRange(range, this.size);
    if (from.length > 0) throw failure(range);
  }

  override heal(writes: readonly HealWrite[]): Error[] {
    return writes.map(({ offset, data }) => failure({ offset, length: data.length }));
  }

  override clear(range: ByteRange): never {
    checkRange(range, this.size);
    throw failure(range);
  }
}

function failure(range: ByteRange): MediaError {
  return new MediaError(
    `Cannot write target error at offset ${range.offset}: it fails every read and write`,
    { device: "error", ranges: [{ ...range, state: "poisoned" }], syscall: "write" },
  );
}

/** `error [DEVICE START]` */
export const error: TargetType = {
  name: "error",
  construct(row): DeviceTarget {
    const { args, length } = row;
    const [word, start] = args;
    if (args.length !== 0 && args.length !== 2)
      return row.fail(
        `Invalid argument count: want none, or DEVICE START: got ${args.length} words`,
      );
    // the kernel takes the device's limits and nothing else: no byte of it is ever read
    if (word !== undefined && start !== undefined) areaAt({ word, start, length }, row);
    const device = new ErrorDevice(length);
    return { kind: "device", type: "error", areas: [], device, below: () => [] };
  },
};
