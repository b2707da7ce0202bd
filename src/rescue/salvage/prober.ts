/**
 * Prober: single reads of a source that may fail, hang or be slow, with everything that stands around them: what came goes into the output, what failed is counted, what
 * took too long is left alone until the end, and somebody may have said when to stop and how fast to go.
 *
 * A policy (policy-cheap.ts, policy-costly.ts) decides what is read next; nothing is ever read twice but by its decision.
 */
import {
  alignOut,
  endOf,
  RangeSet,
  systemClock,
  type ByteRange,
  type Clock,
} from "../../base/index.ts";
import { alignedBuffer } from "../../os/index.ts";
import type { SalvageWork } from "./salvage-work.ts";

/** What one read came to: all bytes; none, because some are bad; none within its time. */
export type AttemptAnswer = "data" | "failed" | "slow";

/** A source that is read one attempt at a time. */
export interface Attempts {
  /** Smallest read that can fail by itself, in bytes; a power of two. Reads are whole units, or end where the source does. */
  readonly unit: number;
  /** Bytes of the largest read; a multiple of the unit. */
  readonly largest: number;
  /** One read, never tried again. @throws {StorageError} if the source itself fails */
  attempt(into: Uint8Array, offset: number): Promise<AttemptAnswer>;
}

/** When to end before everything was tried, and how fast to go. */
export interface Limits {
  /** Bytes that are bad, or failed as part of a larger read. @default no limit */
  readonly maxBadBytes?: number;
  /** Ranges of the same. @default no limit */
  readonly maxBadAreas?: number;
  /** Bytes a second, over the last ten seconds or more. @default no limit */
  readonly minRate?: number;
  /** Milliseconds since the last read that came. @default no limit */
  readonly timeoutMs?: number;
  /** Bytes that are read in a second at most. @default no limit */
  readonly rate?: number;
}

/** Ends the work before everything was tried; not an error. */
export class Stopped extends Error {
  override readonly name = "Stopped";
}

/** What was read, and what came of it. */
export interface ProbeCounts {
  readonly reads: number;
  readonly failed: number;
  readonly slow: number;
}

/** How a prober is made. */
export interface ProberOptions {
  readonly limits?: Limits;
  /** @default the machine's */
  readonly clock?: Clock;
  /** Called before every read; throws to end the work. */
  readonly checkpoint?: () => Promise<void>;
  /** Called after every read, with its range. */
  readonly onRead?: (range: ByteRange, counts: ProbeCounts) => void;
}

/** Bytes around a slow read to which nothing is sent until the end. */
const SLOW_ZONE = 1024 * 1024;
/** Milliseconds over which a rate is measured at least. */
const RATE_WINDOW_MS = 10_000;
/** Ranges that are remembered to have failed and come, at most. */
const TRANSIENT_MOST = 10_000;

/** Reads for one salvage. */
export class Prober {
  /** What failed, and came when it was read again, not as a part of something smaller. */
  readonly transient: RangeSet = new RangeSet();
  /** Where a read took too long: nothing is sent there until the end. */
  readonly slow: RangeSet = new RangeSet();
  readonly unit: number;
  readonly largest: number;
  readonly #attempts: Attempts;
  readonly #work: SalvageWork;
  readonly #options: ProberOptions;
  readonly #clock: Clock;
  readonly #memory: readonly [Uint8Array, Uint8Array];
  /** Single units that failed. */
  readonly #bad = new RangeSet();
  readonly #counts = { reads: 0, failed: 0, slow: 0 };
  /** Larger reads that failed, as far as they are remembered. */
  readonly #failed: ByteRange[] = [];
  #turn = 0;
  #writing: Promise<void> = Promise.resolve();
  #startMs: number;
  #lastDataMs: number;
  #bytes = 0;
  #mark: { ms: number; bytes: number };

  constructor(work: SalvageWork, attempts: Attempts, options: ProberOptions = {}) {
    this.#work = work;
    this.#attempts = attempts;
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.unit = attempts.unit;
    this.largest = attempts.largest;
    this.#memory = [alignedBuffer(attempts.largest), alignedBuffer(attempts.largest)];
    this.#startMs = this.#clock.now();
    this.#lastDataMs = this.#startMs;
    this.#mark = { ms: this.#startMs, bytes: 0 };
  }

  /** What was read so far. */
  get counts(): ProbeCounts {
    return this.#counts;
  }

