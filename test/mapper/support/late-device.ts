/** LateDevice: a device that answers later, as one behind a network does, for what a target does meanwhile. */
import type { ByteRange, MaybePromise } from "../../../src/base/index.ts";
import type { AccessMode, HealWrite, ReadResult } from "../../../src/device/index.ts";
import { PassingDevice } from "./passing-device.ts";

/** Passes every call on, after other work had its turn. */
export class LateDevice extends PassingDevice {
  /** Whether it is late by now. */
  late = false;

  override read(into: Uint8Array, offset: number, mode?: AccessMode): MaybePromise<ReadResult> {
    return this.#later(() => super.read(into, offset, mode));
  }

  override write(from: Uint8Array, offset: number, mode?: AccessMode): MaybePromise<void> {
    return this.#later(() => super.write(from, offset, mode));
  }

  override flush(): MaybePromise<void> {
    return this.#later(() => super.flush());
  }

  override heal(writes: readonly HealWrite[]): MaybePromise<readonly (Error | undefined)[]> {
    return this.#later(() => super.heal(writes));
  }

  override clear(range: ByteRange): MaybePromise<void> {
    return this.#later(() => super.clear(range));
  }

  #later<T>(call: () => MaybePromise<T>): MaybePromise<T> {
    if (!this.late) return call();
    return new Promise((resolve) => {
      setImmediate(resolve);
    }).then(call);
  }
}
