/**
 * CxlMailbox: the poison commands of a CXL memory device (CXL 3.x, 8.2.9.9.4; drivers/cxl/core/mbox.c, memdev.c): get list, inject, clear.
 *
 * The unit is a line of 64 bytes. Clear takes 64 bytes of data, and poison and data change as one (`storeLine`); Linux always sends zeros. The
 * device's list has room for so many records: what does not fit sets OVERFLOW with the time of the first that did not. One call gives so
 * many: MORE says to call again with the same range. Addresses are the device's own (DPA), bytes from its start.
 *
 * Injected addresses are remembered for the session: after that their poison counts as the device's own ("Internal").
 */
import {
  alignOut,
  checkRange,
  endOf,
  intersect,
  MediaError,
  RangeSet,
  StorageError,
  systemClock,
  type ByteRange,
  type Clock,
} from "../../base/index.ts";
import { LINE } from "../line-store.ts";
import type { SimulatedDevice } from "../simulated-device.ts";
import type { AddressRangeScrub } from "./address-range-scrub.ts";
import { Badrange } from "./badrange.ts";

const NS_PER_MS = 1_000_000n;

/** What a device has room for. */
export interface CxlMailboxOptions {
  /** Records of the device's own list. @default 1024, where Linux stops reading */
  readonly maxRecords?: number;
  /** Records that one call gives. @default 1024 */
  readonly recordsPerCall?: number;
  /** Addresses that can be injected at once; one more is EBUSY. @default 8, as Linux' cxl_test */
  readonly maxInjected?: number;
  /** A scan whose time under way shows as SCANNING. @default none */
  readonly scrub?: AddressRangeScrub;
  /** Tells the time of an overflow. @default the machine's */
  readonly clock?: Clock;
}

/** One record: lines of 64 bytes. */
export interface CxlPoisonRecord {
  /** Device physical address, in bytes. */
  readonly dpa: number;
  /** Bytes; a multiple of 64. */
  readonly length: number;
  readonly source: "Internal" | "Injected";
}

/** What Get Poison List (4300h) gives. */
export interface CxlPoisonList {
  readonly records: readonly CxlPoisonRecord[];
  /** Flag 1: call again with the same range. */
  readonly more: boolean;
  /** Flag 2: the device knows of more than its list holds. */
  readonly overflow: boolean;
  /** Nanoseconds since 1970 of the first record that found no room; 0 where none did. */
  readonly overflowTimeNs: bigint;
  /** Flag 4: a scan is under way. */
  readonly scanning: boolean;
}

/** The mailbox of one device. */
export class CxlMailbox {
  readonly #device: SimulatedDevice;
  readonly #limits: { readonly injected: number; readonly perCall: number };
  readonly #scrub: AddressRangeScrub | undefined;
  readonly #list: Badrange;
  readonly #injected = new RangeSet();
  /** What of a list that MORE announced is still to be given. */
  #rest: { readonly range: ByteRange; readonly records: readonly CxlPoisonRecord[] } | undefined;

  /** @throws {RangeError} if the device is no CXL memory: poison units of at most 64 bytes, an atomic clear */
  constructor(device: SimulatedDevice, options: CxlMailboxOptions = {}) {
    const { poisonUnit, clear } = device.capabilities;
    if (poisonUnit > LINE || clear !== "atomic") {
      throw new RangeError(
        `Cannot make a CXL mailbox: want poison units of at most ${LINE} bytes and an atomic clear: got ${poisonUnit} and ${clear}`,
      );
    }
    const { maxRecords = 1024, recordsPerCall = 1024, maxInjected = 8 } = options;
    this.#device = device;
    this.#limits = { injected: maxInjected, perCall: recordsPerCall };
    this.#scrub = options.scrub;
    this.#list = new Badrange({ limit: maxRecords, clock: options.clock ?? systemClock });
  }

