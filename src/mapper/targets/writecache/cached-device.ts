/**
 * CachedDevice: an origin behind a write cache, as a device.
 *
 * - A byte is in one place: the newest block of the cache, or the origin. Its state is that of its place, so a bad byte of a dirty block is bad, whatever
 *   the origin holds (R1), and what is bad beneath a cached block, or in a free one, is nobody's.
 * - What is bad is healed where it is, and is durable when the call returns (R3, R4): a new copy elsewhere would be there only after the next commit.
 * - What is good goes into the cache, and is durable after `flush` (cache-metadata.ts has the order).
 * - Changes run one after the other; a read waits for the one under way, and is made again where one came between.
 */
import {
  checkRange,
  endOf,
  isPromise,
  MediaError,
  StorageError,
  type BadRange,
  type ByteRange,
  type MaybePromise,
} from "../../../base/index.ts";
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
} from "../../../device/index.ts";
import type { FaultChange, PoisonView } from "../../../poison/index.ts";
import { checkApart, checkWhole } from "../../change-checks.ts";
import { canFail, faulty } from "../../faulty.ts";
import { inTurn } from "../../in-turn.ts";
import { joinedCapabilities, joinedIdentity } from "../../mapped-capabilities.ts";
import { joinedError } from "../../mapped-device.ts";
import { OneAtATime } from "../../one-at-a-time.ts";
import { readRuns } from "../../read-runs.ts";
import { after } from "../../after.ts";
import type { CacheArguments } from "./arguments.ts";
import { badParts, type BadPart, type PlacedPart } from "./bad-parts.ts";
import { BlockWriter } from "./block-writer.ts";
import { CacheMetadata, type LoadedCache } from "./cache-metadata.ts";
import { cachedPoison } from "./cached-poison.ts";
import { healParts, type PartWrite } from "./heal-parts.ts";
import { LostOrigin } from "./lost-origin.ts";
import { inTarget } from "./part-errors.ts";
import { CachePlaces } from "./places.ts";
import { WriteBack } from "./write-back.ts";

/** Pieces that are looked at for one hole. */
const HOLE_PIECES_MAX = 256;

/** An origin with its cache. */
export class CachedDevice implements FaultyDevice {
  readonly size: number;
  readonly capabilities: Capabilities;
  readonly poison: PoisonView;
  /** dm-writecache has none. */
  readonly direct = undefined;
  readonly metadata: CacheMetadata;
  readonly places: CachePlaces;
  /** Its turn to write blocks back, for the target's messages. */
  readonly writeBack: WriteBack;
  /** Whether closing writes all blocks back. */
  flushOnClose = false;
  readonly #args: CacheArguments;
  readonly #name: string;
  readonly #writer: BlockWriter;
  readonly #reads = new InFlight();
  readonly #changes = new OneAtATime();
  #closed = false;

  /** @param size bytes of the target: whole blocks */
  constructor(args: CacheArguments, size: number) {
    const { origin, cache, start, blockSize } = args;
    this.size = size;
    this.#args = args;
    this.#name = `writecache of ${origin.identity.name}`;
    const joined = joinedCapabilities([origin, cache]);
    this.capabilities = args.originUnread ? { ...joined, readOnly: true } : joined;
    const metadata = new CacheMetadata({ cache, start }, { blocks: 0, blockSize });
    const places = new CachePlaces({ origin, cache, blockSize, metadata });
    const touch = (offset: number, length: number): void => this.#reads.touch(offset, length);
    const writeBack = new WriteBack({ args, metadata, places, touch });
    this.metadata = metadata;
    this.places = places;
    this.writeBack = writeBack;
    this.poison = cachedPoison({ size, cache, places, blockSize });
    this.#writer = new BlockWriter({ args, metadata, places, writeBack, name: this.#name });
    this.flushOnClose = args.cleaner;
  }

