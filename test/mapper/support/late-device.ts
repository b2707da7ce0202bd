/** LateDevice: a device that answers later, as one behind a network does, for what a target does meanwhile. */
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

/** Passes every call on, after other work had its turn. */
export class LateDevice implements ManagedDevice {
  readonly direct = undefined;
  /** Whether it is late by now. */
  late = false;
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
    return this.#later(() => this.#device.read(into, offset, mode));
  }

  write(from: Uint8Array, offset: number, mode?: AccessMode): MaybePromise<void> {
    return this.#later(() => this.#device.write(from, offset, mode));
  }

  flush(): MaybePromise<void> {
    return this.#later(() => this.#device.flush());
  }

  heal(writes: readonly HealWrite[]): MaybePromise<readonly (Error | undefined)[]> {
    return this.#later(() => this.#device.heal(writes));
  }

  clear(range: ByteRange): MaybePromise<void> {
    return this.#later(() => this.#device.clear(range));
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

  #later<T>(call: () => MaybePromise<T>): MaybePromise<T> {
    if (!this.late) return call();
    return new Promise((resolve) => {
      setImmediate(resolve);
    }).then(call);
  }
}
