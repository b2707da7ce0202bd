/**
 * DaxDevice: the `struct dax_device` of a device with direct access (drivers/dax/super.c): whether it lives, who holds it, who has it mapped,
 * and how a failure of its memory reaches them.
 *
 * A failure goes to the holder first. A holder that cannot tell whose memory it is (EOPNOTSUPP), or none, leaves it to the generic way
 * (`mf_generic_kill_procs`): the pages get HWPoison, and everyone who maps them hears of it. The access that met the poison gets BUS_MCEERR_AR,
 * all others BUS_MCEERR_AO. What the hardware reported is on the device's list before anyone hears of it (`nfit_handle_mce`).
 *
 * A device over others (a slice, a table) is a DaxDevice of its own and holds none below, as device-mapper does.
 */
import {
  alignOut,
  checkRange,
  endOf,
  RangeSet,
  StorageError,
  type ByteRange,
} from "../base/index.ts";
import { PageStates, type Device, type DeviceEvent, type DirectAccess } from "../device/index.ts";
import {
  BUS_MCEERR_AO,
  BUS_MCEERR_AR,
  MF_ACTION_REQUIRED,
  MF_MEM_PRE_REMOVE,
  MF_MUST_KILL,
  type DaxHolder,
  type FailureResult,
  type MappingListener,
  type MemoryFailure,
} from "./memory-failure.ts";

/** What some devices have beside the contract: marks of pages; they tell what they find, and take what others found. */
interface Telling {
  readonly pages?: PageStates;
  onEvent?(listener: (event: DeviceEvent) => void): () => void;
  recordBad?(range: ByteRange, state: "poisoned"): void;
}

const devices = new WeakMap<Device, DaxDevice>();

/**
 * The one DaxDevice of a device (`fs_dax_get_by_bdev`).
 *
 * @throws {StorageError} EOPNOTSUPP if the device has no direct access
 */
export function daxDeviceOf(device: Device): DaxDevice {
  const known = devices.get(device);
  if (known !== undefined) return known;
  const { direct } = device;
  if (direct === undefined) {
    const path = device.identity.name;
    throw new StorageError("EOPNOTSUPP", `Cannot map ${path}: it has no direct access`, { path });
  }
  const made = new DaxDevice(device, direct);
  devices.set(device, made);
  return made;
}

/** A device as direct access sees it; `daxDeviceOf` makes it. */
export class DaxDevice {
  readonly device: Device;
  readonly direct: DirectAccess;
  /** The marks of its pages; the device's own where it keeps some. */
  readonly pages: PageStates;
  /** The mapping whose access is under way: what it meets is its own (BUS_MCEERR_AR). */
  accessor: MappingListener | undefined;
  #alive = true;
  #holder: DaxHolder | undefined;
  readonly #mappings = new Set<MappingListener>();
  #unsubscribe: (() => void) | undefined;

  constructor(device: Device, direct: DirectAccess) {
    this.device = device;
    this.direct = direct;
    this.pages = (device as Telling).pages ?? new PageStates(device.capabilities.pageSize);
  }

  /** Whether the device has not been killed. */
  get alive(): boolean {
    return this.#alive;
  }