  get identity(): DeviceIdentity {
    const { origin, cache, start } = this.#args;
    return joinedIdentity(this.#name, [
      { device: origin, offset: 0, length: this.size },
      { device: cache, offset: start, length: cache.size - start },
    ]);
  }

  /** Takes over what the cache holds; once, before the first call. */
  activate(loaded: LoadedCache): void {
    this.metadata.take(loaded);
    if (loaded.unreadable > 0) this.places.origin = new LostOrigin(this.size);
  }

  read(into: Uint8Array, offset: number, mode: AccessMode = "access"): MaybePromise<ReadResult> {
    const range = { offset, length: into.length };
    this.#check(range);
    const { busy } = this.#changes;
    if (busy !== undefined) return busy.then(() => this.read(into, offset, mode));
    const parts = this.places.parts(range);
    if (mode === "recovery") this.#checkRecovers();
    const answer = parts.length === 0 ? COMPLETE : readRuns(parts, { into, offset, mode });
    if (!isPromise(answer)) return answer;
    const pass = this.#reads.begin(range);
    return answer
      .finally(() => this.#reads.end(pass))
      .then((result) => (pass.stale ? this.read(into, offset, mode) : result));
  }

  write(from: Uint8Array, offset: number, mode: AccessMode = "access"): MaybePromise<void> {
    const range = { offset, length: from.length };
    this.#checkChange(range);
    return this.change([range], () => {
      if (from.length === 0) return undefined;
      const placed = this.#placed(range);
      if (mode === "recovery") this.#checkRecovers();
      const bad = badParts(placed, mode);
      if (bad.length === 0) return this.#writer.store(from, offset, mode);
      this.#checkHeals(bad, mode);
      return this.#healAndStore({ from, offset, placed, bad, mode });
    });
  }

  /** @throws {MediaError} if the mode of a write does not heal what it meets */
  #checkHeals(bad: readonly BadPart[], mode: AccessMode): void {
    for (const { part, at, refused } of bad) {
      if (refused === undefined) continue;
      const { clearUnit } = part.device.capabilities;
      const wish =
        mode === "failFast"
          ? "a fail-fast write heals nothing"
          : `a write of whole clear units of ${clearUnit} bytes, or in recovery mode, heals`;
      const offset = refused.offset - part.offset + at;
      const ranges = [...this.poison.bad({ offset: at, length: part.length })];
      throw new MediaError(`Cannot write ${this.#name}: bad at offset ${offset}: ${wish}`, {
        device: this.#name,
        ranges,
        syscall: "write",
        path: this.#name,
      });
    }
  }

  /** What is bad first, so that a heal that is refused leaves the rest as it was (R5). */
  #healAndStore(write: HealingWrite): MaybePromise<void> {
    const { from, offset, placed, bad, mode } = write;
    const dataOf = ({ part, at }: PlacedPart): Uint8Array =>
      from.subarray(at - offset, at - offset + part.length);
    const [first] = placed;
    // in one place it is that device's own write, with its answer
    const healed: MaybePromise<void> =
      first !== undefined && placed.length === 1
        ? inTarget(first, this.#name, () => first.part.device.write(from, first.part.offset, mode))
        : after(
            healParts(
              bad.map((one) => ({ ...one, data: dataOf(one) })),
              this.#name,
            ),
            throwAny,
          );
    return after(healed, () =>
      after(this.#makeDurable(bad), () => {
        const done = new Set(bad.map(({ at }) => at));
        const rest = placed.filter(({ at }) => !done.has(at));
        return inTurn(rest, (one) => this.#writer.store(dataOf(one), one.at, mode));
      }),
    );
  }

  /** What was healed in a block that is not committed is there only after a commit. */
  #makeDurable(healed: readonly PlacedPart[]): MaybePromise<void> {
    const { metadata } = this;
    if (!healed.some(({ part }) => part.cached)) return undefined;
    metadata.noteData();
    return metadata.table.uncommitted === 0 ? undefined : metadata.commit();
  }

  heal(writes: readonly HealWrite[]): MaybePromise<readonly (Error | undefined)[]> {
    for (const { offset, data } of writes) this.#checkChange({ offset, length: data.length });
    const ranges = writes.map(({ offset, data }) => ({ offset, length: data.length }));
    checkApart(ranges);
    return this.change(ranges, () => {
      const parts: (PartWrite & { readonly of: number })[] = writes.flatMap(({ data }, of) => {
        const range = ranges[of] as ByteRange;
        return this.#placed(range).map(({ at, part }) => {
          const from = at - range.offset;
          return { at, part, of, data: data.subarray(from, from + part.length) };
        });
      });
      this.#checkRecovers();
      return after(healParts(parts, this.#name), (answers) =>
        after(this.#makeDurable(parts), () =>
          writes.map((_, of) => {
            const errors = answers.filter(
              (answer, at) => answer !== undefined && parts[at]?.of === of,
            );
            return errors.length === 0 ? undefined : joinedError(errors as Error[]);
          }),
        ),
      );
    });
  }

  clear(range: ByteRange): MaybePromise<void> {
    this.#checkChange(range);
    return this.change([range], () => {
      const placed = this.#placed(range);
      for (const { part } of placed) checkWhole(part);
      const cleared = inTurn(placed, (one) =>
        inTarget(one, this.#name, () => (one.part.device as ManagedDevice).clear(one.part)),
      );
      return after(cleared, () => this.#makeDurable(placed));
    });
  }

  holeFrom(offset: number): number {
    let length = 0;
    for (let pieces = 0; pieces < HOLE_PIECES_MAX && offset + length < this.size; pieces += 1) {
      const part = this.places.at(offset + length, this.size);
      const hole = (part.device as ManagedDevice).holeFrom?.(part.offset) ?? 0;
      length += Math.min(hole, part.length);
      if (hole < part.length) break;
    }
    return length;
  }

  recordRead(range: ByteRange): void {
    this.#check(range);
    for (const { device, offset, length } of this.places.parts(range))
      (device as ManagedDevice).recordRead({ offset, length });
  }

  recordBad(range: ByteRange, state: "poisoned" | "lost"): void {
    this.#check(range);
    this.#reads.touch(range.offset, range.length);
    for (const { device, offset, length } of this.places.parts(range))
      (device as ManagedDevice).recordBad({ offset, length }, state);
  }

  /** Whether origin and cache can be told to fail. */
  get canFail(): boolean {
    return canFail(this.#args.origin) && canFail(this.#args.cache);
  }

  /** As `SimulatedDevice.inject`, where each byte is kept now: units of the cache may hold bytes of other blocks. */
  inject(range: ByteRange, options: { readonly latent?: boolean } = {}): ByteRange {
    this.#checkChange(range);
    this.#reads.touch(0, this.size);
    let start = range.offset;
    let end = endOf(range);
    for (const { device, offset, length } of this.places.parts(range)) {
      const units = faulty(device).inject({ offset, length }, options);
      start = Math.min(start, this.places.above(device, units.offset) ?? start);
      end = Math.max(end, (this.places.above(device, endOf(units) - 1) ?? 0) + 1);
    }
    return { offset: start, length: end - start };
  }

  /** As `SimulatedDevice.setFault`, where each byte is kept now. */
  setFault(change: FaultChange): void {
    this.#checkChange(change);
    for (const { device, offset, length } of this.places.parts(change))
      faulty(device).setFault({ ...change, offset, length });
  }

  flush(): MaybePromise<void> {
    if (this.#closed || this.capabilities.readOnly) return undefined;
    return this.change([], () => after(this.metadata.commit(), () => this.#args.origin.flush()));
  }

  close(): MaybePromise<void> {
    if (this.#closed) return undefined;
    const end = (): void => {
      this.#closed = true;
    };
    if (this.capabilities.readOnly || !this.metadata.isUsable) return end();
    const done = this.change([], () =>
      after(this.metadata.commit(), () => (this.flushOnClose ? this.writeBack.all() : undefined)),
    );
    if (isPromise(done)) return done.finally(end);
    return end();
  }

  /** Empties the cache into the origin. @throws {MediaError} naming what stays: bad in the cache, or refused by the origin */
  emptyCache(): MaybePromise<void> {
    this.#checkChange({ offset: 0, length: 0 });
    return this.change([], () =>
      after(
        after(this.writeBack.all(), () => this.#args.origin.flush()),
        () => {
          const kept = this.places.parts({ offset: 0, length: this.size });
          let at = 0;
          const ranges = kept.flatMap(({ cached, length }): BadRange[] => {
            at += length;
            return cached ? [{ offset: at - length, length, state: "poisoned" }] : [];
          });
          if (ranges.length === 0) return;
          throw new MediaError(
            `Cannot empty the cache of ${this.#name}: ${ranges.length} ranges stay, the first at offset ${ranges[0]?.offset}: bad there, or refused by the origin`,
            { device: this.#name, ranges, syscall: "write", path: this.#name },
          );
        },
      ),
    );
  }

  /** From now on the cache takes nothing new, and is emptied. */
  startCleaner(): MaybePromise<void> {
    this.#checkChange({ offset: 0, length: 0 });
    this.flushOnClose = true;
    this.writeBack.cleaner = true;
    return this.change([], () => this.writeBack.keepBelowWatermark());
  }

  /** Runs a change alone: at once where none is under way. */
  change<T>(ranges: readonly ByteRange[], run: () => MaybePromise<T>): MaybePromise<T> {
    const touch = (): void => {
      for (const { offset, length } of ranges) this.#reads.touch(offset, length);
    };
    return this.#changes.run(() => {
      this.metadata.checkUsable();
      touch();
      const answer = run();
      return isPromise(answer) ? answer.finally(touch) : answer;
    });
  }

  #placed(range: ByteRange): PlacedPart[] {
    let at = range.offset;
    return this.places.parts(range).map((part) => {
      at += part.length;
      return { part, at: at - part.length };
    });
  }

  /** A byte changes its place, so that both devices recover or none does. @throws {StorageError} EOPNOTSUPP before any byte moves */
  #checkRecovers(): void {
    if (this.capabilities.recovers) return;
    throw new StorageError(
      "EOPNOTSUPP",
      `Cannot recover on ${this.#name}: a device below has no recovery`,
      { path: this.#name },
    );
  }

  #checkChange(range: ByteRange): void {
    this.#check(range);
    if (this.capabilities.readOnly)
      throw new StorageError("EACCES", `Cannot write ${this.#name}: it is open for reading`, {
        path: this.#name,
      });
  }

  #check(range: ByteRange): void {
    if (this.#closed)
      throw new StorageError("EIO", `Cannot use ${this.#name}: it is closed`, { path: this.#name });
    checkRange(range, this.size);
  }
}

/** A write that meets something bad. */
interface HealingWrite {
  readonly from: Uint8Array;
  readonly offset: number;
  readonly placed: readonly PlacedPart[];
  readonly bad: readonly BadPart[];
  readonly mode: AccessMode;
}

function throwAny(answers: readonly (Error | undefined)[]): void {
  const errors = answers.filter((answer): answer is Error => answer !== undefined);
  if (errors.length > 0) throw joinedError(errors);
}
