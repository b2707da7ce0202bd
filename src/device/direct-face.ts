/** DirectFace: the synchronous face of a device whose medium is memory; the rules stay the device's. */
import {
  alignOut,
  checkRange,
  checkSpan,
  endOf,
  MediaError,
  SECTOR,
  type ByteRange,
} from "../base/index.ts";
import type { PoisonList, PoisonView } from "../poison/index.ts";
import type { AccessMode, Capabilities, DeviceIdentity, ReadResult } from "./device.ts";
import type { DirectAccess } from "./direct-access.ts";
import type { Faults, MediaMemory } from "./media.ts";
import type { PageStates } from "./page-states.ts";

/** Bytes zeroed, or read back, at once. */
const CHUNK = 1024 * 1024;

/** What the face needs of its device. */
export interface DirectOwner {
  readonly size: number;
  readonly identity: DeviceIdentity;
  readonly capabilities: Capabilities;
  readonly poison: PoisonView;
  readonly pages: PageStates;
  write(from: Uint8Array, offset: number, mode?: AccessMode): void;
  storeLine(line: Uint8Array, offset: number): void;
}

/** What the rules ask of the device at every load and store: numbers, not ranges, because nothing is allocated on the good path. */
export interface DirectRules {
  /** Bytes that an intent keeps, which memory does not show: they come from there. */
  readonly unsettled: { readonly empty: boolean };
  /** Holds the list; an empty one is not looked into (R6). */
  readonly ledger: { readonly list: Pick<PoisonList, "hasBad"> };
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
  readonly #unsettled: DirectRules["unsettled"];
  readonly #ledger: DirectRules["ledger"];
  readonly #pages: PageStates;
  readonly #size: number;
  readonly #pageSize: number;

  constructor(device: DirectOwner, memory: MediaMemory, rules: DirectRules) {
    this.#device = device;
    this.#memory = memory;
    this.#rules = rules;
    this.#unsettled = rules.unsettled;
    this.#ledger = rules.ledger;
    this.#pages = device.pages;
    this.#size = device.size;
    this.#pageSize = device.capabilities.pageSize;
  }

