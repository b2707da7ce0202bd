/** What crc16 promises. */
import { describe, expect, test } from "vitest";
import { crc16 } from "../../src/base/index.ts";

const digits = new TextEncoder().encode("123456789");

describe("crc16", () => {
  test("crc16() gives the published check values", () => {
    expect(crc16(digits, 0)).toBe(0xbb3d); // CRC-16/ARC
    expect(crc16(digits, 0xffff)).toBe(0x4b37); // CRC-16/MODBUS: the same with ext4's seed
  });

  test("crc16() chains at any cut", () => {
    for (let cut = 0; cut <= digits.length; cut += 1) {
      expect(crc16(digits.subarray(cut), crc16(digits.subarray(0, cut), 0))).toBe(0xbb3d);
    }
  });

  test("crc16() of nothing gives the seed, in 16 bits", () => {
    expect(crc16(new Uint8Array(0), 0x1_8001)).toBe(0x8001);
  });
});
