/** DyingDevice: a device that can be told to die: from then on every call of the medium fails, and its list takes nothing more. */
import { StorageError, type ByteRange, type MaybePromise } from "../../../src/base/index.ts";
import type {
  AccessMode,
  Capabilities,
  DeviceIdentity,
  HealWrite,
  ManagedDevice,
  ReadResult,
} from "../../../src/device/index.ts";
import type { PoisonView } from "../../../src/poison/index.ts";

/** What is dead of a device. */
export type Death = "alive" | "writes" | "flushes" | "all";

/** A managed device around another. */
export class DyingDevice implements ManagedDevice {
  death: Death = "alive";
  /** Calls of `read` so far. */
  reads = 0;
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

  #live(deaths: readonly Death[]): void {
    if (deaths.includes(this.death))
      throw new StorageError("EIO", `Cannot use ${this.identity.name}: it is dead`);
  }

  read(into: Uint8Array, offset: number, mode?: AccessMode): MaybePromise<ReadResult> {
    this.reads += 1;
    this.#live(["all"]);
    return this.#device.read(into, offset, mode);
  }

  write(from: Uint8Array, offset: number, mode?: AccessMode): MaybePromise<void> {
    this.#live(["all", "writes"]);
    return this.#device.write(from, offset, mode);
  }

  heal(writes: readonly HealWrite[]): MaybePromise<readonly (Error | undefined)[]> {
    this.#live(["all", "writes"]);
    return this.#device.heal(writes);
  }

  clear(range: ByteRange): MaybePromise<void> {
    this.#live(["all", "writes"]);
    return this.#device.clear(range);
  }

  flush(): MaybePromise<void> {
    this.#live(["all", "writes", "flushes"]);
    return this.#device.flush();
  }

  recordRead(range: ByteRange): void {
    this.#device.recordRead(range);
  }

  recordBad(range: ByteRange, state: "poisoned" | "lost"): void {
    this.#live(["all"]);
    this.#device.recordBad(range, state);
  }

  close(): void {}
}
