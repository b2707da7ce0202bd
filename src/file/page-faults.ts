/**
 * page-faults: which bytes of a mapped file can be reached, as `dax_fault_iter` of fs/dax.c decides it, and with pages of which size.
 *
 * A fault of 2 MiB that meets known poison falls back to faults of single pages, so the clean pages beside the bad one stay usable. Nothing is
 * remembered of what was mapped: the answer is asked of the list each time, which a real page table does not do after it was filled.
 */
import { endOf, type BadRange, type ByteRange } from "../base/index.ts";
import type { DaxDevice, DaxFile } from "../dax/index.ts";

/** Bytes that a PMD maps. */
const HUGE = 2 * 1024 * 1024;

/** The faults of one mapping. */
export class PageFaults {
  readonly #file: DaxFile;
  readonly #dax: DaxDevice;
  readonly #pageShift: number;
  readonly #shifts: readonly number[];

  /** @param largestShift log2 of the largest page that may be used: 30, 21, or less for single pages only */
  constructor(file: DaxFile, dax: DaxDevice, largestShift: number) {
    this.#file = file;
    this.#dax = dax;
    this.#pageShift = Math.log2(file.pageSize);
    this.#shifts = [30, 21].filter((shift) => shift <= largestShift && 2 ** shift > file.pageSize);
  }

  /** `si_addr_lsb` of a fault on a single page. */
  get pageShift(): number {
    return this.#pageShift;
  }

  /** Bytes of a run of the device before the first page that is refused. */
  goodLength(offset: number, length: number): number {
    const { pageSize } = this.#file;
    const inPage = offset % pageSize;
    const first = (offset - inPage) / pageSize;
    let good = this.#granted(first, Math.ceil((inPage + length) / pageSize));
    if (!this.#dax.pages.empty) good = this.#mappable(first, good);
    return Math.max(0, Math.min(length, good * pageSize - inPage));
  }

  /** Pages from `first` on, of `count`, before one with HWPoison. */
  #mappable(first: number, count: number): number {
    const { pages } = this.#dax;
    const { pageSize } = this.#file;
    const range = { offset: first * pageSize, length: count * pageSize };
    // The set may change on the way: what was healed in parts is found out now.
    for (const poisoned of Array.from(pages.poisoned(range))) {
      for (let at = poisoned.offset; at < endOf(poisoned); at += pageSize) {
        this.#dax.settle({ offset: at, length: pageSize });
        if (pages.isPoisoned(at / pageSize)) return at / pageSize - first;
      }
    }
    return count;
  }

  /** Pages from `first` on that the device lets be mapped. */
  #granted(first: number, count: number): number {
    const { direct, pageSize } = this.#file;
    const hugePages = Math.max(1, HUGE / pageSize);
    const end = first + count;
    for (let page = first; page < end;) {
      const wanted = Math.min(hugePages - (page % hugePages), end - page);
      const granted = direct.probe(page, wanted, "access") || direct.probe(page, 1, "access");
      if (granted === 0) return page - first;
      page += granted;
    }
    return count;
  }

  /**
   * How large the page was through which a byte was reached: log2 of its bytes. A huge page must lie in the file, in one extent, aligned in
   * file and device, and hold no other known poison.
   *
   * @param failed what failed there, in bytes of the device
   */
  shiftAt(position: number, failed: ByteRange): number {
    for (const shift of this.#shifts) if (this.#isHuge(position, 2 ** shift, failed)) return shift;
    return this.#pageShift;
  }

  #isHuge(position: number, bytes: number, failed: ByteRange): boolean {
    const { extents, size, device } = this.#file;
    const start = position - (position % bytes);
    if (start + bytes > size) return false;
    const index = extents.find(start);
    if (index < 0 || extents.kind(index) !== "data" || extents.stop(index) < start + bytes)
      return false;
    const at = extents.deviceOf(index, start);
    if (at % bytes !== 0) return false;
    for (const bad of device.poison.bad({ offset: at, length: bytes }))
      if (bad.offset < failed.offset || endOf(bad) > endOf(failed)) return false;
    return true;
  }

  /** What of a range of the file is bad by the list, in bytes of the device. */
  badRanges(range: ByteRange): BadRange[] {
    const { device } = this.#file;
    const ranges: BadRange[] = [];
    for (const part of this.#deviceRanges(range)) ranges.push(...device.poison.bad(part));
    return ranges;
  }

  #deviceRanges(range: ByteRange): ByteRange[] {
    const { extents } = this.#file;
    const ranges: ByteRange[] = [];
    const end = Math.min(endOf(range), extents.end);
    for (let at = range.offset; at < end;) {
      const index = extents.find(at);
      const stop = Math.min(end, extents.stop(index));
      if (isOnDevice(extents.kind(index)))
        ranges.push({ offset: extents.deviceOf(index, at), length: stop - at });
      at = stop;
    }
    return ranges;
  }

  /** Where a range of the device lies in the file; a file may have it more than once. */
  fileRanges(range: ByteRange): ByteRange[] {
    const { extents, size } = this.#file;
    const ranges: ByteRange[] = [];
    const end = Math.min(size, extents.end);
    for (let at = 0; at < end;) {
      const index = extents.find(at);
      const stop = Math.min(end, extents.stop(index));
      if (isOnDevice(extents.kind(index))) {
        const device = extents.deviceOf(index, at);
        const from = Math.max(range.offset, device);
        const to = Math.min(endOf(range), device + stop - at);
        if (from < to) ranges.push({ offset: at + from - device, length: to - from });
      }
      at = stop;
    }
    return ranges;
  }
}

function isOnDevice(kind: string): boolean {
  return kind === "data" || kind === "inline";
}
