/**
 * PageStates: what the system does to pages of memory after an error, apart from any list of bad blocks.
 *
 * Linux keeps two marks a page. `PageHWPoison` (mm/memory-failure.c) keeps programs from mapping it: a fault is SIGBUS. "Not present"
 * (`set_mce_nospec`, arch/x86, every kernel since 5.19) takes it out of the kernel's own map, so that a copy from it stops there. A
 * machine check sets both, `madvise(MADV_HWPOISON)` only the first; neither lists a bad block. Both end with a clear of the page through
 * the driver (`pmem_mkpage_present`, drivers/nvdimm/pmem.c) and with the system: nothing here is durable.
 *
 * Linux counts the pages of a clear from the page that holds its start, so a clear of 4096 bytes that begins inside a page lifts that
 * page though a part of it is as bad as before. Here only pages that the clear covers whole are lifted (R1).
 */
import { alignIn, alignOut, RangeSet, type ByteRange } from "../base/index.ts";

/** The marked pages of one device. Offsets and lengths are bytes; `page` counts from 0. */
export class PageStates {
  /** Bytes of a page. */
  readonly pageSize: number;
  readonly #poisoned = new RangeSet();
  readonly #notPresent = new RangeSet();

  constructor(pageSize: number) {
    this.pageSize = pageSize;
  }

  /** Whether no page is marked: the one branch that a load pays. */
  get empty(): boolean {
    return this.#poisoned.size === 0;
  }

  /** A machine check in a page: it has HWPoison and is not present. */
  markNotPresent(page: number): void {
    this.markPoisoned(page);
    this.#notPresent.add(page * this.pageSize, this.pageSize);
  }

  /** HWPoison alone, as `madvise(MADV_HWPOISON)` sets it: programs cannot map the page, the kernel's own copies work. */
  markPoisoned(page: number): void {
    this.#poisoned.add(page * this.pageSize, this.pageSize);
  }

  /** Whether copies by the system can touch the page. */
  isPresent(page: number): boolean {
    return !this.#notPresent.intersects(page * this.pageSize, this.pageSize);
  }

  /** Whether a program that touches the page gets a signal. */
  isPoisoned(page: number): boolean {
    return this.#poisoned.intersects(page * this.pageSize, this.pageSize);
  }

  /** Bytes from `offset` on, at most `length`, before the first page that is not present. */
  presentLength(offset: number, length: number): number {
    const first = this.#notPresent.first(offset, length);
    return first === undefined ? length : first.offset - offset;
  }

  /** The pages with HWPoison that a range touches, as whole pages, ascending and merged. */
  *poisoned(range: ByteRange): Generator<ByteRange> {
    const pages = alignOut(range, this.pageSize);
    yield* this.#poisoned.within(pages.offset, pages.length);
  }

  /**
   * The hook on clears: poison ended in a range. Pages that it covers whole lose both marks, a part of a page lifts nothing.
   *
   * @param cleared what was cleared, with data or without
   */
  noteClear(cleared: ByteRange): void {
    if (this.empty) return;
    const { offset, length } = alignIn(cleared, this.pageSize);
    this.#poisoned.delete(offset, length);
    this.#notPresent.delete(offset, length);
  }
}
