/**
 * SimulatedMedia: faults over another medium, as real media have them.
 *
 * - "poison": reads of these units fail. Whether anybody knows is the list's business, above.
 * - "transient": the next read that touches the range fails, the one after works.
 * - "refuses": a clear that touches the range is refused; on a disk ("overwrite") a write is.
 * - "partial": a clear stops in the middle of the range.
 * - "slow": a read takes `slowMs` longer.
 *
 * Faults change in memory at once. That one ended is told to `onFault` only after the flush that made the bytes under it
 * durable: told earlier, a crash could keep the news and lose the bytes, and what was poison would read as data (R1).
 */
import {
  alignIn,
  alignOut,
  endOf,
  FilteredRangeSet,
  MediaError,
  RangeSet,
  roundDown,
  roundUp,
  systemClock,
  type ByteRange,
  type Clock,
  type MaybePromise,
} from "../base/index.ts";
import type { FaultChange, FaultKind } from "../poison/index.ts";
import type { Capabilities } from "./device.ts";
import { fillMarker } from "./marker.ts";
import type { Faults, Media, MediaMemory } from "./media.ts";

/** How the simulation behaves. */
export interface SimulatedMediaOptions {
  readonly capabilities: Capabilities;
  /** Faults from the beginning. @default none */
  readonly faults?: Iterable<FaultChange>;
  /** Hears of every fault that ended, once its bytes are durable. */
  readonly onFault?: (change: FaultChange) => void;
  /** Bytes that one clear clears at most, as firmware does that is short of it; 0 refuses. @default all it is asked */
  readonly clearLimit?: number;
  /** Milliseconds that a read of a slow zone takes longer. @default 50 */
  readonly slowMs?: number;
  /** @default the machine's */
  readonly clock?: Clock;
}

/** Bytes wiped with one write. */
const WIPE_CHUNK = 1024 * 1024;
const KINDS: readonly FaultKind[] = ["poison", "transient", "refuses", "partial", "slow"];

/** A medium with faults. Closes the one below. */
export class SimulatedMedia implements Media {
  readonly name: string;
  readonly size: number;
  readonly capabilities: Capabilities;
  readonly memory?: MediaMemory;
  readonly #inner: Media;
  readonly #faults: Readonly<Record<FaultKind, RangeSet>>;
  /** Faults that ended, and whose end is not told yet. */
  readonly #ended: Readonly<Record<"poison" | "transient", RangeSet>>;
  readonly #onFault: (change: FaultChange) => void;
  readonly #clearLimit: number;
  readonly #slowMs: number;
  readonly #clock: Clock;

