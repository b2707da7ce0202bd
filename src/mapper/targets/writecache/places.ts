/** CachePlaces: where a cache keeps the bytes of its origin now: in a block of the cache, or at the origin. */
import type { Device } from "../../../device/index.ts";
import type { Area } from "../../target.ts";
import type { CacheMetadata } from "./cache-metadata.ts";

/** Bytes that are next to each other in one place. */
export interface Part extends Area {
  readonly cached: boolean;
}

/** What places are made of. */
export interface PlacesOptions {
  readonly origin: Device;
  readonly cache: Device;
  /** Bytes. */
  readonly blockSize: number;
  readonly metadata: CacheMetadata;
}

/** The places of a target's bytes. */
export class CachePlaces {
  readonly #options: PlacesOptions;
  /** What gives the bytes that no block of the cache has. */
  origin: Device;

  constructor(options: PlacesOptions) {
    this.#options = options;
    this.origin = options.origin;
  }

  /** The place of a byte, and of those behind it that are next to it there, up to `end`. */
  at(offset: number, end: number): Part {
    const { cache, blockSize, metadata } = this.#options;
    const { index } = metadata.table;
    const block = Math.floor(offset / blockSize);
    const first = index.get(block);
    if (first < 0) {
      const next = Math.min(end, index.from(block + 1) * blockSize);
      return { device: this.origin, offset, length: next - offset, cached: false };
    }
    let after = block + 1;
    while (after * blockSize < end && index.get(after) === first + after - block) after += 1;
    const place = metadata.placeOf(first) + offset - block * blockSize;
    const length = Math.min(end, after * blockSize) - offset;
    return { device: cache, offset: place, length, cached: true };
  }

  /** The parts of a range, in its order. */
  parts(range: { readonly offset: number; readonly length: number }): Part[] {
    const end = range.offset + range.length;
    const parts: Part[] = [];
    for (let at = range.offset; at < end; at += parts.at(-1)?.length ?? 0)
      parts.push(this.at(at, end));
    return parts;
  }

  /** The byte of the target that a byte below shows now; `undefined` where it shows none. */
  above(device: Device, offset: number): number | undefined {
    const { cache, blockSize, metadata } = this.#options;
    const { table } = metadata;
    if (device === this.origin)
      return table.index.get(Math.floor(offset / blockSize)) < 0 ? offset : undefined;
    const entry = device === cache ? metadata.entryAt(offset) : -1;
    const block = entry < 0 ? -1 : table.blockOf(entry);
    return block < 0 ? undefined : block * blockSize + offset - metadata.placeOf(entry);
  }
}
