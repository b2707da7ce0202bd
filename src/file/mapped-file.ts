/**
 * MappedFile: a file in memory, for a program that loads and stores as after `mmap` of a DAX file, where bad bytes are errors and no signal.
 *
 * Every access is checked as a page fault checks it: known poison anywhere in a page refuses the page, and clean pages around it stay usable.
 * A load that meets latent poison stops at the first byte of it, which is known from then on. What was moved before the bad byte is delivered
 * and counted; of the rest nothing is (R1). A store to a bad page is never a recovery: the list stays as it is; heal with
 * `pwritev2(…, RWF_RECOVERY_DATA)`, or with `storeLine` where the device clears and stores as one.
 *
 *     const mapping = mapFile(file);
 *     const count = mapping.load(page, 8192);          // MemoryError: signal "SIGBUS", siCode 4, address, lsb, range, copied
 *     const missing = mapping.copyMc(page, 8192);      // bytes not copied; never throws for bad media
 *
 * An access that meets nothing bad costs one probe and one copy, and allocates nothing.
 */
import { checkRange, StorageError, type MaybePromise } from "../base/index.ts";
import { daxDeviceOf, type DaxDevice, type DaxFile } from "../dax/index.ts";
import { RING_CAPACITY, type RingContent } from "./event-ring.ts";
import { FaultRecorder } from "./fault-recorder.ts";
import type { MapOptions } from "./map-options.ts";
import { MappedLoads } from "./mapped-loads.ts";
import { LINE, MappedStores } from "./mapped-stores.ts";
import { MemoryError } from "./memory-error.ts";
import { PageFaults } from "./page-faults.ts";
import { PrivatePages } from "./private-pages.ts";
import { EventRings, type Section, type SectionResult } from "./section.ts";

/**
 * Maps a file that has direct access. The device must stay open as long as the mapping is used.
 *
 * @throws {StorageError} EOPNOTSUPP if the device has no direct access; EIO if it is gone
 */
export function mapFile(file: DaxFile, options: MapOptions = {}): MappedFile {
  const dax = daxDeviceOf(file.device);
  if (dax.alive) return new MappedFile(file, dax, options);
  const { name: path } = file;
  throw new StorageError("EIO", `Cannot map ${path}: its device is gone`, { path });
}

/** A mapped file; `mapFile` makes it. Offsets are bytes of the file. */
export class MappedFile {
  readonly name: string;
  /** Bytes of the file; the tail of its last page is not mapped. */
  readonly size: number;
  readonly #file: DaxFile;
  readonly #dax: DaxDevice;
  readonly #faults: PageFaults;
  readonly #rings: EventRings;
  readonly #recorder: FaultRecorder;
  readonly #copies: PrivatePages | undefined;
  readonly #loads: MappedLoads;
  readonly #stores: MappedStores;
  readonly #detach: () => void;
  readonly #isStorable: boolean;
  #isOpen = true;

  constructor(file: DaxFile, dax: DaxDevice, options: MapOptions) {
    const { frozen, kernel = "6.5", largestShift = 21, ringCapacity = RING_CAPACITY } = options;
    const rings = new EventRings(ringCapacity);
    const faults = new PageFaults(file, dax, largestShift);
    const recorder = new FaultRecorder({ file, dax, faults, rings, kernel });
    const copies = options.sharing === "private" ? new PrivatePages(file.pageSize) : undefined;
    const parts = { file, dax, faults, recorder, copies };
    this.name = file.name;
    this.size = file.size;
    this.#file = file;
    this.#dax = dax;
    this.#faults = faults;
    this.#rings = rings;
    this.#recorder = recorder;
    this.#copies = copies;
    this.#loads = new MappedLoads(parts);
    this.#stores = new MappedStores(parts, this.#loads, frozen);
    this.#isStorable = copies === undefined && frozen === undefined;
    this.#detach = dax.attach(recorder);
  }

