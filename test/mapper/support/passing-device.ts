/** PassingDevice: a device that hands every call on to another: what tests put between a target and its leaf begins with it. */
import type { ByteRange, MaybePromise } from "../../../src/base/index.ts";
import type {
  AccessMode,
  Capabilities,
  DeviceIdentity,
  HealWrite,
  ManagedDevice,
  ReadResult,
} from "../../../src/device/index.ts";
import type { PoisonView } from "../../../src/poison/index.ts";

/** A managed device around another, without direct access. */
export class PassingDevice implements ManagedDevice {
  readonly direct = undefined;
  readonly #device: ManagedDevice;

  constructor(device: ManagedDevice) {
    this.#device = device;
  }

  get size(): number {
    return this.#device.size;
  }

  get identity(): DeviceIdentity {
    return this.#device.identity;
  }

  get capabilities(): Capabilities {
    return this.#device.capabilities;
  }

  get poison(): PoisonView {
    return this.#device.poison;
  }

  read(into: Uint8Array, offset: number, mode?: AccessMode): MaybePromise<ReadResult> {
    return this.#device.read(into, offset, mode);
  }

  write(from: Uint8Array, offset: number, mode?: AccessMode): MaybePromise<void> {
    return this.#device.write(from, offset, mode);
  }

  heal(writes: readonly HealWrite[]): MaybePromise<readonly (Error | undefined)[]> {
    return this.#device.heal(writes);
  }

  clear(range: ByteRange): MaybePromise<void> {
    return this.#device.clear(range);
  }

  flush(): MaybePromise<void> {
    return this.#device.flush();
  }

  recordRead(range: ByteRange): void {
    this.#device.recordRead(range);
  }

  recordBad(range: ByteRange, state: "poisoned" | "lost"): void {
    this.#device.recordBad(range, state);
  }

  close(): MaybePromise<void> {
    return this.#device.close();
  }
}
