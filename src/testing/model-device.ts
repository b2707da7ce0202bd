/**
 * model-device: what a simulated device does, byte by byte in plain arrays, with no thought of speed: the yardstick that random
 * runs compare a device with. Faults other than poison, and crashes, are other tests' business.
 */
import { alignIn, alignOut, endOf, type ByteRange } from "../base/index.ts";
import type { AccessMode, ClearKind, HealWrite } from "../device/index.ts";
import type { PoisonState } from "../poison/index.ts";

/** How the modelled device fails; units in bytes. */
export interface ModelOptions {
  readonly size: number;
  readonly poisonUnit: number;
  readonly clearUnit: number;
  readonly clear: ClearKind;
}

/** What a modelled read gives for a byte: its value, or why it is missing. */
export type ModelByte = number | "poisoned" | "lost" | "unread";

/** A device as arrays. */
export class ModelDevice {
  readonly states: PoisonState[];
  readonly #options: ModelOptions;
  readonly #content: Uint8Array;
  /** Whether the medium cannot read a byte, known or not. */
  readonly #broken: boolean[];

  constructor(options: ModelOptions) {
    this.#options = options;
    this.#content = new Uint8Array(options.size);
    this.#broken = Array.from({ length: options.size }, () => false);
    this.states = Array.from({ length: options.size }, () => "unread");
  }

