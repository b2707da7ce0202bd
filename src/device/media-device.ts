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
  checkRange,
  endOf,
  isPromise,
  MediaError,
  RangeSet,
  StorageError,
  type BadRange,
  type ByteRange,
  type MaybePromise,
} from "../base/index.ts";
import type { PoisonView } from "../poison/index.ts";
import { confirmFaults, merged, type CarefulContext, type DeviceEvent } from "./careful-read.ts";
import { clearWithoutData } from "./clear-without-data.ts";
import {
  COMPLETE,
  type AccessMode,
  type Capabilities,
  type DeviceIdentity,
  type HealWrite,
  type ManagedDevice,
  type ReadResult,
} from "./device.ts";
import type { DirectAccess } from "./direct-access.ts";
import { DirectFace } from "./direct-face.ts";
import { guardedMedia } from "./guarded-media.ts";
import { reachOf } from "./heal-job.ts";
import { goodHole } from "./hole.ts";
import { InFlight } from "./in-flight.ts";
import { Ledger, type LedgerOptions, type StateChanges } from "./ledger.ts";
import type { Faults, Media } from "./media.ts";
import { geometryOf, healAll, type HealContext } from "./recovery-write.ts";
import { anyBad, goodParts, inState } from "./states.ts";
import { Unsettled } from "./unsettled.ts";

/** What a device is made of, beside its medium. */
export interface MediaDeviceOptions extends Omit<LedgerOptions, "size" | "readOnly"> {
  /** UUID where the store has none. @default none */
  readonly uuid?: string;
}

/** One read under way. */
interface Reading {
  readonly into: Uint8Array;
  readonly offset: number;
  readonly mode: AccessMode;
  readonly missing: BadRange[];
  /** What the list does not name, and the medium is asked for. */
  readonly pieces: readonly ByteRange[];
}

/** A device over a medium, which it closes. */
export class MediaDevice implements ManagedDevice {
  readonly size: number;
  readonly capabilities: Capabilities;
  readonly poison: PoisonView;
  readonly direct: DirectAccess | undefined;
  protected readonly media: Media;
  protected readonly ledger: Ledger;
  readonly #context: CarefulContext & HealContext;
  readonly #unsettled: Unsettled;
  readonly #inFlight = new InFlight();
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
    this.direct =
      media.view === undefined ? undefined : new DirectFace(this, media.view.bind(media));
    if (!this.capabilities.readOnly && !this.#unsettled.empty)
      this.#changing(() => this.#unsettled.settle());
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
    this.#check({ offset, length: into.length });
    const { list } = this.ledger;
    if (!this.#unsettled.empty || (!list.empty && list.hasBad(offset, into.length)))
      return this.#run(this.#reading(into, offset, mode), 0);
    const faults = this.media.read(into, offset);
    if (!isPromise(faults) && faults.length === 0) return COMPLETE;
    const reading = { into, offset, mode, missing: [], pieces: [{ offset, length: into.length }] };
    return isPromise(faults) ? this.#later(faults, reading, 0) : this.#next(faults, reading, 0);
  }

  /** The same on this thread, without simulated delay. */
  readSync(into: Uint8Array, offset: number, mode: AccessMode = "access"): ReadResult {
    this.#check({ offset, length: into.length });
    const { list } = this.ledger;
    const isGood = this.#unsettled.empty && (list.empty || !list.hasBad(offset, into.length));
    const reading: Reading = isGood
      ? { into, offset, mode, missing: [], pieces: [{ offset, length: into.length }] }
      : this.#reading(into, offset, mode);
    for (const piece of reading.pieces) {
      this.#note(this.media.readSync(this.#part(reading, piece), piece.offset), reading, piece);
      if (mode === "failFast" && reading.missing.length > 0) break;
    }
    return this.#finish(reading);
  }

  /** What the list and the kept bytes leave to ask the medium for; in "failFast" only up to the first bad byte. */
  #reading(into: Uint8Array, offset: number, mode: AccessMode): Reading {
    const window = { offset, length: into.length };
    const missing: BadRange[] = [];
    const known = RangeSet.from(this.#unsettled.kept(window));
    for (const bad of this.poison.bad(window)) {
      missing.push(bad);
      known.add(bad.offset, bad.length);
      if (mode === "failFast") break;
    }
    const first = missing[0];
    const length = mode === "failFast" && first !== undefined ? first.offset - offset : into.length;
    return { into, offset, mode, missing, pieces: [...known.gaps(offset, length)] };
  }

  #part(reading: Reading, piece: ByteRange): Uint8Array {
    const start = piece.offset - reading.offset;
    return reading.into.subarray(start, start + piece.length);
  }

  #run(reading: Reading, from: number): MaybePromise<ReadResult> {
    for (let index = from; index < reading.pieces.length; index += 1) {
      const piece = reading.pieces[index] as ByteRange;
      const faults = this.media.read(this.#part(reading, piece), piece.offset);
      if (isPromise(faults)) return this.#later(faults, reading, index);
      this.#note(faults, reading, piece);
      if (reading.mode === "failFast" && faults.length > 0) break;
    }
    return this.#finish(reading);
  }

