/**
 * MediaDevice: the one implementation of a device's rules, over any medium.
 *
 * - R1: bytes on the list are never asked of the medium, and what a read finds bad joins the list; kept bytes of an intent that is
 *   not settled come from the intent, whatever the medium holds.
 * - R2 to R5: recovery-write.ts. All changes run to their end on this thread, so no read of ours sees one half done; a read
 *   that was on its way in the thread pool meanwhile is read again.
 * - R6: with an empty list a read or write looks nothing up.
 *
 * After a failed flush nobody knows what of the earlier writes is on the disk, and a later flush that works proves nothing
 * (the system has forgotten which pages were dirty). So the device is failed from then on: it reads, and refuses to write.
 */
import {
  alignOut,
  checkSpan,
  endOf,
  MediaError,
  StorageError,
  type ByteRange,
  type MaybePromise,
} from "../base/index.ts";
import type { PoisonView } from "../poison/index.ts";
import type { CarefulContext, DeviceEvent } from "./careful-read.ts";
import { clearFailure, clearWithoutData } from "./clear-without-data.ts";
import type {
  AccessMode,
  Capabilities,
  DeviceIdentity,
  HealWrite,
  ManagedDevice,
  ReadResult,
} from "./device.ts";
import type { DirectAccess } from "./direct-access.ts";
import { DirectFace, type DirectRules } from "./direct-face.ts";
import { guardedMedia } from "./guarded-media.ts";
import { reachOf } from "./heal-job.ts";
import { goodHole } from "./hole.ts";
import { InFlight } from "./in-flight.ts";
import { checkLine, healLine, isLatent } from "./line-store.ts";
import { Ledger, type LedgerOptions, type StateChanges } from "./ledger.ts";
import { ListedReader } from "./listed-reader.ts";
import type { Media } from "./media.ts";
import { PageStates } from "./page-states.ts";
import { geometryOf, healAll, listRefused, type HealContext } from "./recovery-write.ts";
import { anyBad, inState } from "./states.ts";
import { Unsettled } from "./unsettled.ts";

/** What a device is made of, beside its medium. */
export interface MediaDeviceOptions extends Omit<LedgerOptions, "size" | "readOnly"> {
  /** UUID where the store has none. @default none */
  readonly uuid?: string;
}

/** A device over a medium, which it closes. */
export class MediaDevice implements ManagedDevice {
  readonly size: number;
  readonly capabilities: Capabilities;
  readonly poison: PoisonView;
  readonly direct: DirectAccess | undefined;
  /** Pages that the system took away after an error, apart from the list; of this session only. */
  readonly pages: PageStates;
  protected readonly media: Media;
  protected readonly ledger: Ledger;
  readonly #context: CarefulContext & HealContext;
  readonly #unsettled: Unsettled;
  readonly #inFlight = new InFlight();
  readonly #reader: ListedReader;
  readonly #listeners = new Set<(event: DeviceEvent) => void>();
  readonly #uuid: string | undefined;
  #failure: unknown;
  #dirty = false;
  #closed = false;

