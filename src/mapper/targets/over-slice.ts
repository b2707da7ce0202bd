/** OverSlice: a device over a range of one device below, which passes everything on; a target overrides what it does itself. */
import {
  checkRange,
  SECTOR,
  StorageError,
  type ByteRange,
  type MaybePromise,
} from "../../base/index.ts";
import {
  recoversIn,
  sliceDevice,
  type AccessMode,
  type Capabilities,
  type Device,
  type DeviceIdentity,
  type DirectAccess,
  type FaultyDevice,
  type HealWrite,
  type ManagedDevice,
  type ReadResult,
} from "../../device/index.ts";
import type { FaultChange, PoisonView } from "../../poison/index.ts";
import { canFail, faulty } from "../faulty.ts";
import type { Area, TargetRow } from "../target.ts";

/** An area of a device that keeps a list. */
export interface ManagedArea extends Area {
  readonly device: ManagedDevice;
}

/**
 * Holds an area to what these targets need: it lies inside its device, which knows poison.
 *
 * @throws {StorageError} EBADMSG by `row.fail`
 */
export function managedArea(area: Area, row: Pick<TargetRow, "fail">): ManagedArea {
  const { device, offset, length } = area;
  const { name } = device.identity;
  if (offset + length > device.size)
    return row.fail(
      `${name} too small for target: start=${offset / SECTOR}, len=${length / SECTOR}, dev_size=${Math.floor(device.size / SECTOR)}`,
    );
  if (!isManaged(device) || !recoversIn(device, area))
    return row.fail(`Device lookup failed: want a device that knows poison: got ${name}`);
  return { device, offset, length };
}

function isManaged(device: Device): device is ManagedDevice {
  return "heal" in device;
}

/** The device that passes everything on. It closes nothing: whoever opened the device below does. */
export class OverSlice implements FaultyDevice {
  readonly size: number;
  readonly capabilities: Capabilities;
  readonly poison: PoisonView;
  readonly direct: DirectAccess | undefined = undefined;
  protected readonly area: ManagedArea;
  protected readonly slice: ManagedDevice;
  readonly #type: string;

  /** @param type name of the target */
  constructor(
    type: string,
    area: ManagedArea,
    capabilities: Capabilities = area.device.capabilities,
  ) {
    this.#type = type;
    this.area = area;
    this.size = area.length;
    this.slice = sliceDevice(area.device, area);
    this.capabilities = capabilities;
    this.poison = this.slice.poison;
  }

  get identity(): DeviceIdentity {
    const { name, uuid, generation } = this.area.device.identity;
    return {
      name: `${this.#type} over ${name}`,
      uuid: uuid === undefined ? undefined : `${this.#type} ${uuid} ${this.area.offset}`,
      generation,
    };
  }

  read(into: Uint8Array, offset: number, mode?: AccessMode): MaybePromise<ReadResult> {
    return this.slice.read(into, offset, mode);
  }

  write(from: Uint8Array, offset: number, mode?: AccessMode): MaybePromise<void> {
    return this.slice.write(from, offset, mode);
  }

  recoversIn(range: ByteRange): boolean {
    return recoversIn(this.slice, range);
  }

  flush(): MaybePromise<void> {
    return this.slice.flush();
  }

  close(): MaybePromise<void> {
    return undefined;
  }

  heal(writes: readonly HealWrite[]): MaybePromise<readonly (Error | undefined)[]> {
    return this.slice.heal(writes);
  }

  clear(range: ByteRange): MaybePromise<void> {
    return this.slice.clear(range);
  }

  holeFrom(offset: number): number {
    const { device, offset: start } = this.area;
    return Math.min(device.holeFrom?.(start + offset) ?? 0, this.size - offset);
  }

  recordRead(range: ByteRange): void {
    this.slice.recordRead(range);
  }

  recordBad(range: ByteRange, state: "poisoned" | "lost"): void {
    this.slice.recordBad(range, state);
  }

  /** A range of it on the device below. */
  below(range: ByteRange): ManagedArea {
    const { device, offset } = this.area;
    return { device, offset: offset + range.offset, length: range.length };
  }

  /** Whether all below it can be told to fail. */
  get canFail(): boolean {
    return canFail(this.area.device);
  }

  /** As `SimulatedDevice.inject`, of the device below. */
  inject(range: ByteRange, options: { readonly latent?: boolean } = {}): ByteRange {
    this.checkWritable(range);
    const units = faulty(this.area.device).inject(this.below(range), options);
    const start = Math.max(0, units.offset - this.area.offset);
    const end = Math.min(this.size, units.offset + units.length - this.area.offset);
    return { offset: start, length: end - start };
  }

  /** As `SimulatedDevice.setFault`, of the device below. */
  setFault(change: FaultChange): void {
    this.checkWritable(change);
    const { offset, length } = this.below(change);
    faulty(this.area.device).setFault({ ...change, offset, length });
  }

  /** Opens a range for a change. @throws {StorageError} EACCES where it is open for reading */
  protected checkWritable(range: ByteRange): void {
    checkRange(range, this.size);
    if (!this.capabilities.readOnly) return;
    const { name } = this.identity;
    throw new StorageError("EACCES", `Cannot write ${name}: it is open for reading`, {
      path: name,
    });
  }
}
