/**
 * FilteredRangeSet: a RangeSet with a coarse filter in front of `intersects`, for sets that are asked far more often than they say yes.
 *
 * One bit stands for a granule, a power of two of bytes such that the whole filter takes 32 KiB at most and stays in the processor's
 * caches, where the ranges themselves do not: at 100,000 ranges a look-up is some cache misses. A set bit means "maybe": then the ranges
 * are looked up. A bit is dropped only where its granule is known to hold nothing, so a clear bit is proof.
 */
import { Bitmap } from "./bitmap.ts";
import { RangeSet } from "./range-set.ts";

/** Bits of the filter at most: 32 KiB. */
const MAX_GRANULES = 32 * 1024 * 8;
/** Bytes of a granule at least. */
const MIN_GRANULE = 64;

/** A set of bytes inside `[0, extent)`. What lies past `extent` counts as its last granule, so the answers stay right. */
export class FilteredRangeSet extends RangeSet {
  readonly #granule: number;
  /** Granules of a byte: the division by a power of two, as an exact product. */
  readonly #perByte: number;
  readonly #count: number;
  /** Made at the first range: most sets stay empty. */
  #filter: Bitmap | undefined;

  /** @param extent bytes that the set is about, a device's size */
  constructor(extent: number) {
    super();
    this.#granule = Math.max(MIN_GRANULE, 2 ** Math.ceil(Math.log2(extent / MAX_GRANULES)));
    this.#perByte = 1 / this.#granule;
    this.#count = Math.max(1, Math.ceil(extent / this.#granule));
  }

  override add(offset: number, length: number): void {
    super.add(offset, length);
    if (length === 0) return;
    this.#filter ??= new Bitmap(this.#count);
    this.#filter.set(this.#indexOf(offset), this.#indexOf(offset + length - 1) + 1);
  }

  override delete(offset: number, length: number): void {
    super.delete(offset, length);
    const filter = this.#filter;
    if (length === 0 || filter === undefined) return;
    const first = this.#indexOf(offset);
    const last = this.#indexOf(offset + length - 1);
    // The granules between were in the deleted range whole; the two at its edges may hold other ranges.
    if (last - first > 1) filter.clear(first + 1, last);
    this.#dropEmpty(filter, first);
    if (last !== first) this.#dropEmpty(filter, last);
  }

  #dropEmpty(filter: Bitmap, index: number): void {
    const start = index * this.#granule;
    // The last granule speaks for all that lies behind it too.
    const length = index === this.#count - 1 ? Number.MAX_SAFE_INTEGER - start : this.#granule;
    if (!super.intersects(start, length)) filter.clear(index, index + 1);
  }

  override clear(): void {
    super.clear();
    this.#filter = undefined;
  }

  /** As `RangeSet.intersects`; arguments are checked only where the ranges are looked up. */
  override intersects(offset: number, length: number): boolean {
    const filter = this.#filter;
    if (filter === undefined || this.size === 0 || length === 0) return false;
    const from = this.#indexOf(offset);
    return (
      filter.hasAny(from, this.#indexOf(offset + length - 1) + 1) &&
      super.intersects(offset, length)
    );
  }

  #indexOf(offset: number): number {
    return Math.min(Math.floor(offset * this.#perByte), this.#count - 1);
  }
}