  /** @throws {StorageError} if an intent that a crash left cannot be settled for another reason than bad media */
  constructor(media: Media, options: MediaDeviceOptions = {}) {
    this.media = guardedMedia(media, (failure) => {
      this.#failure = failure;
    });
    this.size = media.size;
    this.capabilities = media.capabilities;
    this.pages = new PageStates(media.capabilities.pageSize);
    this.ledger = new Ledger({
      ...options,
      size: media.size,
      readOnly: media.capabilities.readOnly,
    });
    this.poison = this.ledger.view;
    this.#uuid = options.uuid;
    this.#unsettled = new Unsettled(this.media, this.ledger);
    const emit = (event: DeviceEvent): void => {
      for (const listener of this.#listeners) listener(event);
    };
    this.#context = { media: this.media, ledger: this.ledger, unsettled: this.#unsettled, emit };
    this.#reader = new ListedReader(this.#context, this.#inFlight);
    const { memory } = media;
    this.direct =
      memory === undefined ? undefined : new DirectFace(this, memory, this.#directRules());
    if (!this.capabilities.readOnly && !this.#unsettled.empty)
      this.#changing(() => this.#unsettled.settle());
  }

  #directRules(): DirectRules {
    return {
      unsettled: this.#unsettled,
      ledger: this.ledger,
      read: (into, offset, mode) => this.#reader.readSync(into, offset, mode),
      confirm: (faults, into, offset) => this.#reader.confirmed(faults, into, offset),
      beginStore: (offset, length) => {
        this.#checkWritable(offset, length);
        this.#ready();
        this.#begin(offset, length);
      },
    };
  }

  get identity(): DeviceIdentity {
    const { store } = this.ledger;
    return {
      name: this.media.name,
      uuid: store?.uuid ?? this.#uuid,
      generation: store?.generation ?? 0,
    };
  }

  /** Calls `listener` for every event; returns the call that ends it. */
  onEvent(listener: (event: DeviceEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  read(into: Uint8Array, offset: number, mode: AccessMode = "access"): MaybePromise<ReadResult> {
    this.#check(offset, into.length);
    return this.#reader.read(into, offset, mode);
  }

  /** The same on this thread, without simulated delay. */
  readSync(into: Uint8Array, offset: number, mode: AccessMode = "access"): ReadResult {
    this.#check(offset, into.length);
    return this.#reader.readSync(into, offset, mode);
  }

  /** Writes on this thread: see `Device.write`. A promise is never returned. */
  write(from: Uint8Array, offset: number, mode: AccessMode = "access"): void {
    const range = { offset, length: from.length };
    this.change(range, () => {
      // In recovery also where nothing is known to be bad: what was written is read back, and heals what it turns out to lie on.
      const isBad = anyBad(this.poison, range);
      if (mode === "recovery" || isBad) this.#healOne(from, offset, mode);
      else this.#plainWrite(from, offset);
      if (isBad) this.pages.noteClear(range);
    });
  }

  /** What the medium refuses joins the list. That may be latent, or beside the write in a disk's block: only "recovery" heals it. */
  #plainWrite(from: Uint8Array, offset: number): void {
    try {
      this.media.write(from, offset);
    } catch (error) {
      if (error instanceof MediaError) listRefused(this.#context, error.ranges);
      throw error;
    }
  }

  #healOne(from: Uint8Array, offset: number, mode: AccessMode): void {
    const range = { offset, length: from.length };
    if (mode === "failFast")
      throw this.#badError(range, "the range is bad, and a fail-fast write heals nothing");
    if (mode === "access") this.#checkWholeUnits(range);
    // A call that clears takes the whole range of the write, as `pmem_do_write` and `pmem_recovery_write` give it.
    const wholeWrites = mode === "access" && this.capabilities.clear === "firmware";
    const [failure] = healAll(this.#context, [{ offset, data: from }], { wholeWrites });
    if (failure !== undefined) throw failure;
  }

  /** "access" heals whole clear units only, and decides that before any byte moves. */
  #checkWholeUnits(range: ByteRange): void {
    for (const bad of this.poison.bad(reachOf(range, geometryOf(this.media)))) {
      const units = alignOut(bad, this.capabilities.clearUnit);
      const end = Math.min(endOf(units), this.size);
      if (units.offset >= range.offset && end <= endOf(range)) continue;
      throw this.#badError(
        range,
        `a write of whole clear units of ${this.capabilities.clearUnit} bytes, or in recovery mode, heals`,
      );
    }
  }

  #badError(range: ByteRange, wish: string): MediaError {
    const ranges = [...this.poison.bad(range)];
    return new MediaError(
      `Cannot write ${this.media.name}: bad at offset ${ranges[0]?.offset ?? range.offset}: ${wish}`,
      {
        device: this.media.name,
        ranges,
        syscall: "write",
        path: this.media.name,
      },
    );
  }

  /** Heals many ranges: see `ManagedDevice.heal`. @throws {RangeError} if two writes overlap */
  heal(writes: readonly HealWrite[]): readonly (Error | undefined)[] {
    for (const { offset, data } of writes) this.#checkWritable(offset, data.length);
    return this.#changing(() => {
      for (const { offset, data } of writes) this.#begin(offset, data.length);
      const failures = healAll(this.#context, writes);
      for (const [index, { offset, data }] of writes.entries()) {
        if (failures[index] === undefined) this.pages.noteClear({ offset, length: data.length });
      }
      return failures;
    });
  }

