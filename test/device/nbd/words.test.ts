/** Big-endian numbers in bytes. */
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { getU16, getU32, getU64, putU16, putU32, putU64 } from "../../../src/device/index.ts";

describe("putU64(), getU64()", () => {
  test("agree with Node's own for every exact number", () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), fc.nat({ max: 9 }), (value, at) => {
        const bytes = Buffer.alloc(20);
        putU64(bytes, at, value);
        expect(bytes.readBigUInt64BE(at)).toBe(BigInt(value));
        expect(getU64(bytes, at)).toBe(value);
      }),
    );
  });

  test("give a number above 2^53 for what is not exact", () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 2n ** 53n, max: 2n ** 64n - 1n }), (value) => {
        const bytes = Buffer.alloc(8);
        bytes.writeBigUInt64BE(value);
        expect(Number.isSafeInteger(getU64(bytes, 0))).toBe(false);
      }),
    );
  });
});

describe("putU32(), getU32(), putU16(), getU16()", () => {
  test("agree with Node's own", () => {
    const bytes = Buffer.alloc(8);
    putU32(bytes, 1, 0xfedc_ba98);
    putU16(bytes, 5, 0xabcd);
    expect(bytes.readUInt32BE(1)).toBe(0xfedc_ba98);
    expect(bytes.readUInt16BE(5)).toBe(0xabcd);
    expect([getU32(bytes, 1), getU16(bytes, 5)]).toEqual([0xfedc_ba98, 0xabcd]);
  });
});
