/** Problems: a bounded list of what is wrong in the metadata. A hostile image has more problems than memory. */
import type { Problem } from "./file-map.ts";

/** Problems kept; the one after them says how many were dropped. */
export const MAX_PROBLEMS = 1000;

/** The list of one volume. */
export class Problems {
  readonly #list: Problem[] = [];
  #dropped = 0;

  /** Problems so far, at most `MAX_PROBLEMS`, and one more that counts the dropped ones. A live array: do not change it. */
  get list(): readonly Problem[] {
    return this.#list;
  }

  /** Adds a problem. */
  add(problem: Problem): void {
    if (this.#list.length < MAX_PROBLEMS) {
      this.#list.push(problem);
      return;
    }
    this.#dropped += 1;
    this.#list[MAX_PROBLEMS] = { message: `${this.#dropped} more problems were met and not kept` };
  }
}