  /**
   * Becomes the holder (`fs_dax_get`); there is one at most.
   *
   * @returns the call that ends it (`fs_put_dax`)
   * @throws {StorageError} EBUSY if another holds it; EIO if it is dead
   */
  hold(holder: DaxHolder): () => void {
    const path = this.device.identity.name;
    if (!this.#alive) throw new StorageError("EIO", `Cannot hold ${path}: it is gone`, { path });
    if (this.#holder !== undefined)
      throw new StorageError("EBUSY", `Cannot hold ${path}: another holds it`, { path });
    this.#holder = holder;
    return () => {
      if (this.#holder === holder) this.#holder = undefined;
    };
  }

  /** Tells the holder of a failure: `dax_holder_notify_failure`. */
  notifyFailure(range: ByteRange, flags: number): FailureResult {
    if (!this.#alive) return "ENXIO";
    return this.#holder === undefined ? "EOPNOTSUPP" : this.#holder.notifyFailure(range, flags);
  }

  /** Ends the device: its holder hears of it first (the whole device, MF_MEM_PRE_REMOVE), then its mappings. Twice is allowed (`kill_dax`). */
  kill(): void {
    if (!this.#alive) return;
    if (this.#holder !== undefined)
      this.notifyFailure({ offset: 0, length: this.device.size }, MF_MEM_PRE_REMOVE);
    this.#alive = false;
    this.#holder = undefined;
    for (const mapping of this.#mappings) mapping.removed();
  }

  /** Has a mapping hear of failures; returns the call that ends it. */
  attach(mapping: MappingListener): () => void {
    this.#mappings.add(mapping);
    this.#unsubscribe ??= (this.device as Telling).onEvent?.((event) => this.#onEvent(event));
    return () => {
      this.#mappings.delete(mapping);
      if (this.#mappings.size > 0) return;
      this.#unsubscribe?.();
      this.#unsubscribe = undefined;
    };
  }

  /**
   * Handles a failure of memory (`memory_failure_dev_pagemap`): the list, the holder, the generic way.
   *
   * @returns what came of it: "ENXIO" where the device is dead or has no such byte
   * @throws {RangeError} if `lsb` is not a whole number from 0 to 30
   */
  memoryFailure({ offset, lsb, source = "machineCheck" }: MemoryFailure): FailureResult {
    if (!Number.isInteger(lsb) || lsb < 0 || lsb > 30)
      throw new RangeError(`Cannot handle memory failure: want lsb from 0 to 30: got ${lsb}`);
    checkRange({ offset, length: 0 }, Number.MAX_SAFE_INTEGER);
    if (!this.#alive || offset >= this.device.size) return "ENXIO";
    const range = this.#clip(alignOut({ offset, length: 1 }, 2 ** lsb));
    if (source === "machineCheck") this.#list(range);
    return this.#fail(range, source);
  }

  /**
   * Asks to move what a page holds elsewhere and to retire it (`soft_offline_page`): refused, because memory of a device has no other place.
   *
   * @throws {StorageError} EOPNOTSUPP, always
   */
  softOffline({ offset }: ByteRange): never {
    const path = this.device.identity.name;
    throw new StorageError(
      "EOPNOTSUPP",
      `Cannot move the page at offset ${offset} of ${path}: memory of a device stays where it is: write over it to heal it`,
      { path, syscall: "madvise" },
    );
  }

  /** Tells everyone who maps a range that it is bad, for a holder that knows the range is theirs (`mf_dax_kill_procs`). */
  killMappings(range: ByteRange, flags: number): void {
    const mapped = [...this.#mappings].filter((mapping) => mapping.maps(range));
    if (mapped.length > 0) for (const page of this.#pagesOf(range)) this.pages.markPoisoned(page);
    this.#signal(mapped, range, flags);
  }

  /**
   * Lifts the marks of pages that a machine check took away and that hold nothing bad any more. Linux lifts them with a clear of the whole page
   * only (`__pmem_clear_poison`), which devices do by themselves; here a page whose bad lines were healed one by one comes back too. What
   * MADV_HWPOISON alone says stays, unless somebody healed in the page.
   */
  settle(range: ByteRange, options: { readonly healed?: boolean } = {}): void {
    const { pageSize } = this.device.capabilities;
    for (const page of this.#pagesOf(range)) {
      if (options.healed !== true && this.pages.isPresent(page)) continue;
      const bytes = this.#clip({ offset: page * pageSize, length: pageSize });
      if (this.device.poison.bad(bytes)[Symbol.iterator]().next().done === true)
        this.pages.noteClear({ offset: page * pageSize, length: pageSize });
    }
  }

  #fail(range: ByteRange, source: "machineCheck" | "madvise"): FailureResult {
    const flags = this.accessor === undefined ? 0 : MF_ACTION_REQUIRED;
    const pages = this.#clip(alignOut(range, this.device.capabilities.pageSize));
    let result = this.notifyFailure(pages, flags);
    if (result === "EOPNOTSUPP") {
      for (const page of this.#pagesOf(range)) this.pages.markPoisoned(page);
      const mapped = [...this.#mappings].filter((mapping) => mapping.maps(pages));
      this.#signal(mapped, range, flags | MF_ACTION_REQUIRED | MF_MUST_KILL);
      result = "handled";
    }
    if (result === "handled" && source === "machineCheck")
      for (const page of this.#pagesOf(range)) this.pages.markNotPresent(page);
    return result;
  }

  #signal(mapped: readonly MappingListener[], range: ByteRange, flags: number): void {
    const required = (flags & MF_ACTION_REQUIRED) !== 0;
    for (const mapping of mapped) {
      const isOwn = required && mapping === this.accessor;
      mapping.failed(range, isOwn ? BUS_MCEERR_AR : BUS_MCEERR_AO);
    }
  }

  /** What the device finds: poison that an access of a mapping, somebody's read or a scrub met; data over it. */
  #onEvent(event: DeviceEvent): void {
    const { offset, length, kind } = event;
    if (kind === "poisoned") this.#fail({ offset, length }, "machineCheck");
    if (kind !== "healed") return;
    if (!this.pages.empty) this.settle(event, { healed: true });
    for (const mapping of this.#mappings) mapping.healed(event);
  }

  /** Puts a range on the device's list, where that can be; what is lost there stays lost (`nfit_handle_mce`). */
  #list(range: ByteRange): void {
    const bad = RangeSet.from(this.device.poison.bad(range));
    for (const part of Array.from(bad.gaps(range.offset, range.length)))
      (this.device as Telling).recordBad?.(part, "poisoned");
  }

  *#pagesOf(range: ByteRange): Generator<number> {
    const { pageSize } = this.device.capabilities;
    const pages = alignOut(range, pageSize);
    for (let at = pages.offset; at < endOf(pages); at += pageSize) yield at / pageSize;
  }

  #clip(range: ByteRange): ByteRange {
    return {
      offset: range.offset,
      length: Math.min(endOf(range), this.device.size) - range.offset,
    };
  }
}
