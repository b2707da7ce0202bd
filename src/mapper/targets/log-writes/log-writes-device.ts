/**
 * LogWritesDevice: a device whose writes are logged on another one, so that any moment of it can be made again (log-writer.ts, replay-log.ts).
 *
 * - Everything that changes bytes is logged as it lies on the device: plain writes, recovery writes and heals, and stores through direct
 *   access, as the patches of 2021 meant it. What healed is durable when the call returns: so everything before it is flushed and logged first,
 *   and its entry says FLUSH and FUA.
 * - A log holds whole sectors. What of a sector is not written is read first; where it cannot be read the change is refused before any byte
 *   moves, because a log cannot say "unknown", and replaying it would present garbage (R1). For the same reason nothing else of a bad
 *   clear unit is ever turned lost here: the device says that it is not mediated.
 * - Stores through a `view` are not seen, as those of a mapping are not in Linux. A clear without data is not logged.
 */
import {
  alignOut,
  assert,
  endOf,
  intersect,
  isPromise,
  MediaError,
  RangeSet,
  StorageError,
  type BadRange,
  type ByteRange,
  type MaybePromise,
} from "../../../base/index.ts";
import {
  thoroughMode,
  type AccessMode,
  type Capabilities,
  type Device,
  type DirectAccess,
  type HealWrite,
} from "../../../device/index.ts";
import { checkApart } from "../../change-checks.ts";
import { inTurn } from "../../in-turn.ts";
import { OneAtATime } from "../../one-at-a-time.ts";
import type { MessageAnswer } from "../../target.ts";
import { after } from "../../after.ts";
import { OverSlice, type ManagedArea } from "../over-slice.ts";
import { LOG_FLAGS } from "./log-format.ts";
import { LogWriter } from "./log-writer.ts";
import { findLogEnd } from "./log-end.ts";
import { LogWritesDirect } from "./log-writes-direct.ts";
import { sectorGroups, type SectorGroup } from "./sector-groups.ts";

/** Bytes that wait in memory at most: more are flushed without being asked. */
const PENDING_MAX = 64 * 1024 * 1024;

/** Flags of what healed: all before it is durable, and so is it. */
const HEALED = LOG_FLAGS.flush | LOG_FLAGS.fua;

/** The device of a log-writes target. */
export class LogWritesDevice extends OverSlice {
  override readonly direct: DirectAccess | undefined;
  readonly #log: Device;
  readonly #changes = new OneAtATime();
  #writer: LogWriter | undefined;
  #isClosed = false;

  constructor(area: ManagedArea, log: Device) {
    super("log-writes", area, capabilitiesOf(area.device.capabilities, log.capabilities));
    this.#log = log;
    const { direct } = this.slice;
    this.direct = direct === undefined ? undefined : new LogWritesDirect(this, direct);
  }

  /** Finds where the log goes on; where nothing may be written it is not looked at. @throws {StorageError} as `findLogEnd` */
  activate(): MaybePromise<void> {
    if (this.capabilities.readOnly) return undefined;
    return after(findLogEnd(this.#log, this.area), (position) => {
      this.#writer = new LogWriter(this.#log, position);
    });
  }

  get #open(): LogWriter {
    assert(this.#writer !== undefined, "a target is activated before its first call");
    return this.#writer;
  }

  override write(
    from: Uint8Array,
    offset: number,
    mode: AccessMode = "access",
  ): MaybePromise<void> {
    this.checkWritable({ offset, length: from.length });
    if (from.length === 0) return undefined;
    return this.#changes.run(() => this.#write(from, offset, mode));
  }

