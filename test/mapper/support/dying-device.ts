/** DyingDevice: a device that can be told to die: from then on every call of the medium fails, and its list takes nothing more. */
import { StorageError, type ByteRange, type MaybePromise } from "../../../src/base/index.ts";
import type { AccessMode, HealWrite, ReadResult } from "../../../src/device/index.ts";
import { PassingDevice } from "./passing-device.ts";

/** What is dead of a device. */
export type Death = "alive" | "writes" | "flushes" | "all";

/** A managed device around another, which it does not close. */
export class DyingDevice extends PassingDevice {
  death: Death = "alive";
  /** Calls of `read` so far. */
  reads = 0;

  #live(deaths: readonly Death[]): void {
    if (deaths.includes(this.death))
      throw new StorageError("EIO", `Cannot use ${this.identity.name}: it is dead`);
  }

  override read(into: Uint8Array, offset: number, mode?: AccessMode): MaybePromise<ReadResult> {
    this.reads += 1;
    this.#live(["all"]);
    return super.read(into, offset, mode);
  }

  override write(from: Uint8Array, offset: number, mode?: AccessMode): MaybePromise<void> {
    this.#live(["all", "writes"]);
    return super.write(from, offset, mode);
  }

  override heal(writes: readonly HealWrite[]): MaybePromise<readonly (Error | undefined)[]> {
    this.#live(["all", "writes"]);
    return super.heal(writes);
  }

  override clear(range: ByteRange): MaybePromise<void> {
    this.#live(["all", "writes"]);
    return super.clear(range);
  }

  override flush(): MaybePromise<void> {
    this.#live(["all", "writes", "flushes"]);
    return super.flush();
  }

  override recordBad(range: ByteRange, state: "poisoned" | "lost"): void {
    this.#live(["all"]);
    super.recordBad(range, state);
  }

  override close(): void {}
}
