/**
 * slice-device: a byte range of a device as a device, its list translated. For partitions.
 *
 * Units and direct access stay the parent's; closing a slice leaves the parent open, because several slices share it.
 */
import {
  alignIn,
  checkRange,
  endOf,
  intersect,
  isPromise,
  MediaError,
  type BadRange,
  type ByteRange,
  type MaybePromise,
} from "../base/index.ts";
import type { PoisonTotals, PoisonView } from "../poison/index.ts";
import {
  COMPLETE,
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

/**
 * A part of a device as a device of its own; of a managed one as a managed one.
 *
 * @throws {RangeError} if the range ends past the device
 */
export function sliceDevice(device: ManagedDevice, range: ByteRange): ManagedDevice;
/** A part of a device that is not managed. @throws {RangeError} if the range ends past the device */
export function sliceDevice(device: Device, range: ByteRange): Device;
/** A part of either. @throws {RangeError} if the range ends past the device */
export function sliceDevice(device: Device | ManagedDevice, range: ByteRange): Device {
  checkRange(range, device.size);
  return "heal" in device ? new ManagedSlice(device, range) : new SliceDevice(device, range);
}

class SliceDevice implements Device {
  readonly size: number;
  readonly poison: PoisonView;
  readonly direct: DirectAccess | undefined;
  readonly #device: Device;
  protected readonly range: ByteRange;

  constructor(device: Device, range: ByteRange) {
    this.#device = device;
    this.range = range;
    this.size = range.length;
    this.poison = slicePoison(device.poison, range);
    this.direct = sliceDirect(device, range);
  }

  get identity(): DeviceIdentity {
    const { name, uuid, generation } = this.#device.identity;
    return { name: this.#nameOf(name), uuid, generation };
  }

  #nameOf(name: string): string {
    return `${name}[${this.range.offset}+${this.range.length}]`;
  }

  get capabilities(): Capabilities {
    return this.#device.capabilities;
  }

  read(into: Uint8Array, offset: number, mode?: AccessMode): MaybePromise<ReadResult> {
    checkRange({ offset, length: into.length }, this.size);
    const result = this.#device.read(into, this.range.offset + offset, mode);
    return isPromise(result)
      ? result.then((whole) => this.#resultOf(whole))
      : this.#resultOf(result);
  }

  #resultOf(result: ReadResult): ReadResult {
    if (result.missing.length === 0) return COMPLETE;
    return { missing: result.missing.map((range) => shifted(range, -this.range.offset)) };
  }

  write(from: Uint8Array, offset: number, mode?: AccessMode): MaybePromise<void> {
    checkRange({ offset, length: from.length }, this.size);
    return this.translate(() => this.#device.write(from, this.range.offset + offset, mode));
  }

  recoversIn(range: ByteRange): boolean {
    checkRange(range, this.size);
    return recoversIn(this.#device, shifted(range, this.range.offset));
  }

  flush(): MaybePromise<void> {
    return this.#device.flush();
  }

  close(): void {}

  /** Runs a call of the parent; the ranges of its media errors become ours. */
  protected translate<T>(call: () => MaybePromise<T>): MaybePromise<T> {
    try {
      const result = call();
      if (!isPromise(result)) return result;
      return result.catch((error: unknown) => {
        throw this.errorOf(error);
      });
    } catch (error) {
      throw this.errorOf(error);
    }
  }

  protected errorOf(error: unknown): unknown {
    if (!(error instanceof MediaError)) return error;
    const ranges = error.ranges.flatMap((range) => {
      const part = intersect(range, this.range);
      return part === undefined
        ? []
        : [shifted({ ...part, state: range.state }, -this.range.offset)];
    });
    const device = this.#nameOf(error.device);
    const { syscall, path } = error;
    return new MediaError(error.message.replace(/^EIO: /, ""), {
      device,
      ranges,
      cause: error,
      ...(syscall === undefined ? {} : { syscall }),
      ...(path === undefined ? {} : { path }),
    });
  }
}

class ManagedSlice extends SliceDevice implements ManagedDevice {
  readonly #device: ManagedDevice;

  constructor(device: ManagedDevice, range: ByteRange) {
    super(device, range);
    this.#device = device;
  }

  heal(writes: readonly HealWrite[]): MaybePromise<readonly (Error | undefined)[]> {
    for (const { offset, data } of writes) checkRange({ offset, length: data.length }, this.size);
    const inner = writes.map(({ offset, data }) => ({ offset: this.range.offset + offset, data }));
    const results = this.#device.heal(inner);
    return isPromise(results)
      ? results.then((all) => this.#errorsOf(all))
      : this.#errorsOf(results);
  }

  #errorsOf(results: readonly (Error | undefined)[]): readonly (Error | undefined)[] {
    return results.map((error) =>
      error === undefined ? undefined : (this.errorOf(error) as Error),
    );
  }

  clear(range: ByteRange): MaybePromise<void> {
    checkRange(range, this.size);
    return this.translate(() => this.#device.clear(shifted(range, this.range.offset)));
  }

  recordRead(range: ByteRange): void {
    checkRange(range, this.size);
    this.#device.recordRead(shifted(range, this.range.offset));
  }

  recordBad(range: ByteRange, state: "poisoned" | "lost"): void {
    checkRange(range, this.size);
    this.#device.recordBad(shifted(range, this.range.offset), state);
  }
}

function shifted<T extends ByteRange>(range: T, by: number): T {
  return { ...range, offset: range.offset + by };
}

/** The list of a part, offsets from its beginning. */
function slicePoison(poison: PoisonView, window: ByteRange): PoisonView {
  const outer = (range: ByteRange): ByteRange => {
    checkRange(range, window.length);
    return shifted(range, window.offset);
  };
  return {
    size: window.length,
    get empty() {
      if (poison.empty) return true;
      return poison.bad(window)[Symbol.iterator]().next().done === true;
    },
    *bad(range): Generator<BadRange> {
      if (poison.empty) return;
      for (const bad of poison.bad(outer(range))) yield shifted(bad, -window.offset);
    },
    *states(range) {
      for (const part of poison.states(outer(range))) yield shifted(part, -window.offset);
    },
    totals: () => totalsOf(poison, window),
  };
}

function totalsOf(poison: PoisonView, window: ByteRange): PoisonTotals {
  const sums = { clean: 0, unread: 0, poisoned: 0, lost: 0 };
  for (const part of poison.states(window)) sums[part.state] += part.length;
  return { total: window.length, ...sums };
}

/** Direct access to the whole pages of a part that begins at a page. */
function sliceDirect(device: Device, window: ByteRange): DirectAccess | undefined {
  const { direct } = device;
  const { pageSize } = device.capabilities;
  if (direct === undefined || window.offset % pageSize !== 0) return undefined;
  const firstPage = window.offset / pageSize;
  const lastWhole =
    endOf(alignIn(window, pageSize)) === endOf(window) || endOf(window) === device.size;
  const pagesOf = (page: number, pages: number): number => {
    const left =
      (lastWhole ? Math.ceil(window.length / pageSize) : Math.floor(window.length / pageSize)) -
      page;
    return Math.max(0, Math.min(pages, left));
  };
  return {
    probe(page, pages, mode) {
      checkRange({ offset: page * pageSize, length: 0 }, window.length);
      const count = pagesOf(page, pages);
      return count === 0 ? 0 : direct.probe(firstPage + page, count, mode);
    },
    view(range) {
      checkRange(range, window.length);
      return direct.view(shifted(range, window.offset));
    },
    load(into, offset) {
      checkRange({ offset, length: into.length }, window.length);
      return direct.load(into, window.offset + offset);
    },
    store(from, offset) {
      checkRange({ offset, length: from.length }, window.length);
      direct.store(from, window.offset + offset);
    },
    stands(from, offset) {
      checkRange({ offset, length: from.length }, window.length);
      return direct.stands(from, window.offset + offset);
    },
    loadUpTo(into, offset, mode) {
      checkRange({ offset, length: into.length }, window.length);
      return direct.loadUpTo(into, window.offset + offset, mode);
    },
    heal(from, offset) {
      checkRange({ offset, length: from.length }, window.length);
      direct.heal(from, window.offset + offset);
    },
    storeLine(line, offset) {
      checkRange({ offset, length: line.length }, window.length);
      direct.storeLine(line, window.offset + offset);
    },
    zeroPages(page, pages) {
      checkRange({ offset: page * pageSize, length: 0 }, window.length);
      direct.zeroPages(firstPage + page, pagesOf(page, pages));
    },
    recoveryWrite(from, offset) {
      checkRange({ offset, length: from.length }, window.length);
      return direct.recoveryWrite(from, window.offset + offset);
    },
  };
}