  /**
   * Copies out of the mapping.
   *
   * @returns bytes copied: all of `into`; in a section those before the first bad byte
   * @throws {MemoryError} outside of sections, if a byte is bad: `copied` bytes before it are in `into`
   * @throws {StorageError} EIO if nobody knows where a part of the file lies, or the mapping is closed
   * @throws {RangeError} if the range ends past the file
   */
  load(into: Uint8Array, offset: number): number {
    const at = this.#isPlain() ? this.#loads.reach(offset, into.length) : -1;
    let done = 0;
    if (at >= 0) {
      done = this.#loads.copy(into, at);
      if (done === into.length) return done;
    } else if (!this.#isReady(offset, into.length)) return this.#raise("load", 0);
    done = this.#loads.load(into, offset, done);
    return this.#recorder.fault === undefined ? done : this.#raise("load", done);
  }

  /**
   * Copies into the mapping. Durable after `sync`.
   *
   * @returns bytes stored: all of `from`; in a section those before the first bad page
   * @throws {MemoryError} outside of sections, if a page is bad: `copied` bytes before it are stored
   * @throws {StorageError} before any byte moves: EOPNOTSUPP for a hole, unwritten or inline data (not in a private mapping), or what `frozen`
   *   says; EACCES if the device is open for reading
   * @throws {RangeError} if the range ends past the file
   */
  store(from: Uint8Array, offset: number): number {
    const at = this.#isStorable && this.#isPlain() ? this.#loads.reach(offset, from.length) : -1;
    if (at >= 0) {
      return this.#stores.put(from, at, offset) ? from.length : this.#raise("store", 0);
    }
    if (!this.#isReady(offset, from.length)) return this.#raise("store", 0);
    const done = this.#stores.store(from, offset);
    return this.#recorder.fault === undefined ? done : this.#raise("store", done);
  }

  /**
   * Stores an aligned line of 64 bytes as MOVDIR64B does. Where the device clears and stores as one ("atomic") in units of at most a line, it
   * heals the line, known to be bad or not, and is durable then; elsewhere it is an ordinary store.
   *
   * @returns 64; in a section 0 where the line could not be stored
   * @throws {MemoryError} outside of sections, if the page is bad and the device does not heal so, or the heal fails (R5)
   * @throws {RangeError} if it is not 64 bytes at a multiple of 64
   */
  storeLine(line: Uint8Array, offset: number): number {
    if (line.length !== LINE || offset % LINE !== 0) {
      throw new RangeError(
        `Cannot store a line: want ${LINE} bytes at a multiple of ${LINE}: got ${line.length} at ${offset}`,
      );
    }
    if (!this.#stores.heals) return this.store(line, offset);
    if (!this.#isReady(offset, LINE)) return this.#raise("line store", 0);
    const failure = this.#stores.storeLine(line, offset);
    return failure === undefined ? LINE : this.#raise("line store", 0, failure);
  }

  /**
   * Copies out of the mapping as the kernel's `copy_mc_to_kernel`: it stops at the first bad byte, known or latent, to the byte, also inside a page
   * that is refused to `load` (not in one taken out of the kernel's map).
   *
   * @returns bytes NOT copied; 0 where all is there. Never throws for bad media; latent poison that it meets is an event
   * @throws {RangeError} if the range ends past the file
   */
  copyMc(into: Uint8Array, offset: number): number {
    if (!this.#isReady(offset, into.length)) return this.#note(into.length);
    const done = this.#loads.loadMc(into, offset);
    return this.#note(into.length - done);
  }

  /**
   * Begins a section of code in which errors are collected and not thrown.
   *
   * @param options capacity: events that it holds, from 1 to 65,536. @default 64
   */
  beginSection(options: { readonly capacity?: number } = {}): Section {
    return this.#rings.begin(options.capacity ?? RING_CAPACITY);
  }

  /**
   * Runs synchronous code as a section.
   *
   * @returns what the code gave, and what happened
   * @throws what the code throws; its events then go to the ring around the section
   */
  section<T>(
    code: () => T,
    options: { readonly capacity?: number } = {},
  ): SectionResult & { readonly value: T } {
    const section = this.beginSection(options);
    try {
      const value = code();
      return { ...section.end(), value };
    } finally {
      section.abandon();
    }
  }

  /** Takes what happened while no section was open: poison that others met, heals. */
  takeEvents(): RingContent {
    return this.#rings.take();
  }

  /** Makes every earlier store durable (`msync`). */
  sync(): MaybePromise<void> {
    if (this.#copies === undefined) return this.#file.device.flush();
  }

  /** Ends the mapping (`munmap`); the device stays open. Closing twice is allowed. */
  close(): void {
    this.#isOpen = false;
    this.#detach();
  }

  /** Whether accesses go to the device and nowhere else, so that the short way may be taken. */
  #isPlain(): boolean {
    return this.#isOpen && this.#dax.alive && (this.#copies === undefined || this.#copies.empty);
  }

  /** @returns false where the device is gone: the recorder has the fault */
  #isReady(offset: number, length: number): boolean {
    const { name: path } = this;
    if (!this.#isOpen)
      throw new StorageError("EIO", `Cannot use the mapping of ${path}: it is closed`, { path });
    checkRange({ offset, length }, this.size);
    // An access that ended in an error of the device's left its fault here.
    this.#recorder.take();
    if (this.#dax.alive || length === 0) return true;
    this.#recorder.lose({ offset, length });
    return false;
  }

  /** Puts what stopped a copy into the ring, and throws nothing. */
  #note<T>(result: T): T {
    const fault = this.#recorder.take();
    if (fault !== undefined) this.#rings.push(fault);
    return result;
  }

  /** Ends an access at its fault: an event in a section, an error outside. @returns bytes moved */
  #raise(syscall: string, copied: number, cause?: unknown): number {
    if (this.#rings.inSection) return this.#note(copied);
    const fault = this.#recorder.take();
    if (fault === undefined) return copied;
    const { name: path } = this;
    const device = this.#file.device.identity.name;
    const ranges = this.#faults.badRanges(fault.range);
    throw new MemoryError(fault, { path, device, ranges, copied, syscall, cause });
  }
}
