/** What crc32c promises. */
import { describe, expect, test } from "vitest";
import { crc32c, crc32cWord, createPrng } from "../../src/base/index.ts";
import { randomSeed } from "./seed.ts";

/** The usual form: seed of ones, result inverted. RFC 3720 appendix B.4 gives its values. */
function inverted(bytes: Uint8Array): number {
  return (crc32c(bytes, 0xffff_ffff) ^ 0xffff_ffff) >>> 0;
}

/** The definition, bit by bit. */
function bitwise(bytes: Uint8Array, seed: number): number {
  let crc = seed >>> 0;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit += 1) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  }
  return crc >>> 0;
}

describe("crc32c", () => {
  test.each([
    ["the nine digits", new TextEncoder().encode("123456789"), 0xe306_9283],
    ["32 zeros (RFC 3720 B.4)", new Uint8Array(32), 0x8a91_36aa],
    ["32 ones (RFC 3720 B.4)", new Uint8Array(32).fill(0xff), 0x62a8_ab43],
    ["ascending (RFC 3720 B.4)", Uint8Array.from({ length: 32 }, (_, at) => at), 0x46dd_794e],
    ["descending (RFC 3720 B.4)", Uint8Array.from({ length: 32 }, (_, at) => 31 - at), 0x113f_db5c],
  ])("crc32c() gives the published value of %s", (_name, bytes, want) => {
    expect(inverted(bytes)).toBe(want);
  });

  test("crc32c() of nothing gives the seed", () => {
    expect(crc32c(new Uint8Array(0), 0x8000_0001)).toBe(0x8000_0001);
  });

  test("crc32c() chains at any cut, and agrees with the definition at any length and alignment", () => {
    const random = createPrng(randomSeed());
    for (let round = 0; round < 200; round += 1) {
      const bytes = random
        .bytes(random.below(round % 4 === 0 ? 1500 : 100))
        .subarray(random.below(8));
      const seed = random.below(2 ** 32);
      const cut = random.below(bytes.length + 1);
      const want = bitwise(bytes, seed);
      expect(crc32c(bytes, seed)).toBe(want);
      expect(crc32c(bytes.subarray(cut), crc32c(bytes.subarray(0, cut), seed))).toBe(want);
    }
  });
});

describe("crc32cWord", () => {
  test("crc32cWord() sums the four bytes of a number, little-endian", () => {
    const random = createPrng(7);
    for (let round = 0; round < 200; round += 1) {
      const value = random.below(2 ** 32);
      const bytes = new Uint8Array(4);
      new DataView(bytes.buffer).setUint32(0, value, true);
      const start = random.below(2 ** 32);
      expect(crc32cWord(value, start)).toBe(crc32c(bytes, start));
    }
  });
});
