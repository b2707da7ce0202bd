/**
 * StoreState: what a store knows, as the sum of its records. Replaying a sidecar and noting something new go through the same
 * calls, so that memory and disk cannot come to differ.
 *
 * Bytes of an open intent are *held*: they are lost until its end, whatever is marked meanwhile (R3). Where a second intent
 * begins over bytes of an open one (its end could not be stored), those bytes are the second's from then on.
 */
import { RangeSet, type ByteRange } from "../base/index.ts";
import { PoisonList } from "./poison-list.ts";
import type { FaultChange, FaultKind, Intent } from "./poison-store.ts";
import { FAULT_KINDS, type StateChange, type StoreRecord } from "./store-records.ts";

/** Most intents that can be open at once. */
export const MAX_OPEN_INTENTS = 256;

interface OpenIntent {
  readonly intent: Intent;
  /** The bytes whose states this intent's end decides. */
  readonly held: RangeSet;
}

/** The fold of all records. */
export class StoreState {
  readonly list: PoisonList;
  settings: Readonly<Record<string, unknown>> | undefined;
  generation: number = 0;
  /** Id of the next intent. */
  nextIntent: number = 1;
  readonly intents: Map<number, OpenIntent> = new Map();
  readonly #held = new RangeSet();
  readonly #faults = new Map<FaultKind, RangeSet>(
    FAULT_KINDS.map((kind) => [kind, new RangeSet()]),
  );

  /** @param size bytes of the image */
  constructor(size: number) {
    this.list = new PoisonList(size);
  }

  /**
   * Takes one record in.
   *
   * @throws {RangeError} if it contradicts the ones before: a state that no sidecar of ours can be in
   */
  apply(record: StoreRecord): void {
    if (record.kind === "settings") this.settings = record.settings;
    else if (record.kind === "states") this.mark(record.changes);
    else if (record.kind === "faults") for (const change of record.changes) this.setFault(change);
    else if (record.kind === "generation")
      this.generation = Math.max(this.generation, record.generation);
    else if (record.kind === "intentBegin") this.begin(record.id, record.intent);
    else if (record.kind === "intentEnd") this.end(record.id, record.changes);
  }

  /** The parts of a range that no open intent holds. */
  *free(range: ByteRange): Generator<ByteRange> {
    if (this.#held.size === 0) yield range;
    else yield* this.#held.gaps(range.offset, range.length);
  }

  /** Puts ranges into states; held bytes stay lost. */
  mark(changes: Iterable<StateChange>): void {
    for (const change of changes) {
      for (const part of this.free(change)) this.list.mark(part, change.state);
    }
  }

  /** Turns a fault on or off. */
  setFault({ kind, on, offset, length }: FaultChange): void {
    const set = this.#faults.get(kind);
    if (on) set?.add(offset, length);
    else set?.delete(offset, length);
  }

  /** All faults that are on. */
  *faults(): Generator<FaultChange> {
    for (const [kind, set] of this.#faults) {
      for (const { offset, length } of set) yield { offset, length, kind, on: true };
    }
  }

  /** Opens an intent: its lost ranges are lost from now on. */
  begin(id: number, intent: Intent): void {
    if (this.intents.size >= MAX_OPEN_INTENTS)
      throw new RangeError(`want at most ${MAX_OPEN_INTENTS} open intents: got one more`);
    if (id < this.nextIntent)
      throw new RangeError(`want a new intent of number ${this.nextIntent} or more: got ${id}`);
    for (const range of intent.lost) this.#take(range);
    this.intents.set(id, { intent, held: RangeSet.from(intent.lost) });
    for (const range of intent.lost) {
      this.list.mark(range, "lost");
      this.#held.add(range.offset, range.length);
    }
    this.nextIntent = id + 1;
  }

  /** Ends an intent: the bytes it holds become free, and those it names get their new states. */
  end(id: number, changes: Iterable<StateChange>): void {
    const open = this.intents.get(id);
    if (open === undefined)
      throw new RangeError(`want an open intent: got number ${id}, which is not open`);
    for (const { offset, length } of open.held) this.#held.delete(offset, length);
    this.intents.delete(id);
    this.mark(changes);
  }

  #take({ offset, length }: ByteRange): void {
    if (!this.#held.intersects(offset, length)) return;
    for (const open of this.intents.values()) open.held.delete(offset, length);
  }
}
