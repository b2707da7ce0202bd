/**
 * MirrorDevice: several copies as one device. What can go wrong, and what is promised:
 *
 * - R1: only legs that are fresh give data (copies.ts), and a byte is bad where it is bad in all of them. What a leg missed, it never gives.
 * - A read that one leg cannot serve is served by the others, unit by unit (mirror-read.ts), and the bad leg is healed with what they gave, while
 *   the range is held (leg-heal.ts). Not in "failFast", and not where the mirror is open for reading.
 * - A write goes to every fresh leg, and works where one leg took it (storing.ts); before it the log knows that legs may differ (region-log.ts), so
 *   that a crash in between leaves one answer and not two (R3).
 * - R6: with one leg's list empty nothing is looked up; a list is looked into once, by its own leg.
 *
 * Direct access it has none: the kernel's dm-mirror and dm-raid have none.
 */
import {
  alignOut,
  checkRange,
  endOf,
  intersect,
  isPromise,
  RangeSet,
  StorageError,
  type BadRange,
  type ByteRange,
  type MaybePromise,
} from "../../base/index.ts";
import {
  COMPLETE,
  InFlight,
  type AccessMode,
  type Capabilities,
  type DeviceIdentity,
  type FaultyDevice,
  type HealWrite,
  type ManagedDevice,
  type ReadResult,
} from "../../device/index.ts";
import type { FaultChange, PoisonView } from "../../poison/index.ts";
import { after, caught } from "../after.ts";
import { checkApart, checkWhole } from "../change-checks.ts";
import { canFail } from "../faulty.ts";
import { inTurn } from "../in-turn.ts";
import { sortedRanges } from "../joined.ts";
import { joinedIdentity } from "../mapped-capabilities.ts";
import type { Area } from "../target.ts";
import { Copies, type MirrorLeg } from "./copies.ts";
import { faultCopies, holeInCopies, injectCopies, recordCopies } from "./each-copy.ts";
import { hullOf, LegHealer } from "./leg-heal.ts";
import { mirrorCapabilities } from "./mirror-capabilities.ts";
import { mirrorPoison } from "./mirror-poison.ts";
import { gather, type Gathered } from "./mirror-read.ts";
import { RangeTurns } from "./range-turns.ts";
import type { RegionLog } from "./region-log.ts";
import { resync, type ResyncOptions, type ResyncResult } from "./resync.ts";
import { Storing } from "./storing.ts";

/** What a mirror is made of. */
export interface MirrorOptions {
  readonly name: string;
  /** Bytes. */
  readonly size: number;
  /** In the order in which they are asked; one at least. */
  readonly legs: readonly MirrorLeg[];
  readonly log: RegionLog;
}

/** The device of a mirror. Its legs are closed by whoever opened them. */
export class MirrorDevice implements FaultyDevice {
  readonly size: number;
  readonly capabilities: Capabilities;
  readonly poison: PoisonView;
  readonly direct = undefined;
  readonly copies: Copies;
  /** Bytes that legs could not give and hold again, in this session. */
  healedBytes = 0;
  readonly #name: string;
  readonly #log: RegionLog;
  readonly #first: MirrorLeg;
  readonly #healer: LegHealer;
  readonly #turns = new RangeTurns();
  readonly #reads = new InFlight();
  #closed = false;

  constructor(options: MirrorOptions) {
    const { name, size, legs, log } = options;
    this.#name = name;
    this.size = size;
    this.copies = new Copies(legs, size);
    this.#log = log;
    this.#first = legs[0] as MirrorLeg;
    this.capabilities = mirrorCapabilities(legs.map(({ device }) => device));
    this.poison = mirrorPoison(this.copies);
    this.#healer = new LegHealer(this.copies);
  }

