/**
 * checked-device: the seam. Wraps a device and asserts the contract at every crossing, both ways: a break of it stops the
 * process at the call that broke it, with the rule's name. Tests wrap every device so; production may.
 */
import {
  assert,
  checkRange,
  endOf,
  isPromise,
  MediaError,
  RangeSet,
  type BadRange,
  type ByteRange,
  type MaybePromise,
} from "../base/index.ts";
import {
  recoversIn,
  type AccessMode,
  type Capabilities,
  type Device,
  type DeviceIdentity,
  type HealWrite,
  type ManagedDevice,
  type ReadResult,
} from "./device.ts";
import type { DirectAccess } from "./direct-access.ts";
import type { PoisonView } from "../poison/index.ts";
import { anyBad } from "./states.ts";

/** Wraps a managed device: all is checked that one promises. */
export function checkedDevice(device: ManagedDevice): ManagedDevice;
/** Wraps a device. */
export function checkedDevice(device: Device): Device;
/** Wraps either. */
export function checkedDevice(device: Device | ManagedDevice): Device {
  return "heal" in device ? new CheckedManaged(device) : new CheckedDevice(device);
}

class CheckedDevice implements Device {
  readonly #device: Device;
  /** Changes so far, counted at their begin and end: what changed during a call is not that call's doing. */
  protected epoch = 0;

  constructor(device: Device) {
    this.#device = device;
    const { poisonUnit, clearUnit, pageSize } = device.capabilities;
    assert(clearUnit >= poisonUnit, "a clear unit is at least a poison unit");
    for (const unit of [poisonUnit, clearUnit, pageSize])
      assert(Number.isInteger(Math.log2(unit)), "units are powers of two");
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

  get direct(): DirectAccess | undefined {
    return this.#device.direct;
  }

  read(into: Uint8Array, offset: number, mode: AccessMode = "access"): MaybePromise<ReadResult> {
    const range = { offset, length: into.length };
    const before = into.slice();
    const epoch = this.epoch;
    return this.crossing(
      () => this.#device.read(into, offset, mode),
      (result) =>
        this.#checkRead({ range, before, into, mode, isAlone: this.epoch === epoch }, result),
    );
  }

  #checkRead(request: CheckedRead, result: ReadResult): void {
    const { range, into, before, mode } = request;
    checkRange(range, this.size);
    checkMissing(result.missing, range);
    if (!request.isAlone) return;
    const missing = RangeSet.from(result.missing);
    for (const bad of this.poison.bad(range)) {
      assert(missing.covers(bad.offset, bad.length), "R1: no byte on the list is returned as data");
    }
    for (const hole of result.missing) {
      if (hole.state === "unread") continue;
      const from = hole.offset - range.offset;
      const same =
        Buffer.compare(
          into.subarray(from, from + hole.length),
          before.subarray(from, from + hole.length),
        ) === 0;
      assert(same, "R1: bad bytes are left as they were");
    }
    if (mode !== "failFast" || result.missing[0] === undefined) return;
    assert(
      missing.covers(result.missing[0].offset, endOf(range) - result.missing[0].offset),
      "a fail-fast read stops at the first bad byte",
    );
  }

  write(from: Uint8Array, offset: number, mode: AccessMode = "access"): MaybePromise<void> {
    const range = { offset, length: from.length };
    const hadBad = offset >= 0 && endOf(range) <= this.size && anyBad(this.poison, range);
    return this.changing(
      () => this.#device.write(from, offset, mode),
      () => {
        checkRange(range, this.size);
        assert(!this.capabilities.readOnly, "a read-only device takes no write");
        assert(!hadBad || mode !== "failFast", "a fail-fast write heals nothing");
        assert(
          !anyBad(this.poison, range),
          "R5: a write that worked leaves nothing bad in its range",
        );
      },
    );
  }