  /** Strides as `__pmem_direct_access` (drivers/nvdimm/pmem.c) counts them, in sectors of the bad-block list. */
  probe(page: number, pages: number, mode: "access" | "recovery"): number {
    const pageSize = this.#pageSize;
    const start = page * pageSize;
    checkSpan(start, 0, this.#size);
    const count = Math.min(pages, Math.ceil((this.#size - start) / pageSize));
    const length = Math.min(count * pageSize, this.#size - start);
    if (!this.#ledger.list.hasBad(start, length)) return count;
    return mode === "access" ? 0 : this.#stride(start, count);
  }

  /** Pages that a recovery write may take at once, from `start` on, where one of them holds a bad sector. */
  #stride(start: number, count: number): number {
    const pageSize = this.#pageSize;
    const length = Math.min(count * pageSize, this.#size - start);
    const first = this.#firstBad({ offset: start, length }) ?? start;
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
    checkRange(range, this.#size);
    return this.#memory.view(range);
  }

  goodView(offset: number, length: number): Uint8Array | undefined {
    checkSpan(offset, length, this.#size);
    const isPlain =
      this.#pages.empty && this.#unsettled.empty && this.#memory.isPlain?.(offset, length) === true;
    if (!isPlain) return undefined;
    const bytes = this.#memory.view({ offset, length });
    return bytes.length === length ? bytes : undefined;
  }

  load(into: Uint8Array, offset: number): number {
    checkSpan(offset, into.length, this.#size);
    return this.#pages.empty ? this.#load(into, offset) : this.#loadPresent(into, offset);
  }

  #load(into: Uint8Array, offset: number): number {
    if (!this.#unsettled.empty) return this.#readUpTo(into, offset, "access");
    const faults = this.#memory.load(into, offset);
    if (faults.length === 0) return into.length;
    return bytesBefore(this.#rules.confirm(faults, into, offset), offset, into.length);
  }

  /** Up to the first page that is not present: there the copy takes a fault (`_copy_mc_to_iter`), whatever the list says. */
  #loadPresent(into: Uint8Array, offset: number): number {
    return this.#load(into.subarray(0, this.#pages.presentLength(offset, into.length)), offset);
  }

  loadUpTo(into: Uint8Array, offset: number, mode: "recovery" | "failFast"): number {
    checkSpan(offset, into.length, this.#size);
    const present = into.subarray(0, this.#pages.presentLength(offset, into.length));
    return this.#readUpTo(present, offset, mode);
  }

  /** Reads by the rules, through a buffer of its own: what is clean behind the first missing byte is not delivered. */
  #readUpTo(into: Uint8Array, offset: number, mode: AccessMode): number {
    const found = new Uint8Array(Math.min(CHUNK, into.length));
    for (let done = 0; done < into.length;) {
      const part = found.subarray(0, into.length - done);
      const result = this.#rules.read(part, offset + done, mode);
      const count = bytesBefore(result, offset + done, part.length);
      into.set(part.subarray(0, count), done);
      done += count;
      if (count < part.length) return done;
    }
    return into.length;
  }

  heal(from: Uint8Array, offset: number): void {
    this.#device.write(from, offset, "recovery");
    // Pages without a listed bad block too: who asks for recovery means them.
    this.#pages.noteClear({ offset, length: from.length });
  }

  storeLine(line: Uint8Array, offset: number): void {
    this.#device.storeLine(line, offset);
  }

  store(from: Uint8Array, offset: number): void {
    if (!this.#pages.empty) this.#checkPresent(offset, from.length);
    this.#rules.beginStore(offset, from.length);
    this.#memory.store(from, offset);
  }

  stands(from: Uint8Array, offset: number): boolean {
    if (this.#memory.mayHide?.(offset, from.length) !== true) return true;
    const found = new Uint8Array(Math.min(CHUNK, from.length));
    for (let done = 0; done < from.length; done += CHUNK) {
      const wanted = from.subarray(done, done + CHUNK);
      const into = found.subarray(0, wanted.length);
      const { missing } = this.#rules.read(into, offset + done, "recovery");
      if (missing.length > 0 || Buffer.compare(into, wanted) !== 0) return false;
    }
    return true;
  }

  /** Linux would fault in the kernel here: its copy into memory has no way out. */
  #checkPresent(offset: number, length: number): void {
    checkSpan(offset, length, this.#size);
    const present = this.#pages.presentLength(offset, length);
    if (present === length) return;
    const { offset: start, length: bytes } = alignOut(
      { offset: offset + present, length: 1 },
      this.#pageSize,
    );
    throw new MediaError(`Cannot store at offset ${offset + present}: its page is not present`, {
      device: this.#device.identity.name,
      ranges: [{ offset: start, length: Math.min(bytes, this.#size - start), state: "poisoned" }],
      syscall: "store",
    });
  }

  zeroPages(page: number, pages: number): void {
    const pageSize = this.#pageSize;
    const end = Math.min((page + pages) * pageSize, this.#size);
    // A page at a time where some are marked: a clear lifts the mark of its own page only.
    const step = this.#pages.empty ? CHUNK : pageSize;
    const zeros = new Uint8Array(Math.min(step, Math.max(0, end - page * pageSize)));
    for (let at = page * pageSize; at < end; at += step) {
      this.#zero(zeros.subarray(0, Math.min(step, end - at)), at);
    }
  }

  /** Clears what the list knows (`pmem_do_write`), or what a disk refuses; latent poison stays, as under any plain store. */
  #zero(zeros: Uint8Array, offset: number): void {
    const isBad = this.#ledger.list.hasBad(offset, zeros.length);
    try {
      this.#device.write(zeros, offset, isBad ? "recovery" : "access");
    } catch (error) {
      if (isBad || !(error instanceof MediaError)) throw error;
      this.#device.write(zeros, offset, "recovery");
    }
  }

  recoveryWrite(from: Uint8Array, offset: number): number {
    const pages = alignOut({ offset, length: from.length }, this.#pageSize);
    const length = Math.min(endOf(pages), this.#size) - pages.offset;
    const isWhole = pages.offset === offset && length === from.length;
    const isBad = this.#ledger.list.hasBad(pages.offset, length);
    if (isBad && !isWhole) return 0;
    if (!isBad && this.#pages.presentLength(offset, from.length) < from.length) return 0;
    try {
      this.#device.write(from, offset, "access");
      return from.length;
    } catch (error) {
      if (error instanceof MediaError) return 0;
      throw error;
    }
  }
}
