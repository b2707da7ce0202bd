/**
 * MappedDevice: a table of targets as a device. What a leaf promises at its addresses, the table promises at its own.
 *
 * - A read or write that lies in one place of one leaf is that leaf's call, with its answer translated: nothing is looked up here (R6).
 * - One over several places: the leaves' answers joined. What would fail for a known reason fails before any byte moves; bad ranges
 *   are healed first, one batch a leaf, and only then the good ones are written, so that a refused heal leaves the rest as it was (R5).
 * - Reads over several places see a change before or after, never between: a read under which something changed is made again.
 */
import {
  alignOut,
  checkRange,
  endOf,
  intersect,
  isPromise,
  MediaError,
  RangeSet,
  StorageError,
  type BadRange,
  type ByteRange,
  type MaybePromise,
} from "../base/index.ts";
import {
  COMPLETE,
  InFlight,
  recoversIn,
  type AccessMode,
  type Capabilities,
  type Device,
  type DeviceIdentity,
  type DirectAccess,
  type HealWrite,
  type ManagedDevice,
  type ReadResult,
} from "../device/index.ts";
import type { PoisonView } from "../poison/index.ts";
import { inTurn } from "./in-turn.ts";
import { sortedRanges } from "./joined.ts";
import { Layout, type Place } from "./layout.ts";
import { leafWrites, type LeafWrites } from "./leaf-writes.ts";
import type { LoadedRow } from "./load-table.ts";
import { joinedCapabilities, joinedIdentity } from "./mapped-capabilities.ts";
import { mappedDirect } from "./mapped-direct.ts";
import { mappedPoison } from "./mapped-poison.ts";
import { readRuns } from "./read-runs.ts";
import type { Area } from "./target.ts";

/** What a table's device is made with. */
export interface MappedDeviceOptions {
  /** What people call it. */
  readonly name: string;
  /** Devices that are closed with it, last first. @default none: whoever opened a leaf closes it */
  readonly owned?: readonly Device[];
}

/** A table as a device. */
export class MappedDevice implements Device {
  readonly size: number;
  readonly rows: readonly LoadedRow[];
  readonly layout: Layout;
  readonly capabilities: Capabilities;
  readonly poison: PoisonView;
  readonly direct: DirectAccess | undefined;
  /** What the table uses of its leaves, targets with a mind of their own among them. */
  protected readonly areas: readonly Area[];
  protected readonly leaves: readonly Device[];
  readonly #name: string;
  readonly #owned: readonly Device[];
  readonly #place: Place = { device: this, offset: 0, length: 0 };
  readonly #reads = new InFlight();
  /** Writes over several places that wait for a leaf. */
  readonly #writing = new Map<ByteRange, Promise<void>>();
  #closed = false;

  constructor(rows: readonly LoadedRow[], options: MappedDeviceOptions) {
    this.rows = rows;
    this.#name = options.name;
    this.layout = new Layout(rows.map((row) => partOf(row)));
    this.size = this.layout.size;
    this.areas = [...this.layout.reaches()];
    this.leaves = [...new Set(this.areas.map(({ device }) => device))];
    const own = rows.flatMap(({ target }) => (target.kind === "device" ? [target.device] : []));
    this.#owned = [...(options.owned ?? []), ...own];
    this.capabilities = joinedCapabilities(this.leaves);
    this.poison = mappedPoison(this.layout);
    this.direct = mappedDirect(
      {
        layout: this.layout,
        leaves: this.leaves,
        touch: (range) => this.#reads.touch(range.offset, range.length),
        errorOf: (error, device) => this.errorOf(error, device),
      },
      this.capabilities.pageSize,
    );
  }