  get identity(): DeviceIdentity {
    const areas = this.copies.legs.map(({ device, offset }) => ({
      device,
      offset,
      length: this.size,
    }));
    return joinedIdentity(this.#name, areas);
  }

  /** Reads what the log says, before the first call. @throws {StorageError} EBADMSG */
  activate(): MaybePromise<void> {
    return this.#log.load(this.copies);
  }

  read(into: Uint8Array, offset: number, mode: AccessMode = "access"): MaybePromise<ReadResult> {
    const range = { offset, length: into.length };
    this.#check(range);
    if (mode === "recovery") this.#checkRecovers();
    if (into.length === 0) return COMPLETE;
    const wait = this.#turns.idle ? undefined : this.#turns.waitFor(range);
    if (wait !== undefined) return wait.then(() => this.read(into, offset, mode));
    const first = this.copies.uniform ? this.#ask(into, offset, mode) : undefined;
    if (first === COMPLETE) return COMPLETE;
    const gathered = gather(this.copies, { into, offset, mode, first });
    if (!isPromise(gathered)) return this.#finish(gathered, range, mode);
    const pass = this.#reads.begin(range);
    return gathered
      .finally(() => this.#reads.end(pass))
      .then((all) => (pass.stale ? this.read(into, offset, mode) : this.#finish(all, range, mode)));
  }

  /** The first leg's answer; it has the one look-up of a read (R6). */
  #ask(into: Uint8Array, offset: number, mode: AccessMode): MaybePromise<ReadResult> {
    const { device, offset: start } = this.#first;
    try {
      return device.read(into, start + offset, mode);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** Heals the legs whose bytes another leg gave. */
  #finish(gathered: Gathered, range: ByteRange, mode: AccessMode): MaybePromise<ReadResult> {
    const { missing, faults } = gathered;
    if (missing.length === 0 && faults.length === 0) return COMPLETE;
    const result = this.#result(missing, range, mode);
    if (mode === "failFast" || this.capabilities.readOnly) return result;
    const gone = RangeSet.from(missing);
    const given = this.#healer
      .worth(faults)
      .filter(({ offset, length }) => !gone.covers(offset, length));
    if (given.length === 0) return result;
    return after(
      this.#turns.exclusively(range, () => this.#healer.heal(given)),
      (bytes) => {
        this.healedBytes += bytes;
        return result;
      },
    );
  }

  #result(missing: readonly BadRange[], range: ByteRange, mode: AccessMode): ReadResult {
    if (missing.length === 0) return COMPLETE;
    if (mode !== "failFast") return { missing: sortedRanges(missing) };
    const start = Math.min(...missing.map(({ offset }) => offset));
    const rest = { offset: start, length: endOf(range) - start };
    const [bad] = this.poison.bad(rest);
    if (bad?.offset !== start) return { missing: [{ ...rest, state: "unread" }] };
    const behind = { offset: endOf(bad), length: endOf(rest) - endOf(bad) };
    return { missing: behind.length === 0 ? [bad] : [bad, { ...behind, state: "unread" }] };
  }

  write(from: Uint8Array, offset: number, mode: AccessMode = "access"): MaybePromise<void> {
    const range = { offset, length: from.length };
    this.#checkWritable(range);
    if (mode === "recovery") this.#checkRecovers();
    if (from.length === 0) return undefined;
    return this.#turns.exclusively(range, () => {
      this.#reads.touch(offset, from.length);
      return after(this.#log.begin(range), () => this.#store({ offset, data: from }, mode));
    });
  }

  /** A plain write of every fresh leg; only where one does not take it there is more to do. In recovery each leg heals at once: it looks for what is latent. */
  #store(write: HealWrite, mode: AccessMode): MaybePromise<void> {
    const { offset, data } = write;
    const storing = new Storing(this.#context(), [write]);
    if (mode === "recovery") return this.#mend(storing, write, mode);
    let failed = false;
    const steps = this.copies.legs.flatMap((leg) =>
      Array.from(this.copies.freshParts(leg, { offset, length: data.length }), (part) => ({
        leg,
        part,
      })),
    );
    const done = inTurn(steps, ({ leg, part }) => {
      const from = part.offset - offset;
      const note = (error: StorageError | undefined): void => {
        failed ||= error !== undefined;
        storing.note(leg, part, error);
      };
      const bytes = data.subarray(from, from + part.length);
      const how = mode === "failFast" ? mode : "access";
      return caught(() => leg.device.write(bytes, leg.offset + part.offset, how), note);
    });
    return after(done, () => (failed ? this.#mend(storing, write, mode) : undefined));
  }

  async #mend(storing: Storing, { offset, data }: HealWrite, mode: AccessMode): Promise<void> {
    const range = { offset, length: data.length };
    const heals =
      mode === "recovery" ||
      (mode === "access" && (storing.isStored(range) || !this.#blocks(range)));
    if (heals) await storing.heal();
    const [failure] = await storing.finish();
    if (failure !== undefined) throw failure;
  }

  /** Whether something that is bad everywhere stands in the way of a plain write: a part of it lies outside the write. */
  #blocks(range: ByteRange): boolean {
    const { clear, clearUnit } = this.capabilities;
    const whole = { offset: 0, length: this.size };
    const reach = clear === "overwrite" ? intersect(alignOut(range, clearUnit), whole) : range;
    for (const bad of this.poison.bad(reach ?? range)) {
      for (const { device, offset } of this.copies.legs) {
        const below = { offset: bad.offset + offset, length: bad.length };
        const unit = alignOut(below, device.capabilities.clearUnit);
        const part = intersect({ offset: unit.offset - offset, length: unit.length }, whole);
        if (part !== undefined && (part.offset < range.offset || endOf(part) > endOf(range)))
          return true;
      }
    }
    return false;
  }

  heal(writes: readonly HealWrite[]): MaybePromise<readonly (Error | undefined)[]> {
    const ranges = writes.map(({ offset, data }) => ({ offset, length: data.length }));
    for (const range of ranges) this.#checkWritable(range);
    checkApart(ranges);
    if (writes.length === 0) return [];
    if (!this.capabilities.recovers) return writes.map(() => this.#noRecovery());
    return this.#turns.exclusively(hullOf(ranges), async () => {
      for (const range of ranges) {
        this.#reads.touch(range.offset, range.length);
        await this.#log.begin(range);
      }
      const storing = new Storing(this.#context(), writes);
      await storing.heal();
      return storing.finish();
    });
  }

  #context(): ConstructorParameters<typeof Storing>[0] {
    const { copies, poison } = this;
    return { name: this.#name, copies, log: this.#log, healer: this.#healer, poison };
  }

  /** See `ManagedDevice.clear`: in every fresh leg. @throws {RangeError} if that is not whole clear units of each: nothing is cleared */
  clear(range: ByteRange): MaybePromise<void> {
    this.#checkWritable(range);
    const steps = this.#shares(range);
    for (const step of steps) checkWhole(step);
    return this.#turns.exclusively(range, () => {
      this.#reads.touch(range.offset, range.length);
      return inTurn(steps, ({ device, offset, length }) =>
        (device as ManagedDevice).clear({ offset, length }),
      );
    });
  }

  /** What a range is in every fresh leg: where a list at the mirror's addresses speaks of. */
  listShares(range: ByteRange): Area[] {
    return this.#shares(range);
  }

  #shares(range: ByteRange): Area[] {
    return this.copies.legs.flatMap((leg) =>
      Array.from(this.copies.freshParts(leg, range), ({ offset, length }) => ({
        device: leg.device,
        offset: leg.offset + offset,
        length,
      })),
    );
  }

  holeFrom(offset: number): number {
    return holeInCopies(this.copies, offset);
  }

  recordRead(range: ByteRange): void {
    checkRange(range, this.size);
    recordCopies(this.copies, range);
  }

  /** Whether every leg can be told to fail. */
  get canFail(): boolean {
    return this.copies.legs.every(({ device }) => canFail(device));
  }

  /** As `SimulatedDevice.inject`, in every fresh leg: else the mirror would give the bytes all the same. */
  inject(range: ByteRange, options: { readonly latent?: boolean } = {}): ByteRange {
    this.#checkWritable(range);
    return injectCopies(this.copies, range, options);
  }

  /** As `SimulatedDevice.setFault`, in every fresh leg. */
  setFault(change: FaultChange): void {
    this.#checkWritable(change);
    faultCopies(this.copies, change);
  }

  recordBad(range: ByteRange, state: "poisoned" | "lost"): void {
    checkRange(range, this.size);
    for (const { device, offset, length } of this.#shares(range))
      (device as ManagedDevice).recordBad({ offset, length }, state);
  }

  /** Flushes every leg, and then lets the log go: in this order, so that a region is never called clean before it is. */
  flush(): MaybePromise<void> {
    if (this.#closed || this.capabilities.readOnly) return undefined;
    const whole = { offset: 0, length: this.size };
    return this.#turns.exclusively(whole, () => this.#flushAll());
  }

  #flushAll(): MaybePromise<void> {
    const failed: { readonly leg: MirrorLeg; readonly error: StorageError }[] = [];
    const used = this.copies.legs.filter((leg) => !this.copies.isGone(leg));
    const done = inTurn(used, (leg) =>
      caught(
        () => leg.device.flush(),
        (error) => {
          if (error !== undefined) failed.push({ leg, error });
        },
      ),
    );
    const settle = (): MaybePromise<void> => this.#log.settle();
    return after(done, () => (failed.length === 0 ? settle() : this.#dropAll(failed)));
  }

  /** Of a leg that does not flush nobody knows what it holds: it is dropped, where that lasts and other legs have all. */
  async #dropAll(
    failed: readonly { readonly leg: MirrorLeg; readonly error: StorageError }[],
  ): Promise<void> {
    for (const { leg, error } of failed) {
      if (this.copies.isNeeded(leg) || !(await this.#log.drop(leg))) throw error;
      this.copies.setStale(leg, { offset: 0, length: this.size });
    }
    await this.#log.settle();
  }

  /**
   * Makes legs alike: stale parts get the bytes of those that are fresh, as the kernel does when a mirror is resumed, and what is bad in a leg's list
   * is healed with what others have. Never by itself: until then the first leg is right, and a leg's old bytes may be all that is left of what
   * that one cannot read.
   *
   * @throws {StorageError} EACCES where the mirror is open for reading
   */
  async resync(options: ResyncOptions = {}): Promise<ResyncResult> {
    this.#checkWritable({ offset: 0, length: 0 });
    const exclusively = async (range: ByteRange, step: () => Promise<void>): Promise<void> =>
      this.#turns.exclusively(range, () => {
        this.#reads.touch(range.offset, range.length);
        return step();
      });
    const result = await resync(this.copies, { ...options, healer: this.#healer, exclusively });
    this.healedBytes += result.healed;
    await this.flush();
    return result;
  }

  close(): MaybePromise<void> {
    if (this.#closed) return undefined;
    try {
      const log = (): MaybePromise<void> =>
        this.capabilities.readOnly ? undefined : this.#log.close();
      return after(this.flush(), log);
    } finally {
      this.#closed = true;
    }
  }

  #check(range: ByteRange): void {
    if (this.#closed)
      throw new StorageError("EIO", `Cannot use ${this.#name}: it is closed`, { path: this.#name });
    checkRange(range, this.size);
  }

  #checkWritable(range: ByteRange): void {
    this.#check(range);
    if (!this.capabilities.readOnly) return;
    throw new StorageError("EACCES", `Cannot write ${this.#name}: it is open for reading`, {
      path: this.#name,
    });
  }

  #checkRecovers(): void {
    if (!this.capabilities.recovers) throw this.#noRecovery();
  }

  #noRecovery(): StorageError {
    return new StorageError(
      "EOPNOTSUPP",
      `Cannot recover on ${this.#name}: a leg of it has no recovery`,
      { path: this.#name },
    );
  }
}