  #isBad(at: number): boolean {
    return this.states[at] === "poisoned" || this.states[at] === "lost";
  }

  #isLatent(at: number): boolean {
    return this.#broken[at] === true && !this.#isBad(at);
  }

  /** Poisons whole units. */
  inject(range: ByteRange, latent: boolean): void {
    for (const at of bytesOf(this.#out(range, this.#options.poisonUnit))) {
      this.#broken[at] = true;
      if (!latent) this.states[at] = "poisoned";
    }
  }

  /** Puts the latent units that a range touches on the list. */
  #touch(range: ByteRange): void {
    for (const at of bytesOf(range)) {
      if (!this.#isLatent(at)) continue;
      for (const other of bytesOf(this.#out({ offset: at, length: 1 }, this.#options.poisonUnit))) {
        if (!this.#isBad(other)) this.states[other] = "poisoned";
      }
    }
  }

  /** What a read gives, byte by byte. */
  read(range: ByteRange, mode: AccessMode): ModelByte[] {
    const known = bytesOf(range).find((at) => this.#isBad(at));
    const stop = mode === "failFast" && known !== undefined ? known : endOf(range);
    const before = [...this.states];
    this.#touch({ offset: range.offset, length: stop - range.offset });
    let failed: number | undefined;
    return bytesOf(range).map((at) => {
      const state = this.states[at] as PoisonState;
      const isMissing = state === "poisoned" || state === "lost";
      if (mode !== "failFast") return isMissing ? state : (this.#content[at] as number);
      if (isMissing && failed === undefined) failed = at;
      if (failed === undefined) return this.#content[at] as number;
      return this.#failFastState({ at, failed, before });
    });
  }

  /** The first bad stretch of one state is told as it is; everything behind it is unread. */
  #failFastState(place: {
    readonly at: number;
    readonly failed: number;
    readonly before: readonly PoisonState[];
  }): ModelByte {
    const { at, failed } = place;
    const state = this.states[failed];
    for (let next = failed; next <= at; next += 1) if (this.states[next] !== state) return "unread";
    return state as "poisoned" | "lost";
  }

  /** @returns whether the write works */
  write(range: ByteRange, data: Uint8Array, mode: AccessMode): boolean {
    if (mode === "recovery") return this.heal([{ offset: range.offset, data }])[0] === true;
    if (!this.#holdsBad(range)) return this.#plainWrite(range, data);
    if (mode === "failFast") return false;
    const isInTheWay = bytesOf(this.#reach(range)).filter((at) => this.#isBad(at));
    const isWhole = isInTheWay.every((at) => {
      const unit = this.#out({ offset: at, length: 1 }, this.#options.clearUnit);
      return unit.offset >= range.offset && endOf(unit) <= endOf(range);
    });
    if (mode === "access" && !isWhole) return false;
    const wholeWrites = mode === "access" && this.#options.clear === "firmware";
    return this.heal([{ offset: range.offset, data }], wholeWrites)[0] === true;
  }

  /** A disk takes whole blocks, so what is bad beside a write in its block stands in its way. */
  #reach(range: ByteRange): ByteRange {
    return this.#options.clear === "overwrite" ? this.#out(range, this.#options.clearUnit) : range;
  }

  #plainWrite(range: ByteRange, data: Uint8Array): boolean {
    if (this.#options.clear === "overwrite") {
      const outer = this.#out(range, this.#options.clearUnit);
      const broken = bytesOf(outer).filter((at) => this.#broken[at]);
      const isInside = broken.every((at) => {
        const unit = this.#out({ offset: at, length: 1 }, this.#options.clearUnit);
        return unit.offset >= range.offset && endOf(unit) <= endOf(range);
      });
      if (!isInside) {
        this.#touch(outer);
        return false;
      }
      for (const at of broken) this.#broken[at] = false;
    }
    this.#content.set(data, range.offset);
    return true;
  }

  /**
   * @param wholeWrites whether all whole units of a write are cleared, and not only the bad ones
   * @returns for each write whether it works
   */
  heal(writes: readonly HealWrite[], wholeWrites: boolean = false): boolean[] {
    const failed = new Set<HealWrite>();
    let pending = writes;
    for (let pass = 0; pass < 2; pass += 1) {
      const given = new Map<number, number>();
      for (const { offset, data } of pending)
        data.forEach((byte, at) => given.set(offset + at, byte));
      const healed = new Set<number>();
      const refused = this.#runs(pending, wholeWrites).filter(
        (run) => !this.#healRun(run, given, healed),
      );
      const again: HealWrite[] = [];
      for (const write of pending) {
        if (refused.some((run) => reaches(write, run))) failed.add(write);
        else if (!this.#writeRest(write, healed)) again.push(write);
      }
      pending = again;
    }
    return writes.map((write) => !failed.has(write) && !pending.includes(write));
  }

  #holdsBad(range: ByteRange): boolean {
    return bytesOf(range).some((at) => this.#isBad(at));
  }

  /**
   * The parts of a write that no run healed are stored; what turns out to be latent is listed for the second pass.
   *
   * @returns whether all of the write is there now
   */
  #writeRest(write: HealWrite, healed: ReadonlySet<number>): boolean {
    let isWhole = true;
    const places = bytesOf({ offset: write.offset, length: write.data.length });
    for (let from = 0; from < places.length; from += 1) {
      if (healed.has(write.offset + from)) continue;
      let to = from + 1;
      while (to < places.length && !healed.has(write.offset + to)) to += 1;
      const piece = { offset: write.offset + from, length: to - from };
      if (this.#plainWrite(piece, write.data.subarray(from, to))) this.#touch(piece);
      else isWhole = false;
      from = to;
    }
    return isWhole && !this.#holdsBad({ offset: write.offset, length: write.data.length });
  }

  /** Runs of clear units around the bad stretches in the way of writes; those that share a unit are one. */
  #runs(writes: readonly HealWrite[], wholeWrites: boolean): ByteRange[] {
    const runs: ByteRange[] = [];
    const sorted = [...writes].sort((one, other) => one.offset - other.offset);
    for (const { offset, data } of sorted) {
      const reach = this.#reach({ offset, length: data.length });
      for (let at = reach.offset; at < endOf(reach); at += 1) {
        if (!this.#isBad(at)) continue;
        let end = at + 1;
        while (end < endOf(reach) && this.#isBad(end)) end += 1;
        const units = alignIn({ offset, length: data.length }, this.#options.clearUnit);
        const run =
          wholeWrites && units.offset <= at && at < endOf(units)
            ? units
            : this.#out({ offset: at, length: end - at }, this.#options.clearUnit);
        const last = runs.at(-1);
        const from = last !== undefined && run.offset < endOf(last) ? runs.pop() : undefined;
        const start = from?.offset ?? run.offset;
        runs.push({ offset: start, length: endOf(run) - start });
        at = endOf(run) - 1;
      }
    }
    return runs;
  }

  /** @returns whether the device heals it: one that pretends does where nothing is broken, only lost */
  #healRun(run: ByteRange, given: ReadonlyMap<number, number>, healed: Set<number>): boolean {
    this.#touch(run);
    const { clear } = this.#options;
    if (clear === "none" || (clear === "pretends" && bytesOf(run).some((at) => this.#broken[at])))
      return false;
    for (const at of bytesOf(run)) {
      const byte = given.get(at);
      const wasBad = this.#isBad(at);
      this.#broken[at] = false;
      if (byte !== undefined) {
        healed.add(at);
        this.#content[at] = byte;
        this.states[at] = "clean";
      } else if (wasBad) {
        this.states[at] = "lost";
      }
    }
    return true;
  }

  /** @returns whether it works */
  clear(range: ByteRange): boolean {
    if (this.#options.clear === "none") return false;
    const broken = bytesOf(range).find((at) => this.#broken[at]);
    const pretends = this.#options.clear === "pretends" && broken !== undefined;
    const end = pretends ? broken - (broken % this.#options.clearUnit) : endOf(range);
    for (const at of bytesOf({ offset: range.offset, length: end - range.offset })) {
      this.states[at] = "lost";
      this.#broken[at] = false;
    }
    return !pretends;
  }

  recordRead(range: ByteRange): void {
    for (const at of bytesOf(range)) if (this.states[at] === "unread") this.states[at] = "clean";
  }

  recordBad(range: ByteRange, state: "poisoned" | "lost"): void {
    for (const at of bytesOf(range)) this.states[at] = state;
  }

  #out(range: ByteRange, unit: number): ByteRange {
    return alignOut(range, unit);
  }
}

function reaches(write: HealWrite, unit: ByteRange): boolean {
  return write.offset < endOf(unit) && unit.offset < write.offset + write.data.length;
}

function bytesOf(range: ByteRange): number[] {
  return Array.from({ length: range.length }, (_, index) => range.offset + index);
}
