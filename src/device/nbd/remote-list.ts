/**
 * RemoteList: the list of bad ranges of an export, as far as anybody here knows it.
 *
 * A Theriac server has the list itself, and tells it: what it says wins, but for marks that were made here (`recordBad`), of which it knows nothing.
 * Of another server the list is what reads found, and what the state directory remembers.
 */
import { alignOut, endOf, intersect, RangeSet, type ByteRange } from "../../base/index.ts";
import { importedChanges, type PoisonView, type StateRange } from "../../poison/index.ts";
import { Ledger, type LedgerOptions } from "../ledger.ts";
import { inState, isBad } from "../states.ts";
import type { BlockStatuses } from "./block-status.ts";
import { protocolError } from "./pending-reply.ts";
import { POISON_CONTEXT, poisonStateOf } from "./poison-context.ts";

/** Runs that are taken of a list; what each answer counts beside its runs, so that a list of one byte an answer ends too. */
const RUNS_MAX = 20_000_000;
const ANSWER_COST = 100;

/** What a list is made of. */
export interface RemoteListOptions extends LedgerOptions {
  /** Asks the server about the beginning of a range; absent where it tells no poison. */
  readonly ask: ((range: ByteRange) => Promise<BlockStatuses>) | undefined;
  /** Unit in which questions are asked, in bytes. */
  readonly unit: number;
}

/** The list of one export. */
export class RemoteList {
  readonly ledger: Ledger;
  readonly #options: RemoteListOptions;
  /** Bad here, whatever the server says. */
  readonly #own = new RangeSet();

  constructor(options: RemoteListOptions) {
    this.#options = options;
    this.ledger = new Ledger(options);
  }

  get view(): PoisonView {
    return this.ledger.view;
  }

  /** Whether the server has a list. */
  get isTold(): boolean {
    return this.#options.ask !== undefined;
  }

  /** Takes the server's word for a range; does nothing where it has none. @param each gets every answer, also for what is not poison */
  async sync(range: ByteRange, each?: (statuses: BlockStatuses) => void): Promise<void> {
    const { ask, unit, size } = this.#options;
    if (ask === undefined || range.length === 0) return;
    const end = Math.min(endOf(alignOut(range, unit)), size);
    let told = 0;
    for (let at = range.offset - (range.offset % unit); at < end;) {
      const statuses = await ask({ offset: at, length: end - at });
      each?.(statuses);
      const runs = statuses.get(POISON_CONTEXT) ?? [];
      const last = runs.at(-1);
      // A server that cannot tell now leaves the list as it is.
      if (last === undefined) return;
      told += runs.length + ANSWER_COST;
      if (told > RUNS_MAX) throw protocolError("a list of more ranges than anybody can use");
      for (const run of runs) this.#take(run, poisonStateOf(run.flags));
      at = endOf(last);
    }
  }

  /** What is clean here, because we read it, stays clean where the server has not read it. */
  #take(run: ByteRange, told: ReturnType<typeof poisonStateOf>): void {
    // What the server calls bad as well is the server's from then on: it hears of what becomes of it.
    if (isBad(told)) this.#own.delete(run.offset, run.length);
    for (const part of this.#own.gaps(run.offset, run.length)) {
      if (told !== "unread") {
        this.ledger.markInMemory([{ ...part, state: told }]);
        continue;
      }
      const freed = [...this.view.bad(part)];
      this.ledger.markInMemory(inState(freed, "unread"));
    }
  }

  /** Lists what reads proved to be bad; what is lost stays lost. @returns what of it is new */
  found(ranges: readonly ByteRange[]): void {
    for (const range of ranges) {
      const parts = [...this.view.states(range)].filter(({ state }) => !isBad(state));
      this.ledger.mark(inState(parts, "poisoned"));
    }
  }

  /** Takes what a list says that came with the export, of bytes that nobody has read. */
  takeGiven(list: Iterable<StateRange>): void {
    const changes = importedChanges(this.ledger.list, list);
    for (const { offset, length, state } of changes)
      if (isBad(state)) this.#own.add(offset, length);
    if (changes.length > 0) this.ledger.needStore();
    this.ledger.mark(changes);
  }

  /** Lists what markers say is lost. */
  lost(ranges: readonly ByteRange[]): void {
    this.ledger.mark(inState(ranges, "lost"));
  }

  /** Marks made here. */
  recordBad(range: ByteRange, state: "poisoned" | "lost"): void {
    this.#own.add(range.offset, range.length);
    this.ledger.needStore();
    this.ledger.mark([{ ...range, state }]);
  }

  /** Data is durable over a range: what was bad in it is clean (R4). */
  healed(range: ByteRange): void {
    this.#own.delete(range.offset, range.length);
    const bad = [...this.view.bad(range)];
    if (bad.length > 0) this.ledger.mark(inState(bad, "clean"));
  }

  /** A scan read a range. */
  recordRead(range: ByteRange): void {
    const unread = [...this.view.states(range)].filter(({ state }) => state === "unread");
    if (unread.length > 0) this.ledger.mark(inState(unread, "clean"));
  }

  /** Bad ranges that stand in the way of a write of `range`, whose units of `unit` bytes a medium writes whole. */
  inTheWay(range: ByteRange, unit: number): ByteRange[] {
    if (this.view.empty) return [];
    const whole = { offset: 0, length: this.#options.size };
    return [...this.view.bad(intersect(alignOut(range, unit), whole) ?? range)];
  }
}
