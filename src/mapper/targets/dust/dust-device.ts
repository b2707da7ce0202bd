/**
 * DustDevice: a device whose listed blocks cannot be read until they are rewritten, as a disk with bad sectors.
 *
 * Linux remembers which blocks fail, and gives the bytes below again once the list is gone. Here a listed block is *poisoned, known*
 * while the target is enabled, and the list's rules hold for it:
 *
 * - R1: no mode reads a byte of it, also where the kernel looks only at a request's first sector.
 * - R4, R5: a write of all of a block heals it, once its data is durable below; one of a part fails, or in recovery turns the block's other bytes
 *   *lost* below first, so that a crash leaves no old byte readable. A block with a write fail count fails that many writes before any byte moves.
 * - R7: what is bad below keeps its own state; the rest of a listed block is poisoned.
 */
import {
  checkRange,
  endOf,
  intersect,
  isPromise,
  MediaError,
  RangeSet,
  type ByteRange,
  type MaybePromise,
} from "../../../base/index.ts";
import {
  CLEAR_KINDS,
  COMPLETE,
  InFlight,
  type AccessMode,
  type Capabilities,
  type HealWrite,
  type ReadResult,
} from "../../../device/index.ts";
import type { PoisonView } from "../../../poison/index.ts";
import { checkApart } from "../../change-checks.ts";
import { inTurn } from "../../in-turn.ts";
import { OneAtATime } from "../../one-at-a-time.ts";
import { readRuns, type Run } from "../../read-runs.ts";
import type { MessageAnswer, TargetMemory } from "../../target.ts";
import { after } from "../../after.ts";
import { OverSlice, type ManagedArea } from "../over-slice.ts";
import type { DustBlocks } from "./dust-blocks.ts";
import { dustMessage } from "./dust-messages.ts";
import { dustPoison } from "./dust-poison.ts";

/** What it is made with. */
export interface DustOptions {
  readonly area: ManagedArea;
  readonly blocks: DustBlocks;
  /** Keeps the list between two openings. */
  readonly memory: TargetMemory | undefined;
}

/** Writes over listed blocks. */
interface Overwrite {
  /** All bytes that are written, at the target's addresses. */
  readonly covered: RangeSet;
  /** Listed blocks that they touch. */
  readonly blocks: readonly number[];
}

/** The device of a dust target. */
export class DustDevice extends OverSlice {
  override readonly poison: PoisonView;
  readonly #blocks: DustBlocks;
  readonly #memory: TargetMemory | undefined;
  readonly #changes = new OneAtATime();
  readonly #reads = new InFlight();

