/**
 * page-states: what is known of pages apart from the list of bad ranges, as in Linux: HWPoison (nobody maps the page any more) and not
 * present (`set_mce_nospec`: the kernel has no address for it). MADV_HWPOISON lists nothing, and a listed sector poisons no page.
 */
import { RangeSet } from "../base/index.ts";

/** States of the pages of a device, by page number. */
export interface PageStates {
  /** Whether no page has any: the one branch that an access pays (R6). */
  readonly empty: boolean;
  /** The first page from `page` on, of `pages`, with HWPoison; -1 where there is none. */
  firstPoisoned(page: number, pages: number): number;
  /** Whether the kernel has an address for a page. */
  isPresent(page: number): boolean;
  /** Sets HWPoison. */
  poison(page: number, pages: number): void;
  /** Takes pages out of the kernel's map. */
  remove(page: number, pages: number): void;
  /** Ends both: what a clear of the page does (`clear_mce_nospec`). */
  restore(page: number, pages: number): void;
}

/** States in memory, gone with the process. */
export class MemoryPageStates implements PageStates {
  readonly #poisoned = new RangeSet();
  readonly #absent = new RangeSet();
  #empty = true;

  get empty(): boolean {
    return this.#empty;
  }

  firstPoisoned(page: number, pages: number): number {
    return this.#poisoned.first(page, pages)?.offset ?? -1;
  }

  isPresent(page: number): boolean {
    return !this.#absent.intersects(page, 1);
  }

  poison(page: number, pages: number): void {
    this.#poisoned.add(page, pages);
    this.#note();
  }

  remove(page: number, pages: number): void {
    this.#absent.add(page, pages);
    this.#note();
  }

  restore(page: number, pages: number): void {
    this.#poisoned.delete(page, pages);
    this.#absent.delete(page, pages);
    this.#note();
  }

  #note(): void {
    this.#empty = this.#poisoned.size === 0 && this.#absent.size === 0;
  }
}