  recoversIn(range: ByteRange): boolean {
    checkRange(range, this.size);
    return recoversIn(this.#device, range);
  }

  flush(): MaybePromise<void> {
    return this.crossing(
      () => this.#device.flush(),
      () => undefined,
    );
  }

  close(): MaybePromise<void> {
    return this.#device.close();
  }

  /** A crossing that changes the device. */
  protected changing<T>(call: () => MaybePromise<T>, check: (result: T) => void): MaybePromise<T> {
    this.epoch += 1;
    return this.crossing(call, (result) => {
      this.epoch += 1;
      check(result);
    });
  }

  /** Runs a call and looks at what comes back, also where it is an error; then at the sums. */
  protected crossing<T>(call: () => MaybePromise<T>, check: (result: T) => void): MaybePromise<T> {
    const done = (result: T): T => {
      check(result);
      this.#checkTotals();
      return result;
    };
    const failed = (error: unknown): never => {
      if (error instanceof MediaError) checkErrorRanges(error.ranges, this.size);
      throw error;
    };
    let result: MaybePromise<T>;
    try {
      result = call();
    } catch (error) {
      return failed(error);
    }
    return isPromise(result) ? later(result, done, failed) : done(result);
  }

  #checkTotals(): void {
    const { total, clean, unread, poisoned, lost } = this.poison.totals();
    assert(
      total === this.size && clean + unread + poisoned + lost === total,
      "R7: every byte is in exactly one state",
    );
    assert(
      this.poison.empty === (poisoned + lost === 0),
      "R6: a list is empty where nothing is bad",
    );
  }
}

async function later<T>(
  result: Promise<T>,
  done: (result: T) => T,
  failed: (error: unknown) => never,
): Promise<T> {
  let value: T;
  try {
    value = await result;
  } catch (error) {
    return failed(error);
  }
  return done(value);
}

interface CheckedRead {
  readonly range: ByteRange;
  readonly before: Uint8Array;
  readonly into: Uint8Array;
  readonly mode: AccessMode;
  readonly isAlone: boolean;
}

function checkMissing(missing: readonly BadRange[], range: ByteRange): void {
  let at = range.offset;
  let last: BadRange | undefined;
  for (const hole of missing) {
    assert(hole.length > 0 && hole.offset >= at, "missing ranges ascend and do not overlap");
    assert(
      last === undefined || endOf(last) < hole.offset || last.state !== hole.state,
      "missing ranges of one state stand apart",
    );
    assert(endOf(hole) <= endOf(range), "missing ranges lie inside the request");
    at = endOf(hole);
    last = hole;
  }
}

function checkErrorRanges(ranges: readonly BadRange[], size: number): void {
  for (const range of ranges)
    assert(range.offset >= 0 && endOf(range) <= size, "a media error names ranges of the device");
}

class CheckedManaged extends CheckedDevice implements ManagedDevice {
  readonly #device: ManagedDevice;

  constructor(device: ManagedDevice) {
    super(device);
    this.#device = device;
  }

  heal(writes: readonly HealWrite[]): MaybePromise<readonly (Error | undefined)[]> {
    return this.changing(
      () => this.#device.heal(writes),
      (results) => {
        assert(results.length === writes.length, "heal answers for every write");
        for (const [index, error] of results.entries()) {
          const write = writes[index];
          if (error !== undefined || write === undefined) continue;
          assert(
            !anyBad(this.poison, { offset: write.offset, length: write.data.length }),
            "R5: what was healed is not bad",
          );
        }
      },
    );
  }

  clear(range: ByteRange): MaybePromise<void> {
    return this.changing(
      () => this.#device.clear(range),
      () => {
        for (const part of this.poison.states(range))
          assert(part.state === "lost", "R4: what was cleared without data is lost");
      },
    );
  }

  recordRead(range: ByteRange): void {
    const bad = [...this.poison.bad(range)];
    this.#device.recordRead(range);
    const after = [...this.poison.bad(range)];
    assert(
      JSON.stringify(bad) === JSON.stringify(after),
      "R4: a recorded read takes nothing off the list",
    );
  }

  recordBad(range: ByteRange, state: "poisoned" | "lost"): void {
    this.#device.recordBad(range, state);
    for (const part of this.poison.states(range))
      assert(part.state === state, "recordBad puts the whole range into its state");
  }
}