  constructor({ area, blocks, memory }: DustOptions) {
    super("dust", area, capabilitiesOf(area.device.capabilities, blocks.blockSize));
    this.#blocks = blocks;
    this.#memory = memory;
    this.poison = dustPoison({ below: this.slice.poison, dusty: (range) => this.#dusty(range) });
  }

  /** The parts of a range that fail because they are listed. */
  *#dusty(range: ByteRange): Generator<ByteRange> {
    if (!this.#blocks.enabled) return;
    const { offset } = this.area;
    for (const part of this.#blocks.bytes.within(offset + range.offset, range.length))
      yield { offset: part.offset - offset, length: part.length };
  }

  #isDusty(offset: number, length: number): boolean {
    return this.#blocks.enabled && this.#blocks.bytes.intersects(this.area.offset + offset, length);
  }

  override read(
    into: Uint8Array,
    offset: number,
    mode: AccessMode = "access",
  ): MaybePromise<ReadResult> {
    checkRange({ offset, length: into.length }, this.size);
    const { busy } = this.#changes;
    if (busy !== undefined) return busy.then(() => this.read(into, offset, mode));
    const answer = this.#isDusty(offset, into.length)
      ? readRuns(this.#runs(offset, into.length), { into, offset, mode })
      : this.slice.read(into, offset, mode);
    if (!isPromise(answer)) return answer;
    const pass = this.#reads.begin({ offset, length: into.length });
    return answer
      .finally(() => this.#reads.end(pass))
      .then((result) => (pass.stale ? this.read(into, offset, mode) : result));
  }

  /** A range in turn: readable below, and listed. */
  *#eachRun(range: ByteRange): Generator<Run> {
    const holes = { read: (into: Uint8Array, offset: number) => this.#hole(into, offset) };
    let at = range.offset;
    for (const { offset, length } of this.#dusty(range)) {
      if (offset > at) yield { device: this.slice, offset: at, length: offset - at };
      yield { device: holes, offset, length };
      at = offset + length;
    }
    if (at < endOf(range)) yield { device: this.slice, offset: at, length: endOf(range) - at };
  }

  #runs(offset: number, length: number): Run[] {
    return [...this.#eachRun({ offset, length })];
  }

  #hole(into: Uint8Array, offset: number): ReadResult {
    const missing = [...this.poison.bad({ offset, length: into.length })];
    return missing.length === 0 ? COMPLETE : { missing };
  }

  override write(
    from: Uint8Array,
    offset: number,
    mode: AccessMode = "access",
  ): MaybePromise<void> {
    const range = { offset, length: from.length };
    this.checkWritable(range);
    this.#reads.touch(offset, from.length);
    if (!this.#isDusty(offset, from.length)) return this.slice.write(from, offset, mode);
    return this.#changing(range, () => this.#overwrite(from, offset, mode));
  }

  #overwrite(from: Uint8Array, offset: number, mode: AccessMode): MaybePromise<void> {
    const write = this.#overwriteOf([{ offset, data: from }]);
    if (mode === "failFast" && write.blocks.length > 0)
      throw this.#failure(write.blocks, "a fail-fast write heals nothing");
    const failing = this.#failing(write.blocks);
    if (failing.length > 0) throw this.#failure(failing, "the block fails this write");
    const cut = this.#cut(write);
    if (cut.length > 0 && mode !== "recovery")
      throw this.#failure(
        cut,
        `a write of whole blocks of ${this.#blocks.blockSize} bytes, or in recovery mode, heals`,
      );
    this.#checkCut(cut);
    const steps = [
      () => this.#loseRest(cut),
      () => this.slice.write(from, offset, mode),
      () => this.slice.flush(),
    ];
    return after(
      inTurn(steps, (step) => step()),
      () => this.#drop(write.blocks),
    );
  }

  override heal(writes: readonly HealWrite[]): MaybePromise<readonly (Error | undefined)[]> {
    for (const { offset, data } of writes) this.checkWritable({ offset, length: data.length });
    checkApart(writes.map(({ offset, data }) => ({ offset, length: data.length })));
    return this.#changing({ offset: 0, length: this.size }, () => this.#healAll(writes));
  }

  #healAll(writes: readonly HealWrite[]): MaybePromise<readonly (Error | undefined)[]> {
    const whole = this.#overwriteOf(writes);
    const cut = this.#cut(whole);
    const { mediated } = this.capabilities;
    const refused = new Set([...this.#failing(whole.blocks), ...(mediated ? [] : cut)]);
    const touched = writes.map((write) => this.#overwriteOf([write]).blocks);
    const answers = touched.map((blocks): Error | undefined => {
      const bad = blocks.filter((block) => refused.has(block));
      return bad.length === 0 ? undefined : this.#failure(bad, "the block fails this write");
    });
    const tried = writes.flatMap((_, index) => (answers[index] === undefined ? [index] : []));
    const note = (results: readonly (Error | undefined)[]): readonly (Error | undefined)[] => {
      for (const [at, error] of results.entries()) answers[tried[at] as number] = error;
      this.#drop(this.#healed({ blocks: whole.blocks, touched, answers }));
      return answers;
    };
    const losing = this.#loseRest(cut.filter((block) => !refused.has(block)));
    return after(losing, () =>
      after(this.slice.heal(tried.map((index) => writes[index] as HealWrite)), note),
    );
  }

  /** The blocks all of whose writes worked. Where another write of a block failed the block stays, and so what worked failed too (R5). */
  #healed(heal: {
    readonly blocks: readonly number[];
    readonly touched: readonly (readonly number[])[];
    readonly answers: (Error | undefined)[];
  }): number[] {
    const { touched, answers } = heal;
    const failed = new Set(touched.flatMap((of, at) => (answers[at] === undefined ? [] : of)));
    for (const [index, of] of touched.entries()) {
      const bad = of.filter((block) => failed.has(block));
      if (bad.length > 0)
        answers[index] ??= this.#failure(bad, "another write of the same block failed");
    }
    return heal.blocks.filter((block) => !failed.has(block));
  }

  override clear(range: ByteRange): MaybePromise<void> {
    this.checkWritable(range);
    const write = this.#overwriteOf([{ offset: range.offset, data: { length: range.length } }]);
    return this.#changing(range, () =>
      after(this.slice.clear(range), () => {
        const cut = new Set(this.#cut(write));
        this.#drop(write.blocks.filter((block) => !cut.has(block)));
      }),
    );
  }

  override flush(): MaybePromise<void> {
    return this.#changes.run(() => this.slice.flush());
  }

  override holeFrom(offset: number): number {
    const length = super.holeFrom(offset);
    for (const part of this.#dusty({ offset, length })) return part.offset - offset;
    return length;
  }

  /** A scan that read all it could did not read what is listed. */
  override recordRead(range: ByteRange): void {
    checkRange(range, this.size);
    const listed = RangeSet.from(this.#dusty(range));
    for (const part of listed.gaps(range.offset, range.length)) this.slice.recordRead(part);
  }

  override recordBad(range: ByteRange, state: "poisoned" | "lost"): void {
    super.recordBad(range, state);
    this.#reads.touch(range.offset, range.length);
  }

  /** Takes what was kept. @throws {StorageError} */
  restore(): void {
    const text = this.#memory?.load();
    if (text !== undefined) this.#blocks.parse(text);
  }

  /** As `DeviceTarget.message`. */
  message(words: readonly string[]): MaybePromise<MessageAnswer> {
    return this.#changing({ offset: 0, length: this.size }, () => {
      const memory = this.#memory;
      const before = memory === undefined ? "" : this.#blocks.format();
      const deviceSize = this.area.device.size;
      const answer = dustMessage({ words, blocks: this.#blocks, deviceSize });
      if (memory !== undefined && this.#blocks.format() !== before) this.#keep(memory, before);
      return answer;
    });
  }

  /** Keeps what a message changed; where that fails nothing has changed. */
  #keep(memory: TargetMemory, before: string): void {
    try {
      memory.save(this.#blocks.format());
    } catch (error) {
      this.#blocks.parse(before);
      throw error;
    }
  }

  /** As `DeviceTarget.status`. */
  status(): string {
    const { enabled, quiet } = this.#blocks;
    const { name } = this.area.device.identity;
    return `${name} ${enabled ? "fail_read_on_bad_block" : "bypass"} ${quiet ? "quiet" : "verbose"}`;
  }

  /** Runs a change alone; reads that it overtook are made again. */
  #changing<T>(range: ByteRange, change: () => MaybePromise<T>): MaybePromise<T> {
    const touch = (): void => this.#reads.touch(range.offset, range.length);
    return this.#changes.run(() => {
      touch();
      const done = change();
      if (isPromise(done)) return done.finally(touch);
      touch();
      return done;
    });
  }

  #overwriteOf(
    writes: readonly { readonly offset: number; readonly data: { readonly length: number } }[],
  ): Overwrite {
    const ranges = writes.map(({ offset, data }) => ({ offset, length: data.length }));
    const blocks = new Set<number>();
    for (const { offset, length } of this.#blocks.enabled ? ranges : [])
      for (const block of this.#blocks.touched({ offset: this.area.offset + offset, length }))
        blocks.add(block);
    return { covered: RangeSet.from(ranges), blocks: [...blocks] };
  }

  /** The part of a block that the target shows. */
  #rangeOf(block: number): ByteRange {
    const { blockSize } = this.#blocks;
    const range = { offset: block * blockSize - this.area.offset, length: blockSize };
    return intersect(range, { offset: 0, length: this.size }) ?? { offset: 0, length: 0 };
  }

  /** The blocks of which a write covers only a part. */
  #cut({ covered, blocks }: Overwrite): number[] {
    return blocks.filter((block) => {
      const { offset, length } = this.#rangeOf(block);
      return !covered.covers(offset, length);
    });
  }

  /** @throws {MediaError} if the other bytes of a block cannot be kept from readers */
  #checkCut(cut: readonly number[]): void {
    if (cut.length > 0 && !this.capabilities.mediated)
      throw this.#failure(cut, "its block holds other bad bytes");
  }

