/** ConstantDevice: a device without a medium, for targets whose bytes are all alike: every byte in one state, nothing to heal or to mark. */
import { checkRange, type ByteRange } from "../../base/index.ts";
import type {
  Capabilities,
  DeviceIdentity,
  HealWrite,
  ManagedDevice,
  ReadResult,
} from "../../device/index.ts";
import type { PoisonView } from "../../poison/index.ts";
import { NO_MEDIUM } from "../mapped-capabilities.ts";

/** What both kinds share. They have no direct access: a table that holds one has none (dm_table_supports_dax). */
export abstract class ConstantDevice implements ManagedDevice {
  readonly size: number;
  readonly identity: DeviceIdentity;
  readonly capabilities: Capabilities = NO_MEDIUM;
  readonly poison: PoisonView;
  readonly direct = undefined;

  /** @param name also its UUID: two that are alike are the same */
  constructor(name: string, size: number, state: "clean" | "poisoned" | "lost") {
    this.size = size;
    this.identity = { name, uuid: name, generation: 0 };
    this.poison = constantPoison(size, state);
  }

  /** As `Device.read`; all bytes are alike, so no mode gives more. */
  abstract read(into: Uint8Array, offset: number): ReadResult;
  /** As `Device.write`. */
  abstract write(from: Uint8Array, offset: number): void;
  /** As `ManagedDevice.heal`. */
  abstract heal(writes: readonly HealWrite[]): readonly (Error | undefined)[];
  /** As `ManagedDevice.clear`. */
  abstract clear(range: ByteRange): void;

  flush(): void {}

  close(): void {}

  recordRead(range: ByteRange): void {
    checkRange(range, this.size);
  }

  recordBad(range: ByteRange): void {
    checkRange(range, this.size);
  }
}

/** A list that says the same of every byte. */
function constantPoison(size: number, state: "clean" | "poisoned" | "lost"): PoisonView {
  const parts = (range: ByteRange): ByteRange[] => {
    checkRange(range, size);
    return range.length === 0 ? [] : [{ offset: range.offset, length: range.length }];
  };
  const none = { clean: 0, unread: 0, poisoned: 0, lost: 0 };
  return {
    size,
    empty: state === "clean" || size === 0,
    bad: (range) =>
      state === "clean" ? [] : parts(range).map((part) => Object.assign(part, { state })),
    states: (range) => parts(range).map((part) => Object.assign(part, { state })),
    totals: () => ({ ...none, total: size, [state]: size }),
  };
}
