/**
 * RangeTurns: changes of ranges, one after the other where they overlap. Several legs must see changes in one order, or they differ for ever;
 * and a reader of several legs must see a range before a change or after it.
 *
 * What answers at once needs no turn: nothing of ours runs in between.
 */
import { endOf, isPromise, type ByteRange, type MaybePromise } from "../../base/index.ts";

/** One change that is under way, or waits for those before it. */
interface Turn extends ByteRange {
  /** Comes when it is over, whatever became of it. */
  readonly end: Promise<void>;
}

/** The changes of one device that are not over. */
export class RangeTurns {
  readonly #turns = new Set<Turn>();

  /** Whether nothing is under way: the one branch of a read. */
  get idle(): boolean {
    return this.#turns.size === 0;
  }

  /** What a range has to wait for; `undefined` where it is free. */
  waitFor(range: ByteRange): Promise<void> | undefined {
    const ends: Promise<void>[] = [];
    for (const turn of this.#turns) {
      if (turn.offset < endOf(range) && range.offset < endOf(turn)) ends.push(turn.end);
    }
    return ends.length === 0 ? undefined : Promise.all(ends).then(() => undefined);
  }

  /** Runs a change alone in its range, behind those that came before it. */
  exclusively<T>(range: ByteRange, step: () => MaybePromise<T>): MaybePromise<T> {
    const wait = this.idle ? undefined : this.waitFor(range);
    const result = wait === undefined ? step() : wait.then(step);
    if (!isPromise(result)) return result;
    const over = (): void => {
      this.#turns.delete(turn);
    };
    const turn: Turn = { offset: range.offset, length: range.length, end: result.then(over, over) };
    this.#turns.add(turn);
    return result;
  }
}