  /** Makes blocks of which a part is written lost below, durably: what is not written then stays unreadable (R1, R3). */
  #loseRest(cut: readonly number[]): MaybePromise<void> {
    if (cut.length === 0) return undefined;
    for (const block of cut) this.slice.recordBad(this.#rangeOf(block), "lost");
    return this.slice.flush();
  }

  /** The blocks that fail this write; each has one failure less to come then, and remembers it. */
  #failing(blocks: readonly number[]): number[] {
    const failing = blocks.filter((block) => this.#blocks.failsWrite(block));
    if (failing.length > 0) this.#memory?.save(this.#blocks.format());
    return failing;
  }

  /** Takes healed blocks off the list: their data is durable. */
  #drop(blocks: readonly number[]): void {
    for (const block of blocks) this.#blocks.remove(block);
    if (blocks.length > 0) this.#memory?.save(this.#blocks.format());
  }

  #failure(blocks: readonly number[], wish: string): MediaError {
    const { name } = this.identity;
    const ranges = blocks.flatMap((block) => [...this.poison.bad(this.#rangeOf(block))]);
    return new MediaError(`Cannot write ${name}: block ${blocks[0]} is bad: ${wish}`, {
      device: name,
      ranges,
      syscall: "write",
      path: name,
    });
  }
}

/** A disk of such blocks, or weaker where the device below is. */
function capabilitiesOf(below: Capabilities, blockSize: number): Capabilities {
  const isWeaker = CLEAR_KINDS.indexOf(below.clear) > CLEAR_KINDS.indexOf("overwrite");
  return {
    ...below,
    poisonUnit: Math.max(below.poisonUnit, blockSize),
    clearUnit: Math.max(below.clearUnit, blockSize),
    clear: isWeaker ? below.clear : "overwrite",
  };
}
