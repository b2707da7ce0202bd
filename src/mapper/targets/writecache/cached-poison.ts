/**
 * cached-poison: the list of a cached origin: of each byte what the list of the device says that keeps it now. What is bad beneath a cached block, or in a
 * block of the cache that is free, is nobody's byte.
 */
import { checkRange, type BadRange, type ByteRange } from "../../../base/index.ts";
import type { Device } from "../../../device/index.ts";
import type { PoisonView, StateRange } from "../../../poison/index.ts";
import { joined } from "../../joined.ts";
import type { CachePlaces } from "./places.ts";

/** What a list is made of. */
export interface CachedPoisonOptions {
  /** Bytes of the target. */
  readonly size: number;
  readonly cache: Device;
  readonly places: CachePlaces;
  /** Bytes. */
  readonly blockSize: number;
}

/** The list of a cached origin. */
export function cachedPoison(options: CachedPoisonOptions): PoisonView {
  const { size, places, cache } = options;
  const isEmpty = (): boolean => places.origin.poison.empty && cache.poison.empty;
  return {
    size,
    get empty() {
      return isEmpty() || !showsBad(options);
    },
    *bad(range) {
      checkRange(range, size);
      if (!isEmpty()) yield* joined(badOf(places, range));
    },
    *states(range) {
      checkRange(range, size);
      yield* joined(statesOf(places, range));
    },
    totals: () => {
      const sums = { clean: 0, unread: 0, poisoned: 0, lost: 0 };
      for (const { length, state } of statesOf(places, { offset: 0, length: size }))
        sums[state] += length;
      return { total: size, ...sums };
    },
  };
}

/** Whether any bad byte below shows: as long as the lists below are, however much is cached. */
function showsBad({ size, cache, places, blockSize }: CachedPoisonOptions): boolean {
  for (const bad of places.origin.poison.bad({ offset: 0, length: size })) {
    const end = bad.offset + bad.length;
    for (let at = bad.offset; at < end;) {
      const part = places.at(at, end);
      if (!part.cached) return true;
      at += part.length;
    }
  }
  for (const bad of cache.poison.bad({ offset: 0, length: cache.size })) {
    const end = bad.offset + bad.length;
    // a step is at most a block, whatever sector the blocks begin at; the last byte stands for a block that begins in between
    for (let at = bad.offset; at < end; at += blockSize)
      if (places.above(cache, at) !== undefined) return true;
    if (places.above(cache, end - 1) !== undefined) return true;
  }
  return false;
}

function* badOf(places: CachePlaces, range: ByteRange): Generator<BadRange> {
  const end = range.offset + range.length;
  for (let at = range.offset; at < end;) {
    const { device, offset, length } = places.at(at, end);
    if (!device.poison.empty)
      for (const bad of device.poison.bad({ offset, length }))
        yield { ...bad, offset: bad.offset - offset + at };
    at += length;
  }
}

function* statesOf(places: CachePlaces, range: ByteRange): Generator<StateRange> {
  const end = range.offset + range.length;
  for (let at = range.offset; at < end;) {
    const { device, offset, length } = places.at(at, end);
    for (const part of device.poison.states({ offset, length }))
      yield { ...part, offset: part.offset - offset + at };
    at += length;
  }
}