  /**
   * Reads a range once, at most `largest` bytes between two units. What came is being written when this returns; what failed has no new status.
   *
   * @throws {Stopped} where a limit says so
   */
  async try(range: ByteRange): Promise<AttemptAnswer> {
    await this.#options.checkpoint?.();
    await this.#keepRate();
    this.#checkLimits();
    const units = alignOut(range, this.unit);
    const length = Math.min(units.length, this.#work.map.size - units.offset);
    // Two buffers in turn: one is written while the other is read into.
    this.#turn = 1 - this.#turn;
    const into = (this.#turn === 0 ? this.#memory[0] : this.#memory[1]).subarray(0, length);
    this.#counts.reads += 1;
    const answer = await this.#attempts.attempt(into, units.offset);
    await this.settle();
    if (answer === "data") this.#keep(range, into, units.offset);
    else this.#miss(range, answer);
    this.#options.onRead?.(range, this.counts);
    return answer;
  }

  /** Waits for what is being written. @throws {StorageError} of the output */
  async settle(): Promise<void> {
    const writing = this.#writing;
    this.#writing = Promise.resolve();
    await writing;
    this.#work.saveSometimes();
  }

  /** Notes the larger reads of which every part came afterwards: they failed once, and nothing in them is bad. */
  async finish(): Promise<void> {
    await this.settle();
    for (const { offset, length } of this.#failed) {
      const came = this.#work.map.unfinished({ offset, length }).length === 0;
      if (came && !this.#bad.intersects(offset, length)) this.transient.add(offset, length);
    }
  }

  #keep(range: ByteRange, bytes: Uint8Array, offset: number): void {
    this.#bytes += bytes.length;
    this.#lastDataMs = this.#clock.now();
    for (const unit of this.#bad.within(range.offset, range.length))
      if (this.transient.size < TRANSIENT_MOST) this.transient.add(unit.offset, unit.length);
    this.#writing = this.#write(range, bytes, offset);
    // A failure is met where it is awaited; until then it must not count as unhandled.
    this.#writing.catch(() => undefined);
  }

  /** Only what is not in the output yet: a unit may be finished in a part. */
  async #write(range: ByteRange, bytes: Uint8Array, offset: number): Promise<void> {
    for (const part of this.#work.map.unfinished(range))
      await this.#work.keep(
        bytes.subarray(part.offset - offset, endOf(part) - offset),
        part.offset,
      );
  }

  #miss(range: ByteRange, answer: "failed" | "slow"): void {
    this.#counts[answer] += 1;
    if (answer === "failed") {
      if (range.length <= this.unit) this.#bad.add(range.offset, range.length);
      else if (this.#failed.length < TRANSIENT_MOST) this.#failed.push(range);
      return;
    }
    const zone = alignOut(range, SLOW_ZONE);
    const length = Math.min(zone.length, this.#work.map.size - zone.offset);
    this.slow.add(zone.offset, length);
    const untried = [...this.#work.map.of("?", { offset: zone.offset, length })];
    for (const part of [...untried, range]) this.#work.map.setUnfinished(part, "*");
  }

  async #keepRate(): Promise<void> {
    const rate = this.#options.limits?.rate;
    if (rate === undefined) return;
    const dueMs = this.#startMs + (this.#bytes / rate) * 1000;
    const aheadMs = dueMs - this.#clock.now();
    if (aheadMs > 0) await this.#clock.sleep(aheadMs);
  }

  #checkLimits(): void {
    const { maxBadBytes, maxBadAreas, minRate, timeoutMs } = this.#options.limits ?? {};
    const { map } = this.#work;
    const bad = map.bytes("-") + map.bytes("*") + map.bytes("/");
    if (maxBadBytes !== undefined && bad > maxBadBytes)
      throw new Stopped(`more than ${maxBadBytes} bytes are bad`);
    const areas = map.areas("-") + map.areas("*") + map.areas("/");
    if (maxBadAreas !== undefined && areas > maxBadAreas)
      throw new Stopped(`more than ${maxBadAreas} ranges are bad`);
    const now = this.#clock.now();
    if (timeoutMs !== undefined && now - this.#lastDataMs > timeoutMs)
      throw new Stopped(`nothing came for ${timeoutMs} ms`);
    if (minRate !== undefined && now - this.#mark.ms >= RATE_WINDOW_MS) {
      const rate = ((this.#bytes - this.#mark.bytes) / (now - this.#mark.ms)) * 1000;
      if (rate < minRate) throw new Stopped(`it gives less than ${minRate} bytes a second`);
      this.#mark = { ms: now, bytes: this.#bytes };
    }
  }
}
