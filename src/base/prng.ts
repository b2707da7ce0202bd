/** Prng: seeded random numbers, so that every random run can be repeated from its printed seed. */

/** A stream of random numbers that depends on its seed alone. Not for secrets. */
export interface Prng {
  /** The seed it was made from. */
  readonly seed: number;
  /** A whole number in `[0, limit)`; `limit` from 1 to 2^53. */
  below(limit: number): number;
  /** True with probability `chance`, from 0 to 1. */
  chance(chance: number): boolean;
  /** One of the items; the list must not be empty. */
  pick<T>(items: readonly T[]): T;
  /** `length` random bytes. */
  bytes(length: number): Uint8Array;
}

/** Makes a stream from a seed (any 32-bit number): sfc32, warmed up. */
export function createPrng(seed: number): Prng {
  let a = 0x9e3779b9 | 0;
  let b = 0x243f6a88 | 0;
  let c = seed | 0;
  let counter = 1;
  const next = (): number => {
    const sum = (a + b + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = ((c << 21) | (c >>> 11)) + sum;
    c |= 0;
    return sum >>> 0;
  };
  for (let round = 0; round < 15; round += 1) next();
  const fraction = (): number => (next() * 0x200000 + (next() >>> 11)) / 2 ** 53;
  return {
    seed,
    below: (limit) => Math.floor(fraction() * limit),
    chance: (chance) => fraction() < chance,
    pick: (items) => items[Math.floor(fraction() * items.length)] as (typeof items)[number],
    bytes: (length) => Uint8Array.from({ length }, () => next() & 0xff),
  };
}
