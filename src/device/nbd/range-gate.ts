/**
 * RangeGate: reads of a range together, changes of it alone, in the order in which they came. A read sees a range before a change or after it,
 * and the server never has two of our changes of one byte at the same time.
 */
import { endOf, type ByteRange } from "../../base/index.ts";

interface Pass extends ByteRange {
  readonly alone: boolean;
  readonly end: Promise<void>;
}

/** Who is in which range. */
export class RangeGate {
  readonly #passes = new Set<Pass>();

  /** Runs a step that reads a range. */
  shared<T>(range: ByteRange, step: () => Promise<T>): Promise<T> {
    return this.#run(range, false, step);
  }

  /** Runs a step that changes a range. */
  alone<T>(range: ByteRange, step: () => Promise<T>): Promise<T> {
    return this.#run(range, true, step);
  }

  async #run<T>(range: ByteRange, alone: boolean, step: () => Promise<T>): Promise<T> {
    const before = [...this.#passes].filter(
      (pass) => (alone || pass.alone) && pass.offset < endOf(range) && range.offset < endOf(pass),
    );
    let leave = (): void => undefined;
    const end = new Promise<void>((resolve) => {
      leave = resolve;
    });
    const pass: Pass = { offset: range.offset, length: range.length, alone, end };
    this.#passes.add(pass);
    try {
      for (const { end: over } of before) await over;
      return await step();
    } finally {
      this.#passes.delete(pass);
      leave();
    }
  }
}