  constructor(inner: Media, options: SimulatedMediaOptions) {
    this.#inner = inner;
    this.name = inner.name;
    this.size = inner.size;
    this.capabilities = options.capabilities;
    this.#onFault = options.onFault ?? (() => undefined);
    this.#clearLimit = options.clearLimit ?? Infinity;
    this.#slowMs = options.slowMs ?? 50;
    this.#clock = options.clock ?? systemClock;
    this.#faults = {
      poison: new FilteredRangeSet(inner.size),
      transient: new FilteredRangeSet(inner.size),
      refuses: new RangeSet(),
      partial: new RangeSet(),
      slow: new RangeSet(),
    };
    this.#ended = { poison: new RangeSet(), transient: new RangeSet() };
    for (const change of options.faults ?? []) this.setFault(change);
    if (inner.memory !== undefined) this.memory = this.#memoryOver(inner.memory);
  }

  #memoryOver(memory: MediaMemory): MediaMemory {
    return {
      view: (range) => memory.view(range),
      isPlain: (offset, length) =>
        this.#isWhole(offset, length) && memory.isPlain?.(offset, length) === true,
      load: (into, offset) => {
        if (this.#isWhole(offset, into.length)) return memory.load(into, offset);
        return this.#loadUpTo(into, offset, memory);
      },
      store: (from, offset) => this.#store(from, offset, memory),
      mayHide: (offset, length) => !this.#isWhole(offset, length),
      isData: (view, offset) => memory.isData?.(view, offset) ?? true,
      bringIn: async (range) => (await memory.bringIn?.(range)) ?? true,
    };
  }

  /** A copy out of memory goes no further than the first fault, and knows of no other. */
  #loadUpTo(into: Uint8Array, offset: number, memory: MediaMemory): Faults {
    const { poison, transient } = this.#faults;
    const firsts = [poison.first(offset, into.length), transient.first(offset, into.length)];
    const [first] = firsts
      .filter((range) => range !== undefined)
      .sort((one, other) => one.offset - other.offset);
    if (first === undefined) return memory.load(into, offset);
    const faults = RangeSet.from(this.#hit(first));
    const before = memory.load(into.subarray(0, first.offset - offset), offset);
    return before.length > 0 ? before : [...faults].slice(0, 1);
  }

  /** Turns a fault on or off, now. Poison is rounded out to whole poison units. */
  setFault(change: FaultChange): void {
    const { offset, length } = change.kind === "poison" ? this.#units(change) : change;
    const set = this.#faults[change.kind];
    if (change.on) set.add(offset, length);
    else set.delete(offset, length);
    if (change.kind === "poison" || change.kind === "transient")
      this.#ended[change.kind].delete(offset, length);
  }

  /** Whether reads of some range take longer. */
  get hasSlowZones(): boolean {
    return this.#faults.slow.size > 0;
  }

  /** All faults that are on. */
  *faults(): Generator<FaultChange> {
    for (const kind of KINDS)
      for (const range of this.#faults[kind]) yield { ...range, kind, on: true };
  }

  read(into: Uint8Array, offset: number): MaybePromise<Faults> {
    if (!this.#faults.slow.intersects(offset, into.length)) return this.#read(into, offset);
    return this.#clock.sleep(this.#slowMs).then(() => this.readSync(into, offset));
  }

  #read(into: Uint8Array, offset: number): MaybePromise<Faults> {
    if (this.#isWhole(offset, into.length)) return this.#inner.read(into, offset);
    return this.readSync(into, offset);
  }

  #isWhole(offset: number, length: number): boolean {
    return (
      !this.#faults.poison.intersects(offset, length) &&
      !this.#faults.transient.intersects(offset, length)
    );
  }

  readSync(into: Uint8Array, offset: number): Faults {
    if (this.#isWhole(offset, into.length)) return this.#inner.readSync(into, offset);
    return this.#readAround(into, offset, (piece, at) => this.#inner.readSync(piece, at));
  }

  readBack(into: Uint8Array, offset: number): Faults {
    if (this.#isWhole(offset, into.length)) return this.#inner.readBack(into, offset);
    return this.#readAround(into, offset, (piece, at) => this.#inner.readBack(piece, at));
  }

  /** Reads what lies around the faults of a range that is not whole. */
  #readAround(
    into: Uint8Array,
    offset: number,
    read: (piece: Uint8Array, at: number) => Faults,
  ): Faults {
    const faults = RangeSet.from(this.#hit({ offset, length: into.length }));
    const gaps = Array.from(faults.gaps(offset, into.length));
    for (const gap of gaps) {
      const start = gap.offset - offset;
      for (const fault of read(into.subarray(start, start + gap.length), gap.offset))
        faults.add(fault.offset, fault.length);
    }
    return [...faults];
  }

  /** The failing units that a read touches; transient ones work from now on. */
  #hit(range: ByteRange): ByteRange[] {
    const units = this.#units(range);
    const hit = [...this.#faults.poison.within(units.offset, units.length)];
    const passing = Array.from(this.#faults.transient.within(range.offset, range.length));
    for (const part of passing) {
      hit.push(this.#units(part));
      this.#faults.transient.delete(part.offset, part.length);
      this.#ended.transient.add(part.offset, part.length);
    }
    return hit;
  }

  /** A hole of the image, up to the first fault of a read: a fault stands whatever is below it. */
  holeFrom(offset: number): number {
    let length = this.#inner.holeFrom?.(offset) ?? 0;
    for (const kind of ["poison", "transient"] as const) {
      const fault = this.#faults[kind].first(offset, length);
      if (fault !== undefined) length = Math.max(0, fault.offset - offset);
    }
    return length;
  }

  /** Stores bytes whatever the faults are: how an injection destroys data. */
  destroy(from: Uint8Array, offset: number): void {
    this.#inner.write(from, offset);
  }

  write(from: Uint8Array, offset: number): void {
    if (this.capabilities.clear !== "overwrite") this.#inner.write(from, offset);
    else this.#overwrite(from, offset, (piece, at) => this.#inner.write(piece, at));
  }

  #store(from: Uint8Array, offset: number, memory: MediaMemory): void {
    if (this.capabilities.clear !== "overwrite" || this.#faults.poison.size === 0)
      memory.store(from, offset);
    else this.#overwrite(from, offset, (piece, at) => memory.store(piece, at));
  }

  #overwrite(
    from: Uint8Array,
    offset: number,
    write: (piece: Uint8Array, at: number) => void,
  ): void {
    const healed = this.#overwritten({ offset, length: from.length });
    write(from, offset);
    // After the bytes: a write that failed below has healed nothing.
    for (const part of healed) this.#end("poison", part);
  }

  /** A disk: a write of whole units heals them; one of a part must read the rest first, and fails. */
  #overwritten(range: ByteRange): ByteRange[] {
    const { clearUnit } = this.capabilities;
    const { poison, refuses, partial } = this.#faults;
    const outer = this.#clamp(alignOut(range, clearUnit));
    const bad = Array.from(poison.within(outer.offset, outer.length));
    if (bad.length === 0) return bad;
    const inner = alignIn(
      { offset: range.offset, length: this.#upTo(range, clearUnit) },
      clearUnit,
    );
    const isInside = bad.every(
      (part) => part.offset >= inner.offset && endOf(part) <= endOf(inner),
    );
    if (!isInside || refuses.intersects(range.offset, range.length)) {
      const ranges = bad.map(({ offset, length }) => ({
        offset,
        length,
        state: "poisoned" as const,
      }));
      throw new MediaError(
        `Cannot write ${this.name}: the medium failed at offset ${ranges[0]?.offset}`,
        {
          device: this.name,
          ranges,
          syscall: "write",
        },
      );
    }
    return bad.map((part) => this.#cleared(part, partial));
  }

  /** The length of a range; up to the end of its unit where it ends with the medium. */
  #upTo(range: ByteRange, unit: number): number {
    return (endOf(range) === this.size ? roundUp(this.size, unit) : endOf(range)) - range.offset;
  }

  clear(range: ByteRange): number {
    const { clear } = this.capabilities;
    if (clear === "none" || this.#faults.refuses.intersects(range.offset, range.length)) return 0;
    if (clear === "pretends") return range.length;
    const { offset, length } = range;
    const limit = this.#clearLimit;
    const most = limit < length ? roundDown(limit, this.capabilities.clearUnit) : length;
    const cleared = this.#cleared({ offset, length: most }, this.#faults.partial);
    this.#wipe(cleared);
    this.#end("poison", cleared);
    return cleared.length;
  }

  /** A line is cleared whole or not at all: one in a zone where clears stop half-way is refused. */
  storeLine(line: Uint8Array, offset: number): boolean {
    const { refuses, partial } = this.#faults;
    if (this.capabilities.clear !== "atomic" || this.capabilities.poisonUnit > line.length)
      return false;
    if (refuses.intersects(offset, line.length) || partial.intersects(offset, line.length))
      return false;
    this.#inner.write(line, offset);
    this.#end("poison", { offset, length: line.length });
    return true;
  }

  /** A clear leaves nothing of what whole units held, clean neighbours included. */
  #wipe(range: ByteRange): void {
    const bytes = new Uint8Array(Math.min(WIPE_CHUNK, range.length));
    for (let at = range.offset; at < endOf(range); at += WIPE_CHUNK) {
      const piece = bytes.subarray(0, Math.min(WIPE_CHUNK, endOf(range) - at));
      fillMarker(piece, at);
      this.#inner.write(piece, at);
    }
  }

  /** What of a range is cleared: up to the middle of the first zone where clears stop. */
  #cleared(range: ByteRange, partial: RangeSet): ByteRange {
    const stop = partial.first(range.offset, range.length);
    if (stop === undefined) return range;
    const middle = roundDown(
      stop.offset + Math.floor(stop.length / 2),
      this.capabilities.poisonUnit,
    );
    return { offset: range.offset, length: Math.max(0, middle - range.offset) };
  }

  #end(kind: "poison" | "transient", range: ByteRange): void {
    const parts = Array.from(this.#faults[kind].within(range.offset, range.length));
    for (const part of parts) {
      this.#ended[kind].add(part.offset, part.length);
      this.#faults[kind].delete(part.offset, part.length);
    }
  }

  flush(): void {
    this.#inner.flush();
    for (const kind of ["poison", "transient"] as const) {
      for (const range of this.#ended[kind]) this.#onFault({ ...range, kind, on: false });
      this.#ended[kind].clear();
    }
  }

  close(): void {
    this.#inner.close();
  }

  #units(range: ByteRange): ByteRange {
    return this.#clamp(alignOut(range, this.capabilities.poisonUnit));
  }

  #clamp(range: ByteRange): ByteRange {
    return { offset: range.offset, length: Math.min(endOf(range), this.size) - range.offset };
  }
}