  /** Ends poison without data: see `ManagedDevice.clear`. @throws {MediaError} if the medium refuses or only pretends */
  clear(range: ByteRange): void {
    this.#checkWritable(range.offset, range.length);
    const { clearUnit } = this.capabilities;
    const end = endOf(range);
    if (range.offset % clearUnit !== 0 || (end % clearUnit !== 0 && end !== this.size)) {
      throw new RangeError(
        `Cannot clear: want whole clear units of ${clearUnit} bytes: got offset ${range.offset}, length ${range.length}`,
      );
    }
    const cleared = this.clearUpTo(range);
    if (cleared < range.length) throw clearFailure(this.#context, range, cleared);
  }

  /** The same for whole clear units, and tells how far it came instead. @returns bytes cleared, from the start of the range */
  protected clearUpTo(range: ByteRange): number {
    let cleared = 0;
    this.change(range, () => {
      cleared = clearWithoutData(this.#context, range);
    });
    return cleared;
  }

  /**
   * Stores an aligned line of 64 bytes as MOVDIR64B does: where it is bad, known or latent, clear and data are one step and durable on
   * return; elsewhere it is an ordinary write.
   *
   * @throws {MediaError} if the line is bad, and the device does not clear so ("atomic", units of at most 64 bytes) or refuses (R5)
   * @throws {RangeError} if it is not 64 bytes at a multiple of 64
   */
  storeLine(line: Uint8Array, offset: number): void {
    checkLine(line, offset);
    const range = { offset, length: line.length };
    this.change(range, () => {
      if (anyBad(this.poison, range) || isLatent(this.media, range))
        healLine(this.#context, line, offset);
      else this.media.write(line, offset);
    });
  }

  /** Runs a change of a range to its end: alone, after everything open is settled. For the device's own kinds. */
  protected change(range: ByteRange, change: () => void): void {
    this.#checkWritable(range.offset, range.length);
    this.#changing(() => {
      this.#begin(range.offset, range.length);
      change();
    });
  }

  #begin(offset: number, length: number): void {
    this.#inFlight.touch(offset, length);
    this.ledger.bump();
    this.#dirty = true;
  }

  /**
   * Takes what a list says that came with the image; durable at the next `flush`, and remembered in a sidecar where that is wanted.
   *
   * @throws {RangeError} if a range ends past the device
   */
  takeList(changes: StateChanges, options: { readonly remember: boolean }): void {
    if (options.remember) this.ledger.needStore();
    this.ledger.mark(changes);
    if (options.remember) this.ledger.sync();
  }

  holeFrom(offset: number): number {
    return this.#unsettled.empty ? goodHole(this.media, this.poison, offset) : 0;
  }

  async borrow(range: ByteRange): Promise<Uint8Array | undefined> {
    this.#check(range.offset, range.length);
    const { memory } = this.media;
    const { offset, length } = range;
    if (memory === undefined) return undefined;
    if (!((await memory.bringIn?.(range)) ?? true)) return undefined;
    const isGood =
      this.#unsettled.empty &&
      this.pages.empty &&
      !this.ledger.list.hasBad(offset, length) &&
      memory.mayHide?.(offset, length) !== true;
    if (!isGood) return undefined;
    const view = memory.view(range);
    return view.length === length && (memory.isData?.(view, offset) ?? true) ? view : undefined;
  }

  recordRead(range: ByteRange): void {
    this.#check(range.offset, range.length);
    const unread = [...this.poison.states(range)].filter((part) => part.state === "unread");
    if (unread.length > 0) this.ledger.mark(inState(unread, "clean"));
  }

  recordBad(range: ByteRange, state: "poisoned" | "lost"): void {
    this.#check(range.offset, range.length);
    this.ledger.needStore();
    this.ledger.mark([{ ...range, state }]);
  }

  flush(): void {
    if (this.capabilities.readOnly || this.#closed) return;
    this.#changing(() => this.#flush());
  }

  #flush(): void {
    if (this.#dirty) {
      this.media.flush();
      this.#dirty = false;
    }
    this.ledger.sync();
  }

  close(): void {
    if (this.#closed) return;
    try {
      if (!this.capabilities.readOnly && this.#failure === undefined)
        this.#changing(() => this.#flush());
    } finally {
      this.#closed = true;
      try {
        this.ledger.close();
      } finally {
        this.media.close();
      }
    }
  }

  /** Runs a change once the device is ready for one. */
  #changing<T>(change: () => T): T {
    this.#ready();
    return change();
  }

  /** Settles what is open, and refuses where the device's durability is unknown. */
  #ready(): void {
    if (this.#failure !== undefined) {
      throw new StorageError(
        "EIO",
        `Cannot write ${this.media.name}: an earlier flush failed; open it again`,
        {
          cause: this.#failure,
          path: this.media.name,
        },
      );
    }
    if (!this.#unsettled.empty) this.#unsettled.settle();
  }

  #check(offset: number, length: number): void {
    if (this.#closed)
      throw new StorageError("EIO", `Cannot use ${this.media.name}: it is closed`, {
        path: this.media.name,
      });
    checkSpan(offset, length, this.size);
  }

  #checkWritable(offset: number, length: number): void {
    this.#check(offset, length);
    if (!this.capabilities.readOnly) return;
    throw new StorageError("EACCES", `Cannot write ${this.media.name}: it is open for reading`, {
      path: this.media.name,
    });
  }
}