  #write(from: Uint8Array, offset: number, mode: AccessMode): MaybePromise<void> {
    const [group] = this.#groups([{ offset, data: from }]) as [SectorGroup];
    const range = { offset, length: from.length };
    if (mode === "recovery") this.#checkUnits(RangeSet.from([range]), range);
    const heals = this.hasBad(range);
    const steps = [
      () => this.#fill(group),
      () => this.slice.write(from, offset, mode),
      () => this.#note([group], heals),
    ];
    return inTurn(steps, (step) => step());
  }

  override heal(writes: readonly HealWrite[]): MaybePromise<readonly (Error | undefined)[]> {
    for (const { offset, data } of writes) this.checkWritable({ offset, length: data.length });
    checkApart(writes.map(({ offset, data }) => ({ offset, length: data.length })));
    return this.#changes.run(() => this.#heal(writes));
  }

  /** Writes whole sectors: writes that share one stand and fall together. */
  #heal(writes: readonly HealWrite[]): MaybePromise<readonly (Error | undefined)[]> {
    const groups = this.#groups(writes);
    const answers = writes.map((): Error | undefined => undefined);
    const refuse = (group: SectorGroup, error: unknown): void => {
      if (!(error instanceof MediaError)) throw error;
      for (const index of group.members) answers[index] = error;
    };
    const covered = RangeSet.from(
      writes.map(({ offset, data }) => ({ offset, length: data.length })),
    );
    const filled = inTurn(groups, (group) => {
      try {
        this.#checkUnits(covered, group.range);
        const done = this.#fill(group);
        return isPromise(done) ? done.catch((error: unknown) => refuse(group, error)) : done;
      } catch (error) {
        return refuse(group, error);
      }
    });
    return after(filled, () => {
      const tried = groups.filter(({ members }) => answers[members[0] as number] === undefined);
      const healed = this.slice.heal(tried.map(({ range, data }) => ({ ...range, data })));
      return after(healed, (errors) => {
        const done: SectorGroup[] = [];
        for (const [at, group] of tried.entries()) {
          const error = errors[at];
          if (error === undefined) done.push(group);
          for (const index of group.members) answers[index] = error;
        }
        return after(this.#note(done, true), () => answers);
      });
    });
  }

  /** The sectors that writes touch, with room for them on the log. @throws {StorageError} ENOSPC; EIO where the log failed */
  #groups(writes: readonly HealWrite[]): SectorGroup[] {
    const writer = this.#open;
    const groups = sectorGroups(writes, writer);
    const sum = groups.reduce((total, { bytes }) => total + bytes.length, 0);
    writer.checkRoom(Math.max(0, sum - writer.sectorSize));
    return groups;
  }

  /** Reads what of the sectors is not written. @throws {MediaError} if it cannot be read */
  #fill({ range, data, gaps }: SectorGroup): MaybePromise<void> {
    return inTurn(gaps, (gap) => {
      const start = gap.offset - range.offset;
      const into = data.subarray(start, start + gap.length);
      const result = this.slice.read(into, gap.offset, thoroughMode(this));
      return after(result, ({ missing }) => {
        if (missing.length > 0) throw this.#failure(missing, SECTOR_WISH);
      });
    });
  }

  /** Logs what was written; where it healed, at once, with all before it. */
  #note(groups: readonly SectorGroup[], heals: boolean): MaybePromise<void> {
    this.#keep(groups, heals);
    const writer = this.#open;
    if (groups.length === 0 || (!heals && writer.pendingBytes <= PENDING_MAX)) return undefined;
    return writer.flush(() => this.slice.flush());
  }

  /** Has it wait for the next flush. */
  #keep(groups: readonly SectorGroup[], heals: boolean): void {
    for (const { bytes, range } of groups)
      this.#open.note(bytes, this.area.offset + range.offset, heals ? HEALED : 0);
  }

  /** A clear unit of which a part is written must not hold other bad bytes. @throws {MediaError} */
  #checkUnits(covered: RangeSet, range: ByteRange): void {
    if (this.poison.empty || range.length === 0) return;
    const { clearUnit } = this.capabilities;
    for (const at of [range.offset, endOf(range) - 1]) {
      const unit = alignOut({ offset: at, length: 1 }, clearUnit);
      const bad = [...this.poison.bad(intersect(unit, { offset: 0, length: this.size }) ?? unit)];
      const whole = bad.filter(({ offset, length }) => covered.covers(offset, length));
      const some = bad.filter(({ offset, length }) => covered.intersects(offset, length));
      if (some.length > 0 && whole.length < bad.length)
        throw this.#failure(bad, `its clear unit of ${clearUnit} bytes holds other bad bytes`);
    }
  }

  /** Whether a write of a range meets something bad. */
  hasBad(range: ByteRange): boolean {
    if (this.poison.empty) return false;
    return this.poison.bad(range)[Symbol.iterator]().next().done !== true;
  }

  /**
   * A change through direct access: done on this thread, and logged as any other.
   *
   * @param change makes it; @returns bytes done, from the start of the range
   * @returns the same
   * @throws {MediaError} if the rest of its sectors cannot be read, or by `change`
   */
  changeDirect(
    write: HealWrite,
    load: (into: Uint8Array, offset: number) => number,
    change: () => number,
  ): number {
    const { offset, data } = write;
    const range = { offset, length: data.length };
    this.checkWritable(range);
    if (data.length === 0) return change();
    const [group] = this.#groups([write]) as [SectorGroup];
    this.#checkUnits(RangeSet.from([range]), range);
    this.#load(group, load);
    const heals = this.hasBad(range);
    const done = change();
    if (done === 0) return 0;
    const part = { offset, data: data.subarray(0, done) };
    const [written] = done === data.length ? [group] : this.#groups([part]);
    if (written === undefined) return done;
    if (written !== group) this.#load(written, load);
    this.#keep([written], heals);
    if (!heals && this.#open.pendingBytes <= PENDING_MAX) return done;
    const flushed = this.flush();
    // where it fails later, the next change tells
    if (isPromise(flushed)) void flushed.catch(() => undefined);
    return done;
  }

  #load({ range, data, gaps }: SectorGroup, load: (into: Uint8Array, at: number) => number): void {
    for (const gap of gaps) {
      const start = gap.offset - range.offset;
      const bad = [...this.poison.bad(gap)];
      const into = data.subarray(start, start + gap.length);
      if (bad.length > 0 || load(into, gap.offset) < gap.length)
        throw this.#failure([...this.poison.bad(gap)], SECTOR_WISH);
    }
  }

  override clear(range: ByteRange): MaybePromise<void> {
    this.checkWritable(range);
    return this.#changes.run(() => this.slice.clear(range));
  }

  override flush(): MaybePromise<void> {
    if (this.capabilities.readOnly) return this.slice.flush();
    return this.#changes.run(() => this.#open.flush(() => this.slice.flush()));
  }

  /** Logs what waits, and the mark that ends a session, where anything was logged in it. */
  override close(): MaybePromise<void> {
    const writer = this.#writer;
    if (this.#isClosed || writer === undefined) return undefined;
    this.#isClosed = true;
    return this.#changes.run(() => {
      if (writer.isUntouched || writer.isFailed) return undefined;
      return after(
        writer.flush(() => this.slice.flush()),
        () => writer.end(),
      );
    });
  }

  /** As `DeviceTarget.message`. */
  message(words: readonly string[]): MaybePromise<MessageAnswer> {
    const [name = "", text = ""] = words;
    if (words.length !== 2)
      throw refusal(
        `Invalid log-writes message arguments, expect 2 arguments, got ${words.length}`,
      );
    if (name.toLowerCase() !== "mark")
      throw refusal(`Unrecognised log writes target message received: ${name}`);
    this.checkWritable({ offset: 0, length: 0 });
    return after(
      this.#changes.run(() => this.#open.mark(text)),
      () => ({ reply: undefined, log: [] }),
    );
  }

  /** As `DeviceTarget.status`; nothing where it is open for reading. */
  status(): string {
    return this.#writer?.status ?? "";
  }

  #failure(ranges: readonly BadRange[], wish: string): MediaError {
    const { name } = this.identity;
    return new MediaError(
      `Cannot write ${name}: bad at offset ${ranges[0]?.offset ?? 0}: ${wish}`,
      { device: name, ranges, syscall: "write", path: name },
    );
  }
}

const SECTOR_WISH = "a log holds whole sectors, and the rest of this one cannot be read";

function refusal(log: string): StorageError {
  return new StorageError("EINVAL", `Cannot take message: ${log}`, { syscall: "message" });
}

/** Sectors are what a log can hold. */
function capabilitiesOf(below: Capabilities, log: Capabilities): Capabilities {
  return {
    ...below,
    poisonUnit: Math.max(below.poisonUnit, 512),
    clearUnit: Math.max(below.clearUnit, 512),
    mediated: false,
    readOnly: below.readOnly || log.readOnly,
  };
}
