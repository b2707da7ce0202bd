/** OverlayDevice: a device with other bytes laid over some of its ranges, in memory and read-only: "what if these were healed". */
import { RangeSet, StorageError, type BadRange } from "../../base/index.ts";
import {
  thoroughMode,
  type Capabilities,
  type Device,
  type DeviceIdentity,
  type ReadResult,
} from "../../device/index.ts";
import type { PoisonView } from "../../poison/index.ts";

/** Bytes laid over a device. */
export interface Patch {
  /** First byte on the device. */
  readonly offset: number;
  readonly bytes: Uint8Array;
}

/** The view. Its list is the device's own: ask reads, not the list, what is there. */
export class OverlayDevice implements Device {
  readonly #device: Device;
  readonly #patches: readonly Patch[];
  readonly direct: undefined;

  /** @param patches apart from each other, in any order */
  constructor(device: Device, patches: readonly Patch[]) {
    this.#device = device;
    this.#patches = patches.toSorted((one, other) => one.offset - other.offset);
  }

  get size(): number {
    return this.#device.size;
  }

  get identity(): DeviceIdentity {
    return this.#device.identity;
  }

  get capabilities(): Capabilities {
    return { ...this.#device.capabilities, readOnly: true };
  }

  get poison(): PoisonView {
    return this.#device.poison;
  }

  async read(into: Uint8Array, offset: number): Promise<ReadResult> {
    const { missing } = await this.#device.read(into, offset, thoroughMode(this.#device));
    const states = new Map<BadRange["state"], RangeSet>();
    for (const range of missing) {
      const set = states.get(range.state) ?? new RangeSet();
      set.add(range.offset, range.length);
      states.set(range.state, set);
    }
    for (const patch of this.#within(offset, into.length)) {
      const from = Math.max(patch.offset, offset);
      const to = Math.min(patch.offset + patch.bytes.length, offset + into.length);
      into.set(patch.bytes.subarray(from - patch.offset, to - patch.offset), from - offset);
      for (const set of states.values()) set.delete(from, to - from);
    }
    const rest = [...states].flatMap(([state, set]) =>
      [...set].map(({ offset: at, length }) => ({ offset: at, length, state })),
    );
    return { missing: rest.sort((one, other) => one.offset - other.offset) };
  }

  /** Patches that touch a range: by bisection, because there may be many. */
  *#within(offset: number, length: number): Generator<Patch> {
    let low = 0;
    let high = this.#patches.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      const patch = this.#patches[middle];
      if (patch !== undefined && patch.offset + patch.bytes.length <= offset) low = middle + 1;
      else high = middle;
    }
    for (let at = low; at < this.#patches.length; at += 1) {
      const patch = this.#patches[at];
      if (patch === undefined || patch.offset >= offset + length) return;
      yield patch;
    }
  }

  write(): never {
    throw new StorageError("EOPNOTSUPP", "Cannot write: an overlay is read-only", {
      syscall: "write",
    });
  }

  flush(): void {
    // Nothing was written.
  }

  close(): void {
    // The device below belongs to whoever opened it.
  }
}
