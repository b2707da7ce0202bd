/** The two searches among sorted keys that range sets use: from a guess, and by halves. */

/**
 * Index of the last of `keys[low]` to `keys[high - 1]` that is not above `key`; `keys[low]` is taken for one.
 * Branches, not arithmetic, choose the half: the processor then fetches the next key before it has compared this one.
 */
// oxlint-disable-next-line max-params -- an options object would be allocated at every look-up
export function bisect(keys: Float64Array, low: number, high: number, key: number): number {
  let from = low;
  let to = high;
  while (to - from > 1) {
    const middle = (from + to) >>> 1;
    if (keys[middle]! <= key) from = middle;
    else to = middle;
  }
  return from;
}

/**
 * Index of the last of `keys[0]` to `keys[count - 1]` that is not above `key`; `keys[0]` must not be.
 *
 * What a step costs is a cache miss: ten million starts are 80 MB. Keys often lie evenly, and then a guess by interpolation
 * is a cache line or two off; so the search strides away from there, 8, 16 and 32 places, and bisects what is
 * left. Where the guess was useless that costs four steps more.
 */
// oxlint-disable-next-line max-params -- an options object would be allocated at every look-up
export function lastNotAbove(
  keys: Float64Array,
  count: number,
  key: number,
  guess: number,
): number {
  let low = 0;
  let high = count;
  if (keys[guess]! <= key) {
    low = guess;
    for (let stride = 8; stride <= 32 && low + stride < high; stride *= 2) {
      if (keys[low + stride]! > key) {
        high = low + stride;
        break;
      }
      low += stride;
    }
  } else {
    high = guess;
    for (let stride = 8; stride <= 32 && high - stride > low; stride *= 2) {
      if (keys[high - stride]! <= key) {
        low = high - stride;
        break;
      }
      high -= stride;
    }
  }
  return bisect(keys, low, high, key);
}