  /** Reads the list of a range; latent poison is not in it. @throws {StorageError} EINVAL if the range is not aligned to 64 bytes or past the end */
  getPoisonList(range: ByteRange = { offset: 0, length: this.#device.size }): CxlPoisonList {
    this.#check(range);
    const isNext =
      this.#rest?.range.offset === range.offset && this.#rest.range.length === range.length;
    const all = isNext ? (this.#rest?.records ?? []) : this.#recordsIn(range);
    const records = all.slice(0, this.#limits.perCall);
    const rest = all.slice(records.length);
    this.#rest = rest.length > 0 ? { range, records: rest } : undefined;
    const overflowedAtMs = this.#list.overflowedAtMs;
    return {
      records,
      more: rest.length > 0,
      overflow: overflowedAtMs !== undefined,
      overflowTimeNs: overflowedAtMs === undefined ? 0n : BigInt(overflowedAtMs) * NS_PER_MS,
      scanning: this.#scrub?.status().state === "busy",
    };
  }

  #recordsIn(range: ByteRange): CxlPoisonRecord[] {
    this.#refresh();
    const ascending = [...this.#list.records].sort((one, other) => one.offset - other.offset);
    return ascending.flatMap((record) => {
      const part = intersect(record, range);
      if (part === undefined) return [];
      const source = this.#injected.intersects(part.offset, LINE) ? "Injected" : "Internal";
      return [{ dpa: part.offset, length: part.length, source } as const];
    });
  }

  /** Brings the device's own list up to date: what is new is added while there is room, what ended is forgotten. */
  #refresh(): void {
    const now = this.#poison();
    const listed = RangeSet.from(this.#list.records);
    for (const { offset, length } of this.#list.records.slice()) {
      const gone = Array.from(now.gaps(offset, length));
      for (const range of gone) this.#list.forget(range);
    }
    for (const { offset, length } of now) {
      const added = Array.from(listed.gaps(offset, length));
      for (const range of added) for (const part of this.#bySource(range)) this.#list.add(part);
    }
  }

  /** Lines that are known to be poisoned, and injected ones. What is lost is no poison any more. */
  #poison(): RangeSet {
    const lines = RangeSet.from(this.#injected);
    for (const bad of this.#device.poison.bad({ offset: 0, length: this.#device.size })) {
      if (bad.state !== "poisoned") continue;
      const { offset, length } = alignOut(bad, LINE);
      lines.add(offset, length);
    }
    return lines;
  }

  /** A range cut where its source changes. */
  #bySource({ offset, length }: ByteRange): ByteRange[] {
    const parts = [
      ...this.#injected.within(offset, length),
      ...this.#injected.gaps(offset, length),
    ];
    return parts.sort((one, other) => one.offset - other.offset);
  }

  /**
   * Poisons a line (4301h). One that is poisoned already is no error.
   *
   * @throws {StorageError} EINVAL if the address is not aligned to 64 bytes or past the end; EBUSY at the limit
   */
  injectPoison(dpa: number): void {
    this.#check({ offset: dpa, length: LINE });
    if (this.#injected.covers(dpa, LINE)) return;
    const path = this.#device.identity.name;
    if (this.#injected.byteLength / LINE >= this.#limits.injected) {
      throw new StorageError(
        "EBUSY",
        `Cannot inject into ${path}: it takes ${this.#limits.injected} addresses at once`,
        { path },
      );
    }
    this.#device.inject({ offset: dpa, length: LINE }, { latent: true });
    this.#injected.add(dpa, LINE);
  }

  /**
   * Ends poison in a line and stores data there, as one (4302h); durable on return. A clean line takes the data too.
   *
   * @param data 64 bytes. @default zeros, as Linux sends
   * @throws {StorageError} EINVAL as `injectPoison`; ENXIO if the device refuses: then the line is as bad as it was
   */
  clearPoison(dpa: number, data: Uint8Array = new Uint8Array(LINE)): void {
    this.#check({ offset: dpa, length: LINE });
    try {
      this.#device.storeLine(data, dpa);
      this.#device.flush();
    } catch (error) {
      if (!(error instanceof MediaError)) throw error;
      const path = this.#device.identity.name;
      throw new StorageError("ENXIO", `Cannot clear ${path} at ${dpa}: it refuses`, {
        path,
        cause: error,
      });
    }
    this.#injected.delete(dpa, LINE);
  }

  /** `cxl_validate_poison_dpa`, for a range. */
  #check(range: ByteRange): void {
    checkRange(range, Number.MAX_SAFE_INTEGER);
    const isInside = endOf(range) <= this.#device.size;
    if (isInside && range.offset % LINE === 0 && range.length % LINE === 0) return;
    const path = this.#device.identity.name;
    throw new StorageError(
      "EINVAL",
      `Cannot use address ${range.offset} of ${path}: want a multiple of ${LINE} below ${this.#device.size}`,
      { path },
    );
  }
}
