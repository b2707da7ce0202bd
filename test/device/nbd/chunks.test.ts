/** Payloads of reply chunks, good and hostile. */
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  decodeBlockStatus,
  decodeError,
  encodeBlockStatus,
  encodeError,
  encodeExtendedStatus,
  NBD_CHUNK,
  putHole,
} from "../../../src/device/index.ts";

describe("encodeError()", () => {
  test("gives number, text and offset as the specification orders them", () => {
    const bytes = encodeError({ errno: 5, text: "bad", offset: 0x1200 });
    expect(bytes.toString("hex")).toBe("00000005 0003 626164 0000000000001200".replaceAll(" ", ""));
  });

  test("cuts a text at 4096 bytes and never inside a character", () => {
    const text = `a${"é".repeat(3000)}`;
    const error = decodeError(NBD_CHUNK.ERROR, encodeError({ errno: 5, text, offset: undefined }));
    expect(error?.text).toBe(`a${"é".repeat(2047)}`);
  });

  test("is undone by decodeError()", () => {
    const offset = fc.option(fc.maxSafeNat(), { nil: undefined });
    const text = fc.string({ unit: "grapheme", maxLength: 200 });
    fc.assert(
      fc.property(fc.nat({ max: 0xffff_ffff }), text, offset, (errno, words, at) => {
        const error = { errno, text: words.replaceAll("\0", " "), offset: at };
        const type = at === undefined ? NBD_CHUNK.ERROR : NBD_CHUNK.ERROR_OFFSET;
        expect(decodeError(type, encodeError(error))).toEqual(error);
      }),
    );
  });
});

describe("decodeError()", () => {
  test("refuses a text longer than its payload or than 4096 bytes, and bytes left over", () => {
    const short = Buffer.from("00000005 0004 626164".replaceAll(" ", ""), "hex");
    const over = Buffer.from("00000005 0001 626164".replaceAll(" ", ""), "hex");
    const long = Buffer.alloc(6 + 4097, "a");
    long.writeUInt16BE(4097, 4);
    for (const bytes of [short, over, long, Buffer.alloc(5)])
      expect(decodeError(NBD_CHUNK.ERROR, bytes)).toBeUndefined();
    expect(decodeError(NBD_CHUNK.ERROR_OFFSET, Buffer.alloc(6))).toBeUndefined();
  });

  test("reads number and text of an error type that nobody knows yet", () => {
    const bytes = Buffer.from("00000016 0001 61 ffffff".replaceAll(" ", ""), "hex");
    expect(decodeError(0x8003, bytes)).toEqual({ errno: 22, text: "a", offset: undefined });
  });
});

describe("putHole()", () => {
  test("gives the 12 bytes of the specification", () => {
    const bytes = Buffer.alloc(12);
    putHole(bytes, 0, { offset: 4096, length: 512 });
    expect(bytes.toString("hex")).toBe("0000000000001000 00000200".replaceAll(" ", ""));
  });
});

describe("encodeBlockStatus(), encodeExtendedStatus()", () => {
  test("are undone by decodeBlockStatus()", () => {
    const u32 = fc.nat({ max: 0xffff_ffff });
    const extent = fc.record({ length: fc.integer({ min: 1, max: 0xffff_ffff }), flags: u32 });
    const extents = fc.array(extent, { minLength: 1, maxLength: 20 });
    fc.assert(
      fc.property(u32, extents, (context, list) => {
        const compact = encodeBlockStatus(context, list);
        const extended = encodeExtendedStatus(context, list);
        const wanted = { context, extents: list };
        expect(decodeBlockStatus(NBD_CHUNK.BLOCK_STATUS, compact)).toEqual(wanted);
        expect(decodeBlockStatus(NBD_CHUNK.BLOCK_STATUS_EXT, extended)).toEqual(wanted);
      }),
    );
  });
});

describe("decodeBlockStatus()", () => {
  test("refuses no extent, an empty one, a part of one, and a count that lies", () => {
    const one = encodeBlockStatus(1, [{ length: 1, flags: 0 }]);
    const empty = encodeBlockStatus(1, [{ length: 0, flags: 0 }]);
    const lying = encodeExtendedStatus(1, [{ length: 1, flags: 0 }]);
    lying.writeUInt32BE(2, 4);
    for (const bytes of [one.subarray(0, 4), one.subarray(0, 11), empty])
      expect(decodeBlockStatus(NBD_CHUNK.BLOCK_STATUS, bytes)).toBeUndefined();
    expect(decodeBlockStatus(NBD_CHUNK.BLOCK_STATUS_EXT, lying)).toBeUndefined();
  });
});