  #next(faults: Faults, reading: Reading, index: number): MaybePromise<ReadResult> {
    const piece = reading.pieces[index];
    if (piece !== undefined) this.#note(faults, reading, piece);
    if (reading.mode === "failFast" && faults.length > 0) return this.#finish(reading);
    return this.#run(reading, index + 1);
  }

  async #later(answer: Promise<Faults>, reading: Reading, index: number): Promise<ReadResult> {
    const pass = this.#inFlight.begin({ offset: reading.offset, length: reading.into.length });
    try {
      const faults = await answer;
      if (!pass.stale) return await this.#next(faults, reading, index);
      return this.readSync(reading.into, reading.offset, reading.mode);
    } finally {
      this.#inFlight.end(pass);
    }
  }

  #note(faults: Faults, reading: Reading, piece: ByteRange): void {
    if (faults.length === 0) return;
    const request = { into: this.#part(reading, piece), offset: piece.offset, mode: reading.mode };
    for (const bad of confirmFaults(this.#context, faults, request)) reading.missing.push(bad);
  }

  #finish(reading: Reading): ReadResult {
    this.#unsettled.patch(reading.into, reading.offset);
    if (reading.missing.length === 0) return COMPLETE;
    const missing = merged(reading.missing);
    const first = missing[0];
    if (reading.mode !== "failFast" || first === undefined) return { missing };
    const end = reading.offset + reading.into.length;
    const rest = { offset: endOf(first), length: end - endOf(first), state: "unread" as const };
    return { missing: rest.length === 0 ? [first] : merged([first, rest]) };
  }

  /** Writes on this thread: see `Device.write`. A promise is never returned. */
  write(from: Uint8Array, offset: number, mode: AccessMode = "access"): void {
    const range = { offset, length: from.length };
    this.change(range, () => {
      if (!anyBad(this.poison, range)) this.#plainWrite(from, offset, mode);
      else this.#healOne(from, offset, mode);
    });
  }

  /** What the medium refuses joins the list. That may be latent, or beside the write in a disk's block: only "recovery" heals it. */
  #plainWrite(from: Uint8Array, offset: number, mode: AccessMode): void {
    try {
      this.media.write(from, offset);
    } catch (error) {
      if (!(error instanceof MediaError)) throw error;
      this.#listBad(error.ranges);
      if (mode !== "recovery") throw error;
      this.#healOne(from, offset, mode);
    }
  }

  #listBad(ranges: readonly ByteRange[]): void {
    for (const range of ranges) {
      const parts = goodParts(this.poison, range);
      this.ledger.mark(inState(parts, "poisoned"));
      for (const { offset, length } of parts)
        this.#context.emit({ offset, length, kind: "poisoned" });
    }
  }

  #healOne(from: Uint8Array, offset: number, mode: AccessMode): void {
    const range = { offset, length: from.length };
    if (mode === "failFast")
      throw this.#badError(range, "the range is bad, and a fail-fast write heals nothing");
    if (mode === "access") this.#checkWholeUnits(range);
    const [failure] = healAll(this.#context, [{ offset, data: from }]);
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
    for (const { offset, data } of writes) this.#checkWritable({ offset, length: data.length });
    return this.#changing(() => {
      for (const { offset, data } of writes) this.#inFlight.touch({ offset, length: data.length });
      this.ledger.bump();
      this.#dirty = true;
      return healAll(this.#context, writes);
    });
  }

  /** Ends poison without data: see `ManagedDevice.clear`. @throws {MediaError} if the medium refuses or only pretends */
  clear(range: ByteRange): void {
    this.#checkWritable(range);
    const { clearUnit } = this.capabilities;
    const end = endOf(range);
    if (range.offset % clearUnit !== 0 || (end % clearUnit !== 0 && end !== this.size)) {
      throw new RangeError(
        `Cannot clear: want whole clear units of ${clearUnit} bytes: got offset ${range.offset}, length ${range.length}`,
      );
    }
    this.change(range, () => clearWithoutData(this.#context, range));
  }

  /** Runs a change of a range to its end: alone, after everything open is settled. For the device's own kinds. */
  protected change(range: ByteRange, change: () => void): void {
    this.#checkWritable(range);
    this.#changing(() => {
      this.#inFlight.touch(range);
      this.ledger.bump();
      this.#dirty = true;
      change();
    });
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

  recordRead(range: ByteRange): void {
    this.#check(range);
    const unread = [...this.poison.states(range)].filter((part) => part.state === "unread");
    if (unread.length > 0) this.ledger.mark(inState(unread, "clean"));
  }

  recordBad(range: ByteRange, state: "poisoned" | "lost"): void {
    this.#check(range);
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

  /** Runs a change: settles first what is open, and fails the device where its durability is unknown. */
  #changing<T>(change: () => T): T {
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
    return change();
  }

  #check(range: ByteRange): void {
    if (this.#closed)
      throw new StorageError("EIO", `Cannot use ${this.media.name}: it is closed`, {
        path: this.media.name,
      });
    checkRange(range, this.size);
  }

  #checkWritable(range: ByteRange): void {
    this.#check(range);
    if (!this.capabilities.readOnly) return;
    throw new StorageError("EACCES", `Cannot write ${this.media.name}: it is open for reading`, {
      path: this.media.name,
    });
  }
}