  get identity(): DeviceIdentity {
    return joinedIdentity(this.#name, this.areas);
  }

  read(into: Uint8Array, offset: number, mode: AccessMode = "access"): MaybePromise<ReadResult> {
    const { length } = into;
    // what is no whole number goes on to the leaf, which refuses it
    if (this.#closed || !(offset >= 0 && length <= this.size - offset))
      this.#check({ offset, length });
    if (length === 0) return this.#readNothing(offset);
    const place = this.#place;
    this.layout.locate(offset, place);
    if (length > place.length) return this.#readRuns(into, offset, mode);
    const shift = offset - place.offset;
    const result = place.device.read(into, place.offset, mode);
    if (result === COMPLETE) return COMPLETE;
    if (isPromise(result)) return result.then((whole) => shifted(whole, shift));
    return shifted(result, shift);
  }

  #readNothing(offset: number): ReadResult {
    this.#check({ offset, length: 0 });
    return COMPLETE;
  }

  #readRuns(into: Uint8Array, offset: number, mode: AccessMode): MaybePromise<ReadResult> {
    const range = { offset, length: into.length };
    for (const [other, end] of this.#writing) {
      if (other.offset < endOf(range) && offset < endOf(other))
        return end.then(() => this.#readRuns(into, offset, mode));
    }
    const runs = [...this.layout.runs(range)];
    if (mode === "recovery") this.checkRecovers(runs);
    const answer = readRuns(runs, { into, offset, mode });
    if (!isPromise(answer)) return answer;
    const pass = this.#reads.begin(range);
    return answer
      .finally(() => this.#reads.end(pass))
      .then((result) => (pass.stale ? this.#readRuns(into, offset, mode) : result));
  }

  write(from: Uint8Array, offset: number, mode: AccessMode = "access"): MaybePromise<void> {
    const range = { offset, length: from.length };
    this.beginChange(range);
    if (from.length === 0) return undefined;
    const place = this.#place;
    this.layout.locate(offset, place);
    if (from.length > place.length) return this.#writeRuns(from, offset, mode);
    const { device } = place;
    return this.asTable(device, () => device.write(from, place.offset, mode));
  }

  /** Over several places: what is bad first. */
  #writeRuns(from: Uint8Array, offset: number, mode: AccessMode): MaybePromise<void> {
    const range = { offset, length: from.length };
    if (mode === "recovery") this.checkRecovers(this.layout.runs(range));
    const heals: (() => MaybePromise<void>)[] = [];
    const stores: (() => MaybePromise<void>)[] = [];
    for (const leaf of leafWrites(this.layout, [{ offset, data: from }])) {
      const bad = this.#badWrites(leaf, mode);
      if (bad.length > 0) heals.push(() => this.#healLeaf(leaf.device, bad, mode));
      for (const write of leaf.writes)
        if (!bad.includes(write)) stores.push(() => this.#store(leaf.device, write, mode));
    }
    const done = inTurn([...heals, ...stores], (step) => step());
    if (!isPromise(done)) return undefined;
    const ended = done.finally(() => {
      this.#writing.delete(range);
      this.#reads.touch(range.offset, range.length);
    });
    // a reader waits for the end, whatever it is
    this.#writing.set(
      range,
      ended.catch(() => undefined),
    );
    return ended;
  }

  #store(device: Device, write: HealWrite, mode: AccessMode): MaybePromise<void> {
    return this.asTable(device, () => device.write(write.data, write.offset, mode));
  }

  /**
   * The writes of a leaf that have something bad in their clear units.
   *
   * @throws {MediaError} if the mode does not heal it: before any byte moves
   */
  #badWrites({ device, writes }: LeafWrites, mode: AccessMode): HealWrite[] {
    if (device.poison.empty) return [];
    const { clear, clearUnit } = device.capabilities;
    const covered = RangeSet.from(
      writes.map(({ offset, data }) => ({ offset, length: data.length })),
    );
    return writes.filter(({ offset, data }) => {
      const range = { offset, length: data.length };
      const units = alignOut(range, clearUnit);
      const reach = { ...units, length: Math.min(units.length, device.size - units.offset) };
      let found = false;
      for (const bad of device.poison.bad(reach)) {
        found = true;
        // beside the write it is in the way only of a disk, which takes whole units
        const inTheWay = clear === "overwrite" || intersect(bad, range) !== undefined;
        const unit = intersect(alignOut(bad, clearUnit), { offset: 0, length: device.size });
        const whole = unit !== undefined && covered.covers(unit.offset, unit.length);
        if (inTheWay && mode !== "recovery" && (mode === "failFast" || !whole))
          throw this.#badError(device, bad, mode);
      }
      return found;
    });
  }

  #badError(device: Device, bad: BadRange, mode: AccessMode): MediaError {
    const wish =
      mode === "failFast"
        ? "a fail-fast write heals nothing"
        : `a write of whole clear units of ${device.capabilities.clearUnit} bytes, or in recovery mode, heals`;
    const { name } = device.identity;
    return new MediaError(`Cannot write ${name}: bad at offset ${bad.offset}: ${wish}`, {
      device: this.#name,
      ranges: this.rangesAbove(device, [bad]),
      syscall: "write",
      path: this.#name,
    });
  }

  #healLeaf(device: Device, writes: readonly HealWrite[], mode: AccessMode): MaybePromise<void> {
    if (!("heal" in device)) return inTurn(writes, (write) => this.#store(device, write, mode));
    const answers = this.asTable(device, () => (device as ManagedDevice).heal(writes));
    const check = (errors: readonly (Error | undefined)[]): void => {
      const failed = errors.flatMap((error) =>
        error === undefined ? [] : [this.errorOf(error, device) as Error],
      );
      if (failed.length > 0) throw joinedError(failed);
    };
    return isPromise(answers) ? answers.then(check) : check(answers);
  }

  flush(): MaybePromise<void> {
    return inTurn(this.leaves, (leaf) => this.asTable(leaf, () => leaf.flush()));
  }

  /** Closes what it owns; the first failure is told when all are closed. */
  close(): MaybePromise<void> {
    if (this.#closed) return undefined;
    this.#closed = true;
    let failure: { readonly error: unknown } | undefined;
    const failed = (error: unknown): void => {
      failure ??= { error };
    };
    const tell = (): void => {
      if (failure !== undefined) throw failure.error;
    };
    const done = inTurn([...this.#owned].reverse(), (device) => {
      try {
        const end = device.close();
        return isPromise(end) ? end.catch(failed) : end;
      } catch (error) {
        return failed(error);
      }
    });
    return isPromise(done) ? done.then(tell) : tell();
  }

  recoversIn(range: ByteRange): boolean {
    this.#check(range);
    for (const { device, offset, length } of this.layout.runs(range))
      if (!recoversIn(device, { offset, length })) return false;
    return true;
  }

  /** Opens a range for a change. @throws {StorageError} EACCES where a leaf is open for reading */
  protected beginChange(range: ByteRange): void {
    this.#check(range);
    if (this.capabilities.readOnly)
      throw new StorageError("EACCES", `Cannot write ${this.#name}: it is open for reading`, {
        path: this.#name,
      });
    this.#reads.touch(range.offset, range.length);
  }

  #check(range: ByteRange): void {
    if (this.#closed)
      throw new StorageError("EIO", `Cannot use ${this.#name}: it is closed`, { path: this.#name });
    checkRange(range, this.size);
  }

  /** @throws {StorageError} EOPNOTSUPP if a range has a part without recovery: before any byte moves */
  protected checkRecovers(runs: Iterable<Area>): void {
    if (this.capabilities.recovers) return;
    for (const { device, offset, length } of runs) {
      if (recoversIn(device, { offset, length })) continue;
      const { name } = device.identity;
      throw new StorageError("EOPNOTSUPP", `Cannot recover on ${name}: it has no recovery`, {
        path: this.#name,
      });
    }
  }

  /** Runs a call of a leaf; its errors become the table's. */
  protected asTable<T>(device: Device, call: () => MaybePromise<T>): MaybePromise<T> {
    try {
      const result = call();
      if (!isPromise(result)) return result;
      return result.catch((error: unknown) => {
        throw this.errorOf(error, device);
      });
    } catch (error) {
      throw this.errorOf(error, device);
    }
  }

  /** An error of a leaf with its ranges at our addresses. */
  protected errorOf(error: unknown, device: Device): unknown {
    if (!(error instanceof MediaError)) return error;
    const { syscall, path } = error;
    return new MediaError(error.message.replace(/^EIO: /, ""), {
      device: this.#name,
      ranges: this.rangesAbove(device, error.ranges),
      cause: error,
      ...(syscall === undefined ? {} : { syscall }),
      ...(path === undefined ? {} : { path }),
    });
  }

  /** Ranges of a leaf at our addresses. */
  protected rangesAbove(device: Device, ranges: readonly BadRange[]): BadRange[] {
    const found: BadRange[] = [];
    for (const { offset, length, state } of ranges) {
      for (const part of this.layout.above(device, { offset, length }))
        found.push({ offset: part.offset, length: part.length, state });
    }
    return sortedRanges(found);
  }
}

function partOf({
  begin,
  length,
  target,
}: LoadedRow): ConstructorParameters<typeof Layout>[0][number] {
  const place = { offset: begin, length };
  if (target.kind === "map") {
    const { chunk, step = chunk, legs } = target;
    return { ...place, chunk, step, legs };
  }
  const legs = [{ device: target.device, offset: 0, length }];
  return { ...place, chunk: Infinity, step: Infinity, legs };
}

function shifted(result: ReadResult, by: number): ReadResult {
  if (result.missing.length === 0) return COMPLETE;
  return { missing: result.missing.map((range) => ({ ...range, offset: range.offset + by })) };
}

/** Several failures as one: of the media where all are, with all their ranges; else the first that is not. */
export function joinedError(errors: readonly Error[]): Error {
  const [first] = errors as readonly [Error];
  const other = errors.find((error) => !(error instanceof MediaError));
  if (other !== undefined || !(first instanceof MediaError)) return other ?? first;
  const ranges = sortedRanges((errors as readonly MediaError[]).flatMap((error) => error.ranges));
  return new MediaError(first.message.replace(/^EIO: /, ""), {
    device: first.device,
    ranges,
    cause: first.cause ?? first,
    ...(first.syscall === undefined ? {} : { syscall: first.syscall }),
    ...(first.path === undefined ? {} : { path: first.path }),
  });
}
