/** DirectFace: the synchronous face of a device whose medium is memory; the rules stay the device's. */
import { alignOut, checkRange, endOf, MediaError, SECTOR, type ByteRange } from "../base/index.ts";
import type { PoisonView } from "../poison/index.ts";
import type { AccessMode, Capabilities, ReadResult } from "./device.ts";
import type { DirectAccess } from "./direct-access.ts";
import type { Faults, MediaMemory } from "./media.ts";

/** Bytes zeroed with one write. */
const CHUNK = 1024 * 1024;

/** What the face needs of its device. */
export interface DirectOwner {
  readonly size: number;
  readonly capabilities: Capabilities;
  readonly poison: PoisonView;
  write(from: Uint8Array, offset: number, mode?: AccessMode): void;
}

/** What the rules ask of the device at every load and store. */
export interface DirectRules {
  /** Bytes that an intent keeps, which memory does not show: they come from there. @returns whether there are none */
  isSettled(): boolean;
  /** Reads by the device's rules, on this thread. */
  read(into: Uint8Array, offset: number, mode: AccessMode): ReadResult;
  /** Confirms what a load found bad. */
  confirm(faults: Faults, into: Uint8Array, offset: number): ReadResult;
  /** Opens the device for a store of good bytes. @throws {StorageError} where none may be made */
  beginStore(offset: number, length: number): void;
}

/** Bytes of a read of `[offset, offset + length)` before the first that is missing. */
function bytesBefore(result: ReadResult, offset: number, length: number): number {
  const first = result.missing[0];
  return first === undefined ? length : Math.max(0, first.offset - offset);
}

/** The direct face of one device. */
export class DirectFace implements DirectAccess {
  readonly #device: DirectOwner;
  readonly #memory: MediaMemory;
  readonly #rules: DirectRules;

  constructor(device: DirectOwner, memory: MediaMemory, rules: DirectRules) {
    this.#device = device;
    this.#memory = memory;
    this.#rules = rules;
  }

  /** Strides as `__pmem_direct_access` (drivers/nvdimm/pmem.c) counts them, in sectors of the bad-block list. */
  probe(page: number, pages: number, mode: "access" | "recovery"): number {
    const { pageSize } = this.#device.capabilities;
    const start = page * pageSize;
    checkRange({ offset: start, length: 0 }, this.#device.size);
    const count = Math.min(pages, Math.ceil((this.#device.size - start) / pageSize));
    if (this.#device.poison.empty || count === 0) return count;
    const length = Math.min(count * pageSize, this.#device.size - start);
    const first = this.#firstBad({ offset: start, length });
    if (first === undefined) return count;
    if (mode === "access") return 0;
    if (first > start) return Math.min(count, Math.ceil((first - start) / pageSize));
    return this.#isBadSince(start - pageSize, start) ? count : 1;
  }

  /** First bad sector that a range touches. */
  #firstBad(range: ByteRange): number | undefined {
    for (const bad of this.#device.poison.bad(range))
      return Math.max(range.offset, bad.offset - (bad.offset % SECTOR));
    return undefined;
  }

  /** Whether the record that holds `end` begins at `start` or before: the unsigned difference is huge then. */
  #isBadSince(start: number, end: number): boolean {
    if (start < 0) return false;
    let covered = start;
    for (const bad of this.#device.poison.bad({ offset: start, length: end - start })) {
      const sectors = alignOut(bad, SECTOR);
      if (sectors.offset > covered) return false;
      covered = Math.max(covered, endOf(sectors));
    }
    return covered >= end;
  }

  view(range: ByteRange): Uint8Array {
    checkRange(range, this.#device.size);
    return this.#memory.view(range);
  }

  load(into: Uint8Array, offset: number): number {
    checkRange({ offset, length: into.length }, this.#device.size);
    if (!this.#rules.isSettled())
      return bytesBefore(this.#rules.read(into, offset, "access"), offset, into.length);
    const faults = this.#memory.load(into, offset);
    if (faults.length === 0) return into.length;
    return bytesBefore(this.#rules.confirm(faults, into, offset), offset, into.length);
  }

  loadUpTo(into: Uint8Array, offset: number, mode: "recovery" | "failFast"): number {
    checkRange({ offset, length: into.length }, this.#device.size);
    return bytesBefore(this.#rules.read(into, offset, mode), offset, into.length);
  }

  heal(from: Uint8Array, offset: number): void {
    this.#device.write(from, offset, "recovery");
  }

  store(from: Uint8Array, offset: number): void {
    checkRange({ offset, length: from.length }, this.#device.size);
    this.#rules.beginStore(offset, from.length);
    this.#memory.store(from, offset);
  }

  zeroPages(page: number, pages: number): void {
    const { pageSize } = this.#device.capabilities;
    const end = Math.min((page + pages) * pageSize, this.#device.size);
    const zeros = new Uint8Array(Math.min(CHUNK, Math.max(0, end - page * pageSize)));
    for (let at = page * pageSize; at < end; at += CHUNK) {
      this.#device.write(zeros.subarray(0, Math.min(CHUNK, end - at)), at, "recovery");
    }
  }

  recoveryWrite(from: Uint8Array, offset: number): number {
    const { pageSize } = this.#device.capabilities;
    const pages = alignOut({ offset, length: from.length }, pageSize);
    const window = {
      offset: pages.offset,
      length: Math.min(endOf(pages), this.#device.size) - pages.offset,
    };
    const isWhole = window.offset === offset && window.length === from.length;
    if (this.#firstBad(window) !== undefined && !isWhole) return 0;
    try {
      this.#device.write(from, offset, "recovery");
      return from.length;
    } catch (error) {
      if (error instanceof MediaError) return 0;
      throw error;
    }
  }
}
